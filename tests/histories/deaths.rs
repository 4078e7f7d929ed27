//! Deaths: of processes that are named, and of whoever comes past a point.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::history::History;
use crate::step::{Role, Roles};
use crate::support::invariants::processes_of;
use crate::support::{Group, Pushed, Pusher};

/// How often it is looked whether the server has died.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long after the end of a command somebody may come past a point that lies behind it.
const AFTERWARDS: Duration = Duration::from_millis(700);

impl History<'_> {
    pub fn push_command(&self, args: &[&str]) -> Command {
        self.project.push_command(&self.repo, args)
    }

    /// A command that concerns the app.
    pub fn verb(&self, verb: &str) -> Command {
        let mut command = self.server.command();
        command.args([verb, &self.app]).stdout(Stdio::null());
        command
    }

    /// Runs a command to its end; whoever passes the point dies, and `serve` is started again where it was that. Gives
    /// whether somebody has died.
    pub fn attend(&mut self, mut command: Command, death: Option<&'static str>) -> (Pushed, bool) {
        if let Some(point) = death {
            self.server.kill_at(point);
        }
        let pusher = Pusher::start(&mut command);
        let (told, mut is_back) = self.follow_through(pusher);
        let Some(point) = death else {
            assert!(!is_back, "the server has ended by itself");
            return (told, false);
        };
        let waited = Instant::now();
        while !self.server.was_killed() && waited.elapsed() < AFTERWARDS {
            sleep(LOOK_EVERY);
        }
        // Nobody else is to die of it; who has removed the file dies.
        let died = std::fs::remove_file(self.server.home().join("kill-at")).is_err();
        let of_serve = !point.starts_with("keep.") && !point.starts_with("front.");
        if died && of_serve && !is_back {
            self.server.await_death();
            self.server.launch_again();
            is_back = true;
        }
        assert!(
            !died || is_back == of_serve,
            "nobody dies at {point} but who passes it"
        );
        if point.starts_with("keep.") {
            // What listened may have listened to an orphan, which is a process that nobody remembers.
            self.listeners.clear();
        }
        (told, died)
    }

    /// Waits for the end of a command, and starts `serve` again whenever it has died.
    pub fn follow(&mut self, pusher: Pusher) -> Pushed {
        self.follow_through(pusher).0
    }

    /// The same; gives whether `serve` had to be started again.
    fn follow_through(&mut self, pusher: Pusher) -> (Pushed, bool) {
        std::thread::scope(|scope| {
            let end = scope.spawn(|| pusher.finish());
            let mut is_back = false;
            while !end.is_finished() {
                if is_dead(self.server.pid()) {
                    self.server.await_death();
                    self.server.launch_again();
                    is_back = true;
                }
                sleep(LOOK_EVERY);
            }
            (end.join().unwrap(), is_back)
        })
    }

    /// `serve` is ended as by an administrator, and started again.
    pub fn terminate(&mut self) {
        self.server.end(Signal::SIGTERM);
        self.server.launch_again();
    }

    /// Kills, and starts `serve` again if it was among the killed.
    pub fn kill(&mut self, roles: Roles) {
        if roles.has(Role::App) || roles.has(Role::Keepers) {
            self.listeners.clear();
        }
        let keepers = self.processes(" keep ");
        let fronts = self.server.front_pids();
        let instances = self.server.instance_pids(&self.app);
        if roles.has(Role::Serve) {
            self.server.end(Signal::SIGKILL);
        }
        let keepers = keepers.iter().filter(|_| roles.has(Role::Keepers));
        let fronts = fronts.iter().filter(|_| roles.has(Role::Front));
        for pid in keepers.chain(fronts) {
            end(*pid);
        }
        for pid in instances.iter().filter(|_| roles.has(Role::App)) {
            // The group may have ended with its keeper.
            for member in Group(*pid).members() {
                end(member);
            }
        }
        if roles.has(Role::Serve) {
            self.server.launch_again();
        }
    }

    /// The processes of this installation whose command line has these words.
    pub fn processes(&self, words: &str) -> Vec<u32> {
        let all = processes_of(self.server.home()).into_iter();
        let meant = all.filter(|line| line.contains(words));
        meant
            .map(|line| line.split(' ').next().unwrap().parse().unwrap())
            .collect()
    }
}

/// Ends a process that may have ended already.
pub fn end(pid: u32) {
    let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
}

/// Whether our child has ended (`proc_pid_stat(5)`).
fn is_dead(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| rest.starts_with(['Z', 'X']))
}
