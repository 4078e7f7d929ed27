//! What somebody wants of a server: pushes and commands, each of which may meet a death.

use crate::history::{History, Outcome};
use crate::model::Change;
use crate::step::Kind;
use crate::support::until;

/// Where a process is to die meanwhile.
type Death = Option<&'static str>;

impl History<'_> {
    pub fn push(&mut self, kind: Kind, death: Death) -> Outcome {
        let kind = match kind {
            // There must be something to go back to.
            Kind::Falls if self.model.live_commit().is_none() => Kind::Good,
            kind => kind,
        };
        let commit = self.commit(kind, &self.base(), false);
        self.push_as(&["main"], commit, kind, death)
    }

    pub fn push_again(&mut self, death: Death) -> Outcome {
        let Some((commit, kind)) = self.newest.clone() else {
            return self.push(Kind::Good, death);
        };
        let live = self.model.live_commit();
        if live == Some(&commit) {
            let (told, _) = self.attend(self.push_command(&["main"]), death);
            assert_eq!(told.code, 0, "{}", told.text);
            return Outcome::of([Change::Nothing]);
        }
        if live.is_some_and(|live| !self.contains(&commit, live)) {
            return self.refused(&["main"], death);
        }
        let kind = if live.is_none() && kind == Kind::Falls {
            return self.push(Kind::Good, death);
        } else {
            kind
        };
        self.push_as(&["main"], commit, kind, death)
    }

    pub fn rewrite(&mut self, forced: bool, death: Death) -> Outcome {
        if self.model.live_commit().is_none() {
            return self.push(Kind::Good, death);
        }
        let commit = self.commit(Kind::Good, &self.root.clone(), false);
        if forced {
            self.push_as(&["-f", "-o", "force", "main"], commit, Kind::Good, death)
        } else {
            self.refused(&["-f", "main"], death)
        }
    }

    /// A push that can't go live, however its version behaves.
    fn refused(&mut self, args: &[&str], death: Death) -> Outcome {
        let (told, _) = self.attend(self.push_command(args), death);
        assert_ne!(told.code, 0, "{}", told.text);
        Outcome::of([Change::Nothing])
    }

    /// Pushes a commit that may go live; what the pusher reads must be so.
    fn push_as(&mut self, args: &[&str], commit: String, kind: Kind, death: Death) -> Outcome {
        let (told, died) = self.attend(self.push_command(args), death);
        let allowed = match (kind, told.code) {
            (Kind::Good, 0) => Change::Built(vec![commit]),
            (Kind::Falls, 0) => {
                self.until_back(&commit);
                Change::TriedAndBack(commit)
            }
            // On a busy machine it may fall before it goes live.
            (Kind::Falls | Kind::Unbuildable | Kind::Crashes | Kind::Unwell, 1) => Change::Nothing,
            (Kind::Good, _) if died => Change::Nothing,
            _ => panic!("{kind:?}, {died}: {} {}", told.code, told.text),
        };
        Outcome {
            allowed: vec![allowed],
            app_died: kind == Kind::Falls,
        }
    }

    /// Waits until a version that falls has been taken back.
    fn until_back(&self, commit: &str) {
        until("the version that falls is taken back", || {
            let status = self.server.status(&self.app);
            let back = status["live"]["commit"] != commit && status["state"] == "live";
            back.then_some(())
        });
    }

    pub fn roll_back(&mut self, death: Death) -> Outcome {
        let ways = self.model.ways_back();
        let (told, died) = self.attend(self.verb("rollback"), death);
        let back = ways.iter().flatten().copied().map(Change::Again);
        let mut allowed: Vec<Change> = back.collect();
        if told.code != 0 {
            let nothing = died || ways.contains(&None);
            assert!(nothing, "{ways:?}: {} {}", told.code, told.text);
            allowed.push(Change::Nothing);
            if !died {
                allowed = vec![Change::Nothing];
            }
        }
        Outcome::of(allowed)
    }

    pub fn restart(&mut self, death: Death) -> Outcome {
        let (told, died) = self.attend(self.verb("restart"), death);
        let may_fail = died || self.model.live_commit().is_none();
        assert!(told.code == 0 || may_fail, "{}", told.text);
        Outcome::of([Change::Nothing])
    }

    pub fn rebuild(&mut self, death: Death) -> Outcome {
        let live = self.model.live_commit().map(str::to_owned);
        let (told, died) = self.attend(self.verb("deploy"), death);
        let Some(live) = live else {
            assert_ne!(told.code, 0, "{}", told.text);
            return Outcome::of([Change::Nothing]);
        };
        let built = Change::Built(vec![live]);
        if told.code == 0 {
            return Outcome::of([built]);
        }
        assert!(died, "{}", told.text);
        Outcome::of([Change::Nothing, built])
    }

    fn contains(&self, commit: &str, other: &str) -> bool {
        let base = self.project.git(&["merge-base", commit, other]);
        base.trim() == other
    }
}
