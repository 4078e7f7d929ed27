//! One history: an app of its own on a server, what was done to it, and how it must be now.

use std::path::PathBuf;
use std::time::Instant;

use tempfile::TempDir;

use crate::disk::Disk;
use crate::model::{Change, Model, Seen};
use crate::step::{Action, Kind, Role, Step};
use crate::support::caller::{Caller, Listener, ask};
use crate::support::{Project, Server, http, until};
use crate::version;

/// A history under way.
#[derive(Debug)]
pub struct History<'d> {
    pub server: Server,
    pub disk: Option<&'d Disk>,
    pub app: String,
    pub repo: PathBuf,
    /// The project's first commit, which is never deployed by itself.
    pub root: String,
    pub project: Project,
    /// Where builds wait until they may go on.
    pub doors: TempDir,
    /// The newest commit, and how it behaves.
    pub newest: Option<(String, Kind)>,
    pub model: Model,
    pub listeners: Vec<Listener>,
    caller: Option<Caller>,
    versions: u32,
}

/// What a step may have brought about.
#[derive(Debug)]
pub struct Outcome {
    pub allowed: Vec<Change>,
    /// Whether an instance was killed, or ended by itself, with the requests that it had accepted.
    pub app_died: bool,
}

impl Outcome {
    /// One of these, and no request is lost.
    pub fn of(allowed: impl Into<Vec<Change>>) -> Self {
        Self {
            allowed: allowed.into(),
            app_died: false,
        }
    }
}

impl<'d> History<'d> {
    /// An app to which nothing has been pushed.
    pub fn begin(server: Server, disk: Option<&'d Disk>, app: &str) -> Self {
        let repo = server.create_with(app, &["--domain", &format!("{app}.test")]);
        server.ok(&["app", "set", app, "force", "on"]);
        let (project, root) = version::project();
        Self {
            server,
            disk,
            app: app.to_owned(),
            repo,
            root,
            project,
            doors: tempfile::tempdir().unwrap(),
            newest: None,
            model: Model::default(),
            listeners: Vec::new(),
            caller: None,
            versions: 0,
        }
    }

    /// Takes one step after the other.
    pub fn play(&mut self, steps: &[Step]) {
        for (at, step) in steps.iter().enumerate() {
            let began = Instant::now();
            let outcome = self.take(*step);
            let taken = began.elapsed().as_millis();
            self.settle(&outcome, &format!("step {at} of {steps:#?}"));
            let settled = began.elapsed().as_millis();
            eprintln!(
                "{}: {step:?}: {taken} ms, at rest after {settled} ms",
                self.app
            );
        }
    }

    /// Whatever has happened: the next push goes live, and nothing is left of the app when it is destroyed.
    pub fn end(mut self) -> Server {
        self.listeners.clear();
        let last = Step {
            action: Action::Push(Kind::Good),
            dies_at: None,
        };
        let outcome = self.take(last);
        self.settle(&outcome, "the last push");
        self.caller = None;
        self.server.ok(&["app", "destroy", &self.app, "--yes"]);
        assert!(!self.server.app_dir(&self.app).exists());
        assert!(!self.server.run_dir(&self.app).exists());
        self.server.assert_right();
        self.server
    }

    fn take(&mut self, step: Step) -> Outcome {
        match step.action {
            Action::Push(kind) => self.push(kind, step.dies_at),
            Action::PushAgain => self.push_again(step.dies_at),
            Action::Rewrite { forced } => self.rewrite(forced, step.dies_at),
            Action::Rollback => self.roll_back(step.dies_at),
            Action::Restart => self.restart(step.dies_at),
            Action::Rebuild => self.rebuild(step.dies_at),
            Action::Kill(roles) => {
                self.kill(roles);
                Outcome {
                    allowed: vec![Change::Nothing],
                    app_died: roles.has(Role::App),
                }
            }
            Action::Terminate => {
                self.terminate();
                Outcome::of([Change::Nothing])
            }
            Action::During(meanwhile) => self.during(meanwhile),
            Action::Listen => {
                if self.model.live_commit().is_some() {
                    let listener = Listener::to(&self.live_socket()).unwrap();
                    self.listeners.push(listener);
                }
                Outcome::of([Change::Nothing])
            }
        }
    }

    /// Waits until all is at rest, and compares.
    fn settle(&mut self, outcome: &Outcome, what: &str) {
        self.server.assert_right();
        let seen = self.seen();
        if let Err(reason) = self.model.follow(&outcome.allowed, &seen) {
            panic!("{what}: {reason}\n{}", self.server.log());
        }
        if let Some(commit) = self.model.live_commit() {
            let wanted = self.project.git(&["show", &format!("{commit}:VERSION")]);
            let answer = ask(&self.live_socket()).unwrap();
            assert_eq!(answer, format!("version {wanted}"), "{what}");
            self.front_answers(&answer);
        }
        for listener in &mut self.listeners {
            let heard = listener.hears();
            assert!(
                heard.is_ok(),
                "{what}: a listener has been cut off: {heard:?}"
            );
        }
        self.no_request_is_lost(outcome, what);
    }

    fn no_request_is_lost(&mut self, outcome: &Outcome, what: &str) {
        match &self.caller {
            Some(caller) => {
                let lost = caller.failures();
                assert!(
                    outcome.app_died || lost.is_empty(),
                    "{what}: requests are lost: {lost:#?}\n{}",
                    self.server.log()
                );
            }
            None if self.model.live_commit().is_some() => {
                self.caller = Some(Caller::at(self.live_socket()));
            }
            None => {}
        }
    }

    /// A front may have been killed, and be about to come back.
    fn front_answers(&self, wanted: &str) {
        let host = format!("{}.test", self.app);
        until("the front answers", || {
            let answer = http::get_from(self.server.address(), &host, "/").ok()?;
            (answer.body == wanted).then_some(())
        });
    }

    pub fn live_socket(&self) -> PathBuf {
        self.server.run_dir(&self.app).join("live.sock")
    }

    /// What the server says of the app.
    pub fn seen(&self) -> Seen {
        let live = &self.server.status(&self.app)["live"];
        let number = |value: &serde_json::Value| u32::try_from(value.as_u64().unwrap()).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let releases = self.server.json(&["releases", &self.app]);
        let releases = releases["releases"].as_array().unwrap().iter();
        Seen {
            live: (!live.is_null()).then(|| (number(&live["release"]), text(&live["commit"]))),
            releases: releases
                .map(|one| (number(&one["release"]), text(&one["commit"])))
                .collect(),
        }
    }

    /// Commits a version on top of this commit; where it has a door, its build waits there.
    pub fn commit(&mut self, kind: Kind, on: &str, door: bool) -> String {
        self.versions += 1;
        self.project.git(&["checkout", "-q", "-B", "main", on]);
        let doors = door.then(|| self.doors.path());
        version::write(&self.project, self.versions, kind, doors);
        let commit = self
            .project
            .commit(&format!("version {} {kind:?}", self.versions));
        self.newest = Some((commit.clone(), kind));
        commit
    }

    /// What the next version is to contain: what is live, or the project's beginning.
    pub fn base(&self) -> String {
        match self.model.live_commit() {
            Some(commit) => commit.to_owned(),
            None => self.root.clone(),
        }
    }
}
