//! Every call of a deploy that changes something may fail, or be the last of the process that makes it: no request is
//! lost, the pusher is told the truth, and the next push works.
//!
//! A part of all calls here; `scripts/faults` has them all.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

#[path = "faults/bench.rs"]
#[allow(unreachable_pub)] // as in tests/support
mod bench;
#[path = "faults/found.rs"]
mod found;
#[path = "faults/shim.rs"]
#[allow(unreachable_pub)]
mod shim;
#[path = "faults/strace.rs"]
#[allow(unreachable_pub)]
mod strace;
#[path = "faults/sweep.rs"]
#[allow(unreachable_pub)]
mod sweep;

use std::time::{SystemTime, UNIX_EPOCH};

use bench::Bench;
use shim::{Call, How};
use strace::{Counts, Strace};
use support::{skip, trace};
use sweep::Fault;

/// How many of each way to go wrong.
const SAMPLE: usize = 10;

#[test]
fn killed_at_a_call() {
    sample(How::Killed);
}

#[test]
fn a_call_fails() {
    sample(How::Io);
}

#[test]
fn the_disk_is_full_for_a_call() {
    sample(How::Full);
}

/// What the preloaded library counts is all that there is.
#[test]
fn strace_sees_the_same_calls() {
    if let Some(why) = trace::impossible() {
        return skip(&why);
    }
    let mut bench = Bench::open();
    // What the server does by itself just when one of the two begins or ends is seen by the other alone.
    let compare = |_| Some(counted_and_seen(&mut bench)).filter(|(counted, seen)| counted == seen);
    let agreed = (0..3).find_map(compare);
    let (counted, seen) = agreed.unwrap_or_else(|| counted_and_seen(&mut bench));
    eprintln!("{seen:#?}");
    assert_eq!(counted, seen);
}

fn counted_and_seen(bench: &mut Bench) -> (Counts, Counts) {
    let dir = tempfile::tempdir().unwrap();
    let strace = Strace::attach(dir.path(), &bench.processes());
    let calls = bench.calls();
    let seen = strace.finish(bench.shim().dir().to_str().unwrap());
    let mut counted = Counts::new();
    for call in calls.iter().filter(|call| call.role() != "front") {
        let key = (call.role().to_owned(), call.kind().to_owned());
        *counted.entry(key).or_default() += 1;
    }
    (counted, seen)
}

/// For `scripts/faults`.
#[test]
#[ignore = "takes long"]
fn sweep_of_calls() {
    let calls = calls();
    let mut faults = sweep::all(&calls);
    if let Ok(name) = std::env::var("HANDOVER_FAULTS_ONLY") {
        faults.retain(|(call, how)| format!("{how} {call}").contains(&name));
    }
    let faults = match number("HANDOVER_FAULTS_RUNS") {
        Some(number) => sweep::some(&faults, usize::try_from(number).unwrap(), seed()),
        None => faults,
    };
    let jobs = number("HANDOVER_FAULTS_JOBS").map_or(2, |jobs| usize::try_from(jobs).unwrap());
    eprintln!("{} calls, {} faults", calls.len(), faults.len());
    judge(faults, jobs);
}

fn sample(how: How) {
    let faults = sweep::all(&calls());
    let faults: Vec<Fault> = faults.into_iter().filter(|fault| fault.1 == how).collect();
    judge(sweep::some(&faults, SAMPLE, seed()), 1);
}

fn calls() -> Vec<Call> {
    let calls = Bench::open().calls();
    // Data, and as many as there are requests.
    calls
        .into_iter()
        .filter(|call| call.role() != "front")
        .collect()
}

fn judge(faults: Vec<Fault>, jobs: usize) {
    let number = faults.len();
    let results = sweep::run(faults, jobs);
    eprintln!("{results}");
    assert!(results.failures.is_empty(), "{results}");
    // How often a slow deploy says that it goes on, or is asked about, differs from one to the next.
    assert!(
        results.reached() * 2 > number,
        "calls are missed: {results}"
    );
}

/// What picks the sample; told, so that it can be had again.
fn seed() -> u64 {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    let seed = number("HANDOVER_FAULTS_SEED").unwrap_or_else(now);
    eprintln!("HANDOVER_FAULTS_SEED={seed}");
    seed
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap())
}
