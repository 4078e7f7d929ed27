//! A real `handover serve` in a directory of its own, ended with everything that it started.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::invariants::processes_of;
use super::trace;
use super::wait::until;

/// A server, and its directory.
#[derive(Debug)]
pub struct Server {
    home: TempDir,
    binary: PathBuf,
    child: Option<Child>,
    address: Option<SocketAddr>,
    environment: Vec<(String, String)>,
    looked_at: bool,
}

impl Server {
    /// A server with a front on a free port.
    pub fn start() -> Self {
        Self::start_with("", &["--listen", "127.0.0.1:0"])
    }

    /// A server with these settings (`handover.toml`) and arguments.
    pub fn start_with(settings: &str, args: &[&str]) -> Self {
        Self::start_among(&[], settings, args)
    }

    /// The same, with these variables in its environment.
    pub fn start_among(environment: &[(&str, &str)], settings: &str, args: &[&str]) -> Self {
        let mut server = Self::prepare(settings);
        server.environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        server.launch(args);
        server
    }

    /// A server that has not been started.
    pub fn prepare(settings: &str) -> Self {
        // Short: socket paths are.
        let home = tempfile::Builder::new()
            .prefix("ho")
            .rand_bytes(5)
            .tempdir_in("/tmp")
            .unwrap();
        std::fs::write(home.path().join("handover.toml"), settings).unwrap();
        Self {
            home,
            binary: env!("CARGO_BIN_EXE_handover").into(),
            child: None,
            address: None,
            environment: Vec::new(),
            looked_at: true,
        }
    }

    /// The state that the test ends in is not looked at: it is not at rest, for this reason.
    pub fn ends_at_work(&mut self, _why: &str) {
        self.looked_at = false;
    }

    /// What is not as it may be at a test's end.
    fn wrong_at_the_end(&mut self) -> Vec<String> {
        let runs = self
            .child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)));
        if runs && self.looked_at && !std::thread::panicking() {
            self.lastingly_wrong()
        } else {
            Vec::new()
        }
    }

    /// Puts a fresh copy of the binary in the place of the one that was used before, as an upgrade does.
    pub fn upgrade_binary(&mut self) {
        let (installed, fresh) = (self.home().join("handover"), self.home().join("fresh"));
        std::fs::copy(env!("CARGO_BIN_EXE_handover"), &fresh).unwrap();
        std::fs::rename(fresh, &installed).unwrap();
        self.binary = installed;
    }

    /// Starts `serve`, which must not run.
    pub fn launch(&mut self, args: &[&str]) {
        let mut command = self.command();
        command.arg("serve").args(args).stdin(Stdio::null());
        self.launch_as(command);
    }

    /// The same with a listening socket, passed as systemd passes it.
    pub fn launch_with_socket(&mut self, socket: &TcpListener, args: &[&str]) {
        let serve = self.command();
        let mut command = Command::new("sh");
        // The shell becomes the server, so that its pid is the server's.
        let script = r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&0 </dev/null"#;
        let stdin = OwnedFd::from(socket.try_clone().unwrap());
        command
            .args(["-c", script, "sh"])
            .arg(serve.get_program())
            .args(serve.get_args())
            .arg("serve")
            .args(args)
            .stdin(stdin);
        self.launch_as(command);
    }

    fn launch_as(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "the server runs already");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        command.stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(
            line.contains("is ready"),
            "the server did not start: {}",
            self.log()
        );
        self.address = line.split("http://").nth(1).map(|rest| {
            rest.split([',', ';', ' '])
                .next()
                .unwrap()
                .trim()
                .parse()
                .unwrap()
        });
        self.child = Some(child);
    }

    /// The arguments for a second start at the same address.
    pub fn same_address(&self) -> [String; 2] {
        ["--listen".to_owned(), self.address().to_string()]
    }

    /// Ends `serve` with a signal and waits for it. Apps run on unless the signal is SIGINT.
    pub fn end(&mut self, signal: Signal) {
        let mut child = self.child.take().expect("the server runs");
        kill(pid(&child), signal).unwrap();
        child.wait().unwrap();
    }

    /// Where the front listens.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("the server has a front")
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// The directory with an app's sockets.
    pub fn run_dir(&self, app: &str) -> PathBuf {
        self.home().join("run").join(app)
    }

    /// The directory with an app's repository, releases and logs.
    pub fn app_dir(&self, app: &str) -> PathBuf {
        self.home().join("apps").join(app)
    }

    /// Where it logs.
    pub fn log_path(&self) -> PathBuf {
        self.home().join("serve.log")
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn kill_file(&self) -> PathBuf {
        self.home().join("kill-at")
    }

    /// Whichever process of the server's passes this point next, or at the time that is named (`point:3`), ends there
    /// (`src/process/rig.rs`).
    pub fn kill_at(&self, point: &str) {
        let fresh = self.home().join("kill-at.new");
        std::fs::write(&fresh, point).unwrap();
        std::fs::rename(fresh, self.kill_file()).unwrap();
    }

    /// Whether a process has ended at the point.
    pub fn was_killed(&self) -> bool {
        !self.kill_file().exists()
    }

    /// Waits for the end of `serve`, which comes by itself.
    pub fn await_death(&mut self) {
        self.child.take().expect("the server runs").wait().unwrap();
    }

    /// Starts `serve` again where it was.
    pub fn launch_again(&mut self) {
        let again = self.same_address();
        self.launch(&[&again[0], &again[1]]);
    }

    /// The same for a server that will not live to be ready.
    pub fn launch_to_die(&mut self) {
        let mut command = self.command();
        command.arg("serve").args(self.same_address());
        let ended = command.output().unwrap().status;
        assert_eq!(ended.code(), None, "it was killed: {}", self.log());
    }

    /// The processes of the front.
    pub fn front_pids(&self) -> Vec<u32> {
        self.pids_like(|line| line.contains(" front --control "))
    }

    /// The processes of this installation whose pid and arguments are like this.
    pub fn pids_like(&self, like: impl Fn(&str) -> bool) -> Vec<u32> {
        let ours = processes_of(self.home()).into_iter();
        ours.filter(|line| like(line))
            .map(|line| line.split(' ').next().unwrap().parse().unwrap())
            .collect()
    }

    /// The keeper of what is live of an app.
    pub fn keeper_pid(&self, app: &str) -> u32 {
        let generation = &self.status(app)["live"]["generation"];
        let record = self.run_dir(app).join(format!("g{generation}/keep.json"));
        let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
        record["keeper"]["pid"]
            .as_u64()
            .unwrap()
            .try_into()
            .unwrap()
    }

    /// Ends the front as an accident would.
    pub fn kill_front(&self) {
        for pid in self.front_pids() {
            kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
        }
    }

    /// The binary, for this home.
    pub fn command(&self) -> Command {
        let mut command = trace::command(&self.binary);
        command.arg("--home").arg(self.home());
        command.env("HANDOVER_KILL_AT", self.kill_file());
        command.envs(self.environment.iter().cloned());
        command
    }

    /// Runs a verb.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command()
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs a verb that must succeed; gives its stdout.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "handover {args:?}: {words}\nserver's log:\n{}",
            self.log()
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a verb with `--json`.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.push("--json");
        serde_json::from_str(&self.ok(&all)).unwrap()
    }

    /// Creates an app; gives what to push to.
    #[track_caller]
    pub fn create(&self, app: &str) -> PathBuf {
        self.create_with(app, &[])
    }

    /// Creates an app with more arguments; gives what to push to.
    #[track_caller]
    pub fn create_with(&self, app: &str, args: &[&str]) -> PathBuf {
        let told = self.ok(&[&["app", "create", app], args].concat());
        PathBuf::from(told.lines().last().unwrap())
    }

    /// The app in `status --json`.
    #[track_caller]
    pub fn status(&self, app: &str) -> Value {
        self.json(&["status", app])["apps"][0].clone()
    }

    /// The process ids of the live generation's instances.
    pub fn instance_pids(&self, app: &str) -> Vec<u32> {
        let status = self.status(app);
        let instances = status["live"]["instances"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        instances
            .iter()
            .filter_map(|one| u32::try_from(one["pid"].as_u64()?).ok())
            .collect()
    }

    /// Waits until no generation of the app is draining.
    pub fn until_drained(&self, app: &str) {
        until("the old generation is gone", || {
            self.status(app)["draining"]
                .as_array()
                .unwrap()
                .is_empty()
                .then_some(())
        });
    }

    /// Waits until the tree of the last install is stored, or is known not to be: till then its release must be left alone.
    #[track_caller]
    pub fn until_shelved(&self) {
        until("it is known what became of the tree", || {
            let log = self.log();
            let installed = log.rfind("event=Began { phase: Install,");
            let known = log.rfind("tree of an install ");
            (installed <= known).then_some(())
        });
    }

    /// Waits until all that follows a deploy is done: the old generation is gone, and the tree of the last install is
    /// stored and in readiness, if it can be.
    #[track_caller]
    pub fn until_at_rest(&self, app: &str) {
        self.until_drained(app);
        self.until_shelved();
        until("a tree is in readiness", || {
            let list = self.ok(&["store", "list", app, "--json"]);
            let list: Value = serde_json::from_str(&list).unwrap();
            let last = list["trees"].get(0);
            last.is_none_or(|tree| tree["ready"] == true).then_some(())
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let wrong = self.wrong_at_the_end();
        if std::thread::panicking() || !wrong.is_empty() {
            eprintln!("server's log:\n{}", self.log());
        }
        if self.child.is_none() {
            // Apps may run on without it: it is what knows how to end them.
            self.launch(&["--no-front"]);
        }
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself, which the test will have noticed.
            let _ = kill(pid(&child), Signal::SIGINT);
            let _ = child.wait();
        }
        // Panicking twice would end all tests of the binary at once.
        if !std::thread::panicking() {
            assert!(wrong.is_empty(), "not as it may be at the end: {wrong:#?}");
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}
