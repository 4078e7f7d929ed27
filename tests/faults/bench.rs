//! An app in use, and one deploy of it in which one call goes wrong.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::shim::{Call, How, Shim};
use crate::support::invariants::{branch, processes_of};
use crate::support::project::pushed;
use crate::support::{Pushed, Server, Shop, Visitor, until};

/// What has a step for each kind of call: directories, links, a build.
const PACKAGE: &str = r#"{"name": "shop", "version": "1.0.0", "scripts": {"start": "node server.js", "build": "true"}}"#;
/// After a push that takes longer, something hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// What came of a deploy in which a call went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The commit is live, and the pusher knows.
    Live,
    /// It never was, and the pusher knows.
    Rejected,
    /// The call was not made this time.
    NotReached,
}

/// A server with an app whose first version is live.
#[derive(Debug)]
pub struct Bench {
    shop: Shop,
    shim: Shim,
    versions: usize,
}

impl Bench {
    pub fn open() -> Self {
        let shim = Shim::build();
        let environment = shim.environment();
        let environment = environment
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let settings = "keep_releases = 1\n";
        let server = Server::start_among(&environment, settings, &["--listen", "127.0.0.1:0"]);
        shim.leave_out(server.home());
        let mut bench = Self {
            shop: Shop::open_on(server, "v1", &[]),
            shim,
            versions: 1,
        };
        bench.shop.project.write("package.json", PACKAGE);
        bench.shop.project.write("lib/greeting.js", "// hello");
        let link = bench.shop.project.path().join("lib/link.js");
        std::os::unix::fs::symlink("greeting.js", link).unwrap();
        bench.next_push_works();
        bench
    }

    /// The calls of one deploy, from the push to the end of the version before.
    pub fn calls(&mut self) -> Vec<Call> {
        let (before, log) = (self.shim.calls().len(), self.shop.server.log().len());
        self.next_version();
        self.shim.record();
        let told = self.push();
        told.went_live();
        self.settle(&told, log);
        self.shim.disarm();
        self.shim.calls().split_off(before)
    }

    /// The app, for tests that do more with it.
    pub fn shop(&self) -> &Shop {
        &self.shop
    }

    pub fn shim(&self) -> &Shim {
        &self.shim
    }

    /// The processes that make them, with their roles.
    pub fn processes(&self) -> Vec<(u32, &'static str)> {
        let home = self.shop.server.home();
        let ours = processes_of(home).into_iter();
        let keepers = ours.filter(|line| line.contains(" keep --dir "));
        let pid = |line: String| line.split(' ').next().unwrap().parse().unwrap();
        let keepers = keepers.map(|line| (pid(line), "keep"));
        keepers.chain([(self.shop.server.pid(), "serve")]).collect()
    }

    /// The state can't be relied on any more.
    pub fn give_up(&mut self) -> String {
        self.shim.disarm();
        self.shop.server.ends_at_work("something is wrong already");
        self.shop.server.log()
    }

    fn next_version(&mut self) -> (String, String) {
        self.versions += 1;
        let version = format!("v{}", self.versions);
        let commit = self.shop.project.version(&version);
        (version, commit)
    }

    fn next_push_works(&mut self) {
        let (_, commit) = self.next_version();
        self.goes_live(&commit);
    }

    fn goes_live(&self, commit: &str) {
        self.shop.project.push(&self.shop.repo).went_live();
        assert_eq!(self.live(), commit);
        self.shop.server.until_drained("shop");
        self.shop.server.assert_right();
    }

    fn live(&self) -> String {
        let status = self.shop.server.status("shop");
        status["live"]["commit"].as_str().unwrap().to_owned()
    }

    /// One deploy in which this call goes wrong, and the next. Panics where anything is not as it has to be.
    pub fn fault(&mut self, call: &Call, how: How) -> End {
        let (commit, end) = self.deploy_with(call, how);
        self.the_next_push_works(&commit);
        end
    }

    /// The same, with a start of `serve` at once after the push.
    pub fn fault_then_restart(&mut self, call: &Call, how: How) -> End {
        let (_, commit) = self.next_version();
        self.shim.arm(call, how);
        let told = self.push();
        self.shop.server.end(Signal::SIGKILL);
        self.shim.disarm();
        self.shop.server.launch_again();
        self.shop.server.assert_right();
        let live = self.told_the_truth(&commit, &told);
        self.the_next_push_works(&commit);
        self.end(live)
    }

    /// One deploy in which this call goes wrong: its commit, and its end.
    pub fn deploy_with(&mut self, call: &Call, how: How) -> (String, End) {
        let log = self.shop.server.log().len();
        let (version, commit) = self.next_version();
        let visitor = Visitor::arrive(self.shop.server.address());
        self.shim.arm(call, how);
        let told = self.push();
        self.settle(&told, log);
        self.shim.disarm();
        if let (How::Killed, Some(victim)) = (how, self.shim.hit()) {
            // It has been told to end, and may take its time for it.
            until("the victim has ended", || has_ended(victim).then_some(()));
        }
        self.look_after_serve();
        self.shop.server.assert_right();
        let live = self.told_the_truth(&commit, &told);
        let answers = visitor.leave_satisfied();
        let body = format!("version {version}\n");
        assert!(
            live || answers.iter().all(|answer| answer.body != body),
            "what was rejected has answered: {}",
            told.text
        );
        let log = self.shop.server.log().split_off(log);
        assert!(!log.contains("panicked at"), "somebody panicked");
        (commit, self.end(live))
    }

    fn end(&self, live: bool) -> End {
        match (self.shim.hit(), live) {
            (None, _) => End::NotReached,
            (Some(_), true) => End::Live,
            (Some(_), false) => End::Rejected,
        }
    }

    /// What was rejected may be pushed again; if it was not, what comes after it.
    fn the_next_push_works(&mut self, commit: &str) {
        let visitor = Visitor::arrive(self.shop.server.address());
        if self.live() == commit {
            self.next_push_works();
        } else {
            self.goes_live(commit);
        }
        visitor.leave_satisfied();
    }

    /// Pushes; whenever `serve` dies, it is started again.
    fn push(&mut self) -> Pushed {
        let mut push = self.shop.project.push_command(&self.shop.repo, &["main"]);
        let mut push = push.stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while push.try_wait().unwrap().is_none() {
            self.look_after_serve();
            if Instant::now() > deadline {
                give_up(push);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        pushed(&push.wait_with_output().unwrap())
    }

    /// Until the call has been made, or all that the deploy is about: the end of the version before comes last.
    fn settle(&mut self, told: &Pushed, log: usize) {
        until("the deploy is at an end", || {
            self.look_after_serve();
            let retired = || self.shop.server.log()[log..].contains("event=Retired");
            (told.code != 0 || self.shim.hit().is_some() || retired()).then_some(())
        });
    }

    fn look_after_serve(&mut self) {
        let server = &mut self.shop.server;
        if has_ended(server.pid()) {
            server.await_death();
            server.launch_again();
        }
    }

    /// `ok` and the commit is live, or it is not and the branch does not name it.
    fn told_the_truth(&self, commit: &str, told: &Pushed) -> bool {
        let live = self.live() == commit;
        assert_eq!(told.code == 0, live, "{}", told.text);
        assert_eq!(branch(&self.shop.repo) == commit, live, "{}", told.text);
        live
    }
}

fn give_up(mut push: Child) -> ! {
    push.kill().unwrap();
    let told = pushed(&push.wait_with_output().unwrap());
    panic!("the push hangs: {}", told.text);
}

/// Dead, and not yet reaped.
fn has_ended(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    matches!(state, None | Some('Z' | 'X'))
}
