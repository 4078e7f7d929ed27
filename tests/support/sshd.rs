//! A real sshd on loopback that lets in the keys of a server, and clients with keys.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::project::pushed;
use super::{Project, Pushed, Server, until};

/// Where sshd wants an empty directory when it is started by root.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

/// A running sshd, and its directory.
#[derive(Debug)]
pub struct Sshd {
    dir: TempDir,
    child: Child,
    address: SocketAddr,
    home: PathBuf,
}

/// A key pair of somebody's, let in or not.
#[derive(Debug, Clone)]
pub struct Key {
    /// The private half.
    pub path: PathBuf,
    /// The name under which it is let in.
    pub name: String,
}

impl Key {
    /// The line of the `.pub` file.
    pub fn public(&self) -> String {
        std::fs::read_to_string(self.path.with_extension("pub")).unwrap()
    }
}

/// Whether this machine has an sshd and a client.
pub fn is_installed() -> bool {
    binary().is_some() && Path::new("/usr/bin/ssh").exists()
}

fn binary() -> Option<&'static str> {
    ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"]
        .into_iter()
        .find(|path| Path::new(path).exists())
}

impl Sshd {
    /// Starts an sshd whose keys are those of the server, and where everybody logs in as the user who runs the tests.
    pub fn start(server: &Server) -> Self {
        let file = server.home().join("authorized_keys");
        let keys = format!("AuthorizedKeysFile {}\n", file.display());
        Self::start_with(server, &keys)
    }

    /// The same, with other words in place of `AuthorizedKeysFile`.
    pub fn start_with(server: &Server, keys: &str) -> Self {
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            let mut made = std::fs::DirBuilder::new();
            made.recursive(true).mode(0o755);
            made.create(PRIVILEGE_SEPARATION).unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        generate(&dir.path().join("host"));
        let address = free_address();
        let host_key = std::fs::read_to_string(dir.path().join("host.pub")).unwrap();
        let known = format!("[{}]:{} {host_key}", address.ip(), address.port());
        std::fs::write(dir.path().join("known_hosts"), known).unwrap();
        let config = dir.path().join("sshd_config");
        std::fs::write(&config, settings(dir.path(), address, keys)).unwrap();
        let child = Command::new(binary().expect("sshd is installed"))
            .args(["-D", "-e", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut sshd = Self {
            dir,
            child,
            address,
            home: server.home().to_owned(),
        };
        until("sshd listens", || {
            assert_eq!(sshd.child.try_wait().unwrap(), None, "{}", sshd.log());
            TcpStream::connect(address).ok().map(drop)
        });
        sshd
    }

    /// A new key that is let in: `key("ada", &["--app", "shop"])` is `handover keys add ada --app shop`.
    #[track_caller]
    pub fn key(&self, name: &str, args: &[&str]) -> Key {
        let key = self.stranger(name);
        let added = self.add(&key, args);
        let words = String::from_utf8_lossy(&added.stderr);
        assert!(added.status.success(), "keys add {name} {args:?}: {words}");
        key
    }

    /// A new key that nobody lets in.
    pub fn stranger(&self, name: &str) -> Key {
        let path = self.dir.path().join(name);
        generate(&path);
        Key {
            path,
            name: name.to_owned(),
        }
    }

    /// `handover keys add`, for a key that there is.
    pub fn add(&self, key: &Key, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_handover"))
            .arg("--home")
            .arg(&self.home)
            .args(["keys", "add", &key.name])
            .args(args)
            .stdin(std::fs::File::open(key.path.with_extension("pub")).unwrap())
            .output()
            .unwrap()
    }

    /// What `GIT_SSH_COMMAND` must be to use a key, and nothing of whoever runs the tests.
    pub fn git_ssh_command(&self, key: &Key) -> String {
        format!("ssh {}", self.options(key).join(" "))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where to push an app.
    pub fn url(&self, app: &str) -> String {
        format!("ssh://{}@{}/{app}", user(), self.address)
    }

    /// Pushes `main` with a key; `args` are options of git's own, as `-c protocol.version=2`.
    pub fn push(&self, project: &Project, key: &Key, app: &str, args: &[&str]) -> Pushed {
        let output = self
            .git(project.path(), key, args)
            .args(["push", &self.url(app), "main"])
            .output()
            .unwrap();
        pushed(&output)
    }

    /// git in a directory, which uses this key wherever it needs ssh.
    pub fn git(&self, dir: &Path, key: &Key, args: &[&str]) -> Command {
        let mut git = super::project::git_in(dir);
        git.args(args)
            .env("GIT_SSH_COMMAND", self.git_ssh_command(key))
            .stdin(Stdio::null());
        git
    }

    /// `ssh HOST COMMAND` with a key; without a command where that is empty.
    pub fn ssh(&self, key: &Key, command: &str) -> Output {
        self.ssh_command(key, command)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The same as a command, for tests that watch it or give it input.
    pub fn ssh_command(&self, key: &Key, command: &str) -> Command {
        self.ssh_with(key, &[], command)
    }

    /// The same with more options for ssh itself.
    pub fn ssh_with(&self, key: &Key, options: &[&str], command: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(self.options(key)).args(options);
        ssh.args(["-p", &self.address.port().to_string()]);
        ssh.args(["--", &format!("{}@{}", user(), self.address.ip())]);
        if !command.is_empty() {
            ssh.arg(command);
        }
        ssh
    }

    /// Options of ssh that use this key, and nothing of whoever runs the tests.
    fn options(&self, key: &Key) -> Vec<String> {
        let known = self.dir.path().join("known_hosts");
        let mut options = vec!["-F".to_owned(), "/dev/null".to_owned()];
        options.extend(["-i".to_owned(), key.path.to_str().unwrap().to_owned()]);
        for option in [
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=/dev/null",
            &format!("UserKnownHostsFile={}", known.display()),
            "BatchMode=yes",
            "LogLevel=ERROR",
        ] {
            options.extend(["-o".to_owned(), option.to_owned()]);
        }
        options
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

fn settings(dir: &Path, address: SocketAddr, keys: &str) -> String {
    let host_key = dir.join("host");
    format!(
        "ListenAddress {address}\nHostKey {}\nPidFile none\nUsePAM no\nStrictModes no\n{keys}\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
         AcceptEnv GIT_PROTOCOL\nMaxStartups 100\nLogLevel VERBOSE\n",
        host_key.display()
    )
}

/// Makes a key pair: `path` and `path.pub`.
fn generate(path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "somebody's", "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
}

/// Who runs the tests.
pub fn user() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap();
    user.expect("whoever runs the tests has a name").name
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(30)..];
            eprintln!("the last of sshd's log:\n{}", last.join("\n"));
        }
        // It may have ended by itself, which the test will have noticed.
        let _ = kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
        let _ = self.child.wait();
    }
}
