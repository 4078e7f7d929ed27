//! Receivers behind TLS, with an authority of this test's own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::{Project, Server, skip, until};

const RECEIVER: &str = "
const { readFileSync, appendFileSync } = require('node:fs');
const [key, cert] = ['key.pem', 'cert.pem'].map((name) => readFileSync(name));
const server = require('node:https').createServer({ key, cert }, async (req, res) => {
  let body = '';
  for await (const chunk of req) body += chunk;
  appendFileSync('received', body + '\\n');
  res.end('ok');
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
";

/// Makes the authorities `other.pem` and `ca.pem`, and by that one `cert.pem` with `key.pem` for 127.0.0.1.
const CERTIFICATES: &str = "
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj '/CN=other authority' \
  -keyout other-key.pem -out other.pem &&
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj '/CN=test authority' \
  -keyout ca-key.pem -out ca.pem &&
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj '/CN=receiver' -keyout key.pem -out csr.pem &&
printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > ext &&
openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile ext -out cert.pem
";

struct HttpsReceiver {
    dir: TempDir,
    node: Child,
    url: String,
}

impl HttpsReceiver {
    fn start(dir: TempDir) -> Self {
        let mut node = Command::new("node")
            .current_dir(dir.path())
            .args(["-e", RECEIVER])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(node.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        let url = format!("https://127.0.0.1:{}/", port.trim());
        Self { dir, node, url }
    }

    fn received(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("received")).unwrap_or_default()
    }
}

impl Drop for HttpsReceiver {
    fn drop(&mut self) {
        let _ = self.node.kill(); // it may have ended by itself
        let _ = self.node.wait();
    }
}

fn make_certificates(dir: &Path) {
    let made = Command::new("sh")
        .current_dir(dir)
        .args(["-c", CERTIFICATES])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{words}");
}

#[test]
fn a_receiver_behind_tls_is_told_if_its_authority_is_trusted_and_only_then() {
    if Command::new("openssl").arg("version").output().is_err() {
        return skip("openssl is not installed");
    }
    let dir = tempfile::tempdir().unwrap();
    make_certificates(dir.path());
    let (authority, other) = (dir.path().join("ca.pem"), dir.path().join("other.pem"));
    let receiver = HttpsReceiver::start(dir);

    let environment = [("SSL_CERT_FILE", other.to_str().unwrap())];
    let mistrustful = Server::start_among(&environment, "", &["--no-front"]);
    mistrustful.create("shop");
    let set = mistrustful.run(&["app", "set", "shop", "webhook", &receiver.url]);
    let words = String::from_utf8_lossy(&set.stderr);
    let why = "warning: ping: TLS: its certificate is signed by nobody whom this machine trusts; ";
    assert!(words.contains(why), "{words}");
    assert_eq!(receiver.received(), "");

    let environment = [("SSL_CERT_FILE", authority.to_str().unwrap())];
    let server = Server::start_among(&environment, "", &["--listen", "127.0.0.1:0"]);
    let repo = server.create("shop");
    let set = server.run(&["app", "set", "shop", "webhook", &receiver.url]);
    let words = String::from_utf8_lossy(&set.stderr);
    assert!(words.contains("\nping: answered 200 in "), "{words}");
    Project::tiny().push(&repo).went_live();
    until("the webhook is told", || {
        receiver
            .received()
            .contains("\"event\":\"live\"")
            .then_some(())
    });
}
