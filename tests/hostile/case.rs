//! One push of somebody hostile, and what must have come of it.

use crate::ground::{APP, Ground};
use crate::support::raw_push::{Reply, Request, send};

/// The longest reason that fits where it is shown, in characters.
const REASON_MAX: usize = 200;

/// What must come of a push.
#[derive(Clone, Copy, Debug)]
pub enum Expect {
    /// It is refused for a reason with this in it (or this, or that: `|`), and nothing has changed.
    Refused(&'static str),
    /// It asks for nothing that can be understood, and nothing is what it gets.
    Nothing,
    /// It is kept, and nothing was deployed.
    Stored,
    /// The first of its refs is kept, and the other refused for a reason with this in it. Nothing was deployed.
    StoredFirst(&'static str),
    /// It is deployed.
    Live,
}

type Make = Box<dyn Fn(&Ground) -> Vec<u8>>;

/// A row: what is sent, and what must come of it.
pub struct Case {
    name: String,
    make: Make,
    expect: Expect,
}

impl Case {
    pub fn new(
        name: impl Into<String>,
        expect: Expect,
        make: impl Fn(&Ground) -> Request + 'static,
    ) -> Self {
        Self::raw(name, expect, move |ground| make(ground).bytes())
    }

    /// A row whose bytes are no proper request.
    pub fn raw(
        name: impl Into<String>,
        expect: Expect,
        make: impl Fn(&Ground) -> Vec<u8> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            make: Box::new(make),
            expect,
        }
    }

    /// Sends it; gives what is wrong with what came of it.
    pub fn faults(&self, ground: &mut Ground) -> Vec<String> {
        let reply = send(&ground.repo, &(self.make)(ground));
        let mut faults = faults_of_reply(ground, &reply);
        faults.extend(self.faults_of_outcome(ground, &reply));
        if std::env::var_os("HOSTILE_SHOW").is_some() {
            eprintln!(
                "== {} ({:?}) exit {:?}\n{}",
                self.name,
                self.expect,
                reply.exit,
                shown(&reply)
            );
        }
        if !faults.is_empty() {
            faults.push(shown(&reply));
        }
        faults
    }

    fn faults_of_outcome(&self, ground: &mut Ground, reply: &Reply) -> Vec<String> {
        let mut faults = Vec::new();
        match self.expect {
            Expect::Refused(says) => {
                faults.extend(fault_of_reason(reply, says));
                if String::from_utf8_lossy(&reply.remote).contains("  install    ") {
                    faults.push("npm was run for it".to_owned());
                }
                if reply.refs.iter().any(|line| line.starts_with(b"ok ")) {
                    faults.push("it was told that it is accepted".to_owned());
                }
            }
            Expect::Nothing => {}
            Expect::Stored => faults.extend(fault_of_storing(ground)),
            Expect::StoredFirst(says) => {
                faults.extend(fault_of_reason(reply, says));
                faults.extend(fault_of_storing(ground));
            }
            Expect::Live => match ground.server.status(APP)["live"]["commit"].as_str() {
                Some(commit) if commit != ground.live.to_string() => ground.accept(),
                _ => faults.push("it was not deployed".to_owned()),
            },
        }
        faults.extend(ground.differences());
        faults
    }
}

/// What no reply may be, whatever was sent.
fn faults_of_reply(ground: &Ground, reply: &Reply) -> Vec<String> {
    let mut faults = Vec::new();
    let told = [&reply.raw[..], &reply.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    if reply.hung {
        faults.push("it did not end".to_owned());
    } else if reply.exit.is_none() {
        faults.push("receive-pack was killed by a signal".to_owned());
    }
    if told.contains("panicked") || ground.server.log().contains("panicked") {
        faults.push("a panic".to_owned());
    }
    if let Some(secret) = ground.told_secret(&told) {
        faults.push(format!("the secret was told: {secret}"));
    }
    if reply
        .remote
        .iter()
        .any(|byte| byte.is_ascii_control() && *byte != b'\n')
    {
        faults.push("control bytes were told".to_owned());
    }
    faults
}

/// A refusal says why, in one line that a person can read.
fn fault_of_reason(reply: &Reply, says: &str) -> Option<String> {
    let reasons = reply.reasons();
    let Some(reason) = reasons
        .iter()
        .find(|reason| says.split('|').any(|one| reason.contains(one)))
    else {
        return Some(format!("no reason says {says:?}: {reasons:#?}"));
    };
    let long = reason.chars().count() > REASON_MAX;
    let unclean = reason.chars().any(char::is_control);
    (long || unclean).then(|| format!("that is no line for a person: {reason:?}"))
}

/// What is stored is one ref, which is then taken away again.
fn fault_of_storing(ground: &Ground) -> Option<String> {
    let new = ground.new_refs();
    ground.forget_new_refs();
    (new != 1).then(|| format!("{new} refs were stored"))
}

fn shown(reply: &Reply) -> String {
    let cut = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes)
            .chars()
            .take(1500)
            .collect::<String>()
    };
    let refs: Vec<_> = reply.refs.iter().take(5).map(|line| cut(line)).collect();
    format!(
        "reply: exit {:?}, unpack {:?}, refs {refs:?}, fatal {:?}, stderr {:?}, remote:\n{}",
        reply.exit,
        reply.unpack,
        cut(&reply.fatal),
        cut(&reply.stderr),
        cut(&reply.remote)
    )
}

/// Sends all of them to one server; panics with all that went wrong.
pub fn all_end_well(ground: &mut Ground, cases: &[Case]) {
    let only = std::env::var("HOSTILE_ONLY").unwrap_or_default();
    let mut wrong = Vec::new();
    for case in cases.iter().filter(|case| case.name.contains(&only)) {
        let faults = case.faults(ground);
        if !faults.is_empty() {
            wrong.push(format!("### {}\n{}", case.name, faults.join("\n")));
            ground.accept();
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} pushes:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n\n")
    );
}
