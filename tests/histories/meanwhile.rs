//! What happens while a push is being built.

use nix::sys::signal::Signal;

use crate::deaths::end;
use crate::history::{History, Outcome};
use crate::model::Change;
use crate::step::{Kind, Meanwhile, Role, Roles};
use crate::support::{Pusher, until};

impl History<'_> {
    /// A good version is pushed, and this happens while its build waits.
    pub fn during(&mut self, meanwhile: Meanwhile) -> Outcome {
        let _ = std::fs::remove_file(self.doors.path().join("go"));
        let _ = std::fs::remove_file(self.doors.path().join("begun"));
        let commit = self.commit(Kind::Good, &self.base(), true);
        let push = Pusher::start(&mut self.push_command(&["main"]));
        let begun = self.doors.path().join("begun");
        until("the build has begun", || begun.exists().then_some(()));
        let built = Change::Built(vec![commit.clone()]);
        match meanwhile {
            Meanwhile::Die(roles) => {
                self.kill(roles);
                self.goes_live(push);
                return Outcome {
                    allowed: vec![built],
                    app_died: roles.has(Role::App),
                };
            }
            Meanwhile::Restart => {
                self.terminate();
                self.goes_live(push);
            }
            Meanwhile::Cancel => {
                self.server.ok(&["cancel", &self.app]);
                return self.fails(push);
            }
            Meanwhile::KillBuild => {
                for pid in self.processes("build.sh") {
                    end(pid);
                }
                return self.fails(push);
            }
            Meanwhile::Overtake => return self.overtaken(push, &commit),
            Meanwhile::LoseAll => {
                push.signal_all(Signal::SIGKILL);
                self.is_not_missed(push);
            }
            Meanwhile::LoseHook => {
                self.end_all(" hook proc-receive");
                self.is_not_missed(push);
            }
            Meanwhile::LoseReceiver => {
                self.end_all("receive-pack ");
                self.is_not_missed(push);
            }
            Meanwhile::Full(left) => return self.without_room(push, built, left, None),
            Meanwhile::FullAndKilled(left) => {
                return self.without_room(push, built, left, Some(Role::Serve));
            }
        }
        Outcome::of([built])
    }

    fn open_door(&self) {
        std::fs::write(self.doors.path().join("go"), "").unwrap();
    }

    fn goes_live(&mut self, push: Pusher) {
        self.open_door();
        let told = self.follow(push);
        assert_eq!(told.code, 0, "{}\n{}", told.text, self.server.log());
    }

    fn fails(&mut self, push: Pusher) -> Outcome {
        let told = self.follow(push);
        assert_eq!(told.code, 1, "{}", told.text);
        // The same commit may be pushed again.
        self.open_door();
        Outcome::of([Change::Nothing])
    }

    fn end_all(&self, words: &str) {
        let pids = self.processes(words);
        assert!(!pids.is_empty(), "{words} runs");
        pids.into_iter().for_each(end);
    }

    /// The deploy goes on without whoever pushed.
    fn is_not_missed(&mut self, push: Pusher) {
        let told = self.follow(push);
        assert_ne!(told.code, 0, "{}", told.text);
        self.open_door();
    }

    /// A newer version waits for its turn, and both go live.
    fn overtaken(&mut self, push: Pusher, commit: &str) -> Outcome {
        let newer = self.commit(Kind::Good, commit, false);
        let next = Pusher::start(&mut self.push_command(&["main"]));
        next.until_reads("of this app to end");
        self.goes_live(push);
        self.goes_live(next);
        Outcome::of([Change::Built(vec![commit.to_owned(), newer])])
    }

    /// Whether the push goes live depends on how much room is left; that it tells the truth does not.
    fn without_room(
        &mut self,
        push: Pusher,
        built: Change,
        left: u16,
        dies: Option<Role>,
    ) -> Outcome {
        if let Some(disk) = self.disk {
            disk.fill_up_to(left);
        }
        if let Some(role) = dies {
            self.kill(Roles::only(role));
        }
        self.open_door();
        let told = self.follow(push);
        if let Some(disk) = self.disk {
            disk.free();
        }
        match told.code {
            0 => Outcome::of([built]),
            1 if self.disk.is_some() => Outcome::of([Change::Nothing]),
            _ => panic!("{}", told.text),
        }
    }
}
