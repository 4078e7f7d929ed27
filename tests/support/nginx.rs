//! A real nginx in front of an app, with the configuration that `handover nginx APP` prints.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{Server, until};

/// As whom Debian's and Ubuntu's packages run nginx's workers.
const WORKER: &str = "www-data";

/// A running nginx, and its directory.
#[derive(Debug)]
pub struct Nginx {
    dir: TempDir,
    child: Child,
    address: SocketAddr,
}

/// Whether this machine has an nginx.
pub fn is_installed() -> bool {
    binary().is_some()
}

fn binary() -> Option<&'static str> {
    ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"]
        .into_iter()
        .find(|path| Path::new(path).exists())
}

/// What the server's `handover.toml` has to say so that nginx's workers may connect to apps.
///
/// As root, workers run as a user of their own, as they do in practice; otherwise as whoever runs the tests.
pub fn settings() -> String {
    if worker_has_own_user() {
        format!("front_group = \"{WORKER}\"\n")
    } else {
        String::new()
    }
}

fn worker_has_own_user() -> bool {
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let is_there = |line: &str| line.starts_with(&format!("{WORKER}:"));
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    is_root && groups.lines().any(is_there)
}

impl Nginx {
    /// Starts an nginx in front of `app`. The server's settings must contain [`settings`].
    pub fn start(server: &Server, app: &str) -> Self {
        // A temporary directory lets nobody else pass; where handover really lives (/run/handover) others do.
        std::fs::set_permissions(server.home(), PermissionsExt::from_mode(0o711)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let address = free_address();
        let config = dir.path().join("nginx.conf");
        std::fs::write(&config, main_config(dir.path(), server, app, address)).unwrap();
        let child = Command::new(binary().expect("nginx is installed"))
            .args(["-p", dir.path().to_str().unwrap(), "-c"])
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut nginx = Self {
            dir,
            child,
            address,
        };
        until("nginx listens", || {
            assert_eq!(nginx.child.try_wait().unwrap(), None, "{}", nginx.log());
            TcpStream::connect(address).ok().map(drop)
        });
        nginx
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        read("stderr") + &read("error.log")
    }
}

/// What surrounds the printed part in an nginx.conf.
fn main_config(dir: &Path, server: &Server, app: &str, address: SocketAddr) -> String {
    let dir = dir.display();
    let user = if worker_has_own_user() {
        format!("user {WORKER};")
    } else {
        String::new()
    };
    let printed = server.ok(&["nginx", app]);
    let listening = printed
        .replace("listen 80;", &format!("listen {address};"))
        .replace("    listen [::]:80;\n", "");
    assert_ne!(printed, listening, "it listens on port 80");
    format!(
        "daemon off;\n{user}\npid {dir}/pid;\nerror_log {dir}/error.log warn;\nworker_processes 2;\n\
         events {{ worker_connections 2048; }}\n\
         http {{\naccess_log off;\nclient_body_temp_path {dir}/body;\nproxy_temp_path {dir}/proxy;\n\
         fastcgi_temp_path {dir}/fastcgi;\nuwsgi_temp_path {dir}/uwsgi;\nscgi_temp_path {dir}/scgi;\n{listening}\n}}\n"
    )
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("nginx's log:\n{}", self.log());
        }
        // It may have ended by itself, which the test will have noticed.
        let _ = kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
        let _ = self.child.wait();
    }
}
