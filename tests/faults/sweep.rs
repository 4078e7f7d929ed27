//! Many faults, a deploy for each, on several servers side by side.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Instant;

use super::bench::{Bench, End};
use super::shim::{Call, How};

/// What is to go wrong.
pub type Fault = (Call, How);

/// How the faults of a sweep have ended.
#[derive(Debug, Default)]
pub struct Results {
    ends: Vec<(Fault, End)>,
    pub failures: Vec<(Fault, String)>,
}

/// Each fault that there can be, in the order of the calls.
pub fn all(calls: &[Call]) -> Vec<Fault> {
    let each = |call: &Call| How::ALL.map(|how| (call.clone(), how));
    calls.iter().flat_map(each).collect()
}

/// Some of them, spread over all, as the seed has it.
pub fn some(faults: &[Fault], number: usize, seed: u64) -> Vec<Fault> {
    let number = number.min(faults.len());
    let offset = usize::try_from(seed % faults.len() as u64).unwrap();
    let at = |one: usize| (offset + one * faults.len() / number) % faults.len();
    (0..number).map(|one| faults[at(one)].clone()).collect()
}

/// Runs them all, the last calls of a deploy first.
pub fn run(faults: Vec<Fault>, jobs: usize) -> Results {
    let queue = Mutex::new(faults);
    let results = Mutex::new(Results::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| work(&queue, &results));
        }
    });
    results.into_inner().unwrap()
}

fn work(queue: &Mutex<Vec<Fault>>, results: &Mutex<Results>) {
    let mut bench = None;
    loop {
        let Some(fault) = queue.lock().unwrap().pop() else {
            return;
        };
        let (call, how) = &fault;
        let on = bench.get_or_insert_with(Bench::open);
        let began = Instant::now();
        let end = catch_unwind(AssertUnwindSafe(|| on.fault(call, *how)));
        match end {
            Ok(end) => {
                eprintln!(
                    "{how} at {call}: {end:?}, {} ms",
                    began.elapsed().as_millis()
                );
                results.lock().unwrap().ends.push((fault, end));
            }
            Err(panic) => {
                let words = words(panic.as_ref());
                let log = on.give_up();
                eprintln!("{how} at {call}: FAILED: {words}\n{log}\n----");
                results.lock().unwrap().failures.push((fault, words));
                bench = None;
            }
        }
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .unwrap_or_default()
}

impl Results {
    pub fn reached(&self) -> usize {
        let reached = |end: &&(Fault, End)| end.1 != End::NotReached;
        self.ends.iter().filter(reached).count()
    }
}

/// A row for each kind of call.
impl fmt::Display for Results {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: BTreeMap<(&str, &str), [usize; 4]> = BTreeMap::new();
        for ((call, _), end) in &self.ends {
            rows.entry((call.role(), call.kind())).or_default()[*end as usize] += 1;
        }
        for ((call, _), _) in &self.failures {
            rows.entry((call.role(), call.kind())).or_default()[3] += 1;
        }
        writeln!(
            out,
            "{:14} {:9} {:>5} {:>5} {:>9} {:>12} {:>7}",
            "who", "what", "runs", "live", "rejected", "not reached", "failed"
        )?;
        for ((role, kind), [live, rejected, missed, failed]) in rows {
            let runs = live + rejected + missed + failed;
            writeln!(
                out,
                "{role:14} {kind:9} {runs:5} {live:5} {rejected:9} {missed:12} {failed:7}"
            )?;
        }
        for ((call, how), words) in &self.failures {
            let first = words.lines().next().unwrap_or_default();
            writeln!(out, "FAILED: {how} at {call}: {first}")?;
        }
        Ok(())
    }
}
