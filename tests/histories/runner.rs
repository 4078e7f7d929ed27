//! Histories side by side, each from a seed of its own, with the shortest that still fails.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::lane::{Lane, has_disks};
use crate::step::{Step, histories};

/// For how long shorter histories are tried after one that has failed.
const SHRINK_MS: u32 = 180_000;

/// What is to be played.
#[derive(Debug, Clone, Copy)]
pub struct Histories {
    pub seed: u64,
    pub count: u32,
    pub lanes: usize,
    /// How many shorter histories are tried after one that has failed, at most.
    pub shrinks: u32,
}

/// One history.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    seed: u64,
    index: u32,
}

/// Another one each time.
pub fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap();
    since.as_secs() ^ u64::from(since.subsec_nanos())
}

impl Histories {
    /// Plays all; panics with those that have failed.
    pub fn play(self) {
        let began = Instant::now();
        eprintln!("{} histories from the seed {}", self.count, self.seed);
        let has_disks = has_disks();
        let (next, failed) = (AtomicU32::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..self.lanes {
                scope.spawn(|| self.play_lane(&mut Lane::new(has_disks), &next, &failed));
            }
        });
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        eprintln!(
            "{} histories in {} s, {} failed",
            self.count,
            began.elapsed().as_secs(),
            failed.len()
        );
        assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    }

    fn play_lane(self, lane: &mut Lane, next: &AtomicU32, failed: &Mutex<Vec<String>>) {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= self.count {
                return lane.leave();
            }
            if index > 0 && index.is_multiple_of(50) {
                eprintln!("{index} histories");
            }
            let number = Number {
                seed: self.seed,
                index,
            };
            if let Err(report) = number.play_on(lane, self.shrinks) {
                eprintln!("{report}");
                failed
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(report);
            }
        }
    }
}

impl Number {
    /// From `SEED:INDEX`.
    pub fn parse(text: &str) -> Self {
        let (seed, index) = text.split_once(':').expect("a history is SEED:INDEX");
        Self {
            seed: seed.parse().unwrap(),
            index: index.parse().unwrap(),
        }
    }

    /// Plays it, and tells each step.
    pub fn play(self) {
        let mut lane = Lane::new(has_disks());
        if let Err(report) = self.play_on(&mut lane, 0) {
            panic!("{report}");
        }
        lane.leave();
    }

    fn play_on(self, lane: &mut Lane, shrinks: u32) -> Result<(), String> {
        let mut runner = self.runner(shrinks);
        let tree = histories().new_tree(&mut runner).unwrap();
        let lane = Mutex::new(lane);
        let first = Mutex::new(None);
        let played = runner.run_one(tree, |steps: Vec<Step>| {
            first
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert_with(|| steps.clone());
            let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
            lane.play(&steps);
            Ok(())
        });
        let Err(error) = played else { return Ok(()) };
        let first = first.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (seed, index) = (self.seed, self.index);
        let (reason, steps) = match error {
            TestError::Fail(reason, steps) => (reason.to_string(), steps),
            TestError::Abort(reason) => (reason.to_string(), Vec::new()),
        };
        Err(format!(
            "history {seed}:{index} has failed; to repeat it: HANDOVER_HISTORY={seed}:{index} scripts/histories\n{first:#?}\nthe shortest that fails is\n{steps:#?}\n{reason}"
        ))
    }

    fn runner(self, shrinks: u32) -> TestRunner {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.index.to_le_bytes());
        let config = Config {
            failure_persistence: None,
            max_shrink_iters: shrinks,
            max_shrink_time: SHRINK_MS,
            ..Config::default()
        };
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }
}
