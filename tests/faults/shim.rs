//! What is preloaded into handover's processes (`shim.c`), from the side of the test: which call is hit, and how.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// The process ends before it makes the call.
    Killed,
    /// The device fails.
    Io,
    /// The device is full.
    Full,
}

impl How {
    pub const ALL: [Self; 3] = [Self::Killed, Self::Io, Self::Full];

    const fn error(self) -> i32 {
        match self {
            Self::Killed => 0,
            Self::Io => nix::libc::EIO,
            Self::Full => nix::libc::ENOSPC,
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Killed => "SIGKILL",
            Self::Io => "EIO",
            Self::Full => "ENOSPC",
        })
    }
}

/// The n-th call of a name in a deploy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Who, what, to what: `serve unlink apps/shop/…`, with `#` for each number.
    pub name: String,
    /// From 1.
    pub nth: usize,
    /// Counted from after this one on, where that is said.
    pub after: Option<&'static str>,
}

impl Call {
    /// Who makes it: `serve`, or `serve's-child` between `fork` and `exec`.
    pub fn role(&self) -> &str {
        self.name.split(' ').next().unwrap()
    }

    /// What it does: `open`, `write`, …
    pub fn kind(&self) -> &str {
        self.name.split(' ').nth(1).unwrap()
    }
}

impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.name, self.nth)
    }
}

// As in `struct control`.
const MODE: u64 = 0;
const LEFT: u64 = 8;
const HIT: u64 = 12;
const BEGUN: u64 = 16;
const HOME: u64 = 64;
const LOG: u64 = 256;
const WANTED: u64 = 512;
const AFTER: u64 = 512 + 1024;
const SIZE: usize = 512 + 2 * 1024;

const OFF: i32 = 0;
const RECORD: i32 = 1;
const ARMED: i32 = 2;

/// The library, and the file that says what it does.
#[derive(Debug)]
pub struct Shim {
    dir: TempDir,
    control: File,
}

impl Shim {
    /// Compiles it, and lets all calls pass.
    pub fn build() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(dir.path().join("shim.so"))
            .arg(source)
            .arg("-ldl")
            .status();
        assert!(compiled.unwrap().success());
        let control = dir.path().join("control");
        std::fs::write(&control, [0; SIZE]).unwrap();
        let control = File::options()
            .read(true)
            .write(true)
            .open(control)
            .unwrap();
        Self { dir, control }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What `serve` is started with.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let text = |name| self.path(name).to_str().unwrap().to_owned();
        [
            ("HANDOVER_FAULTS", text("control")),
            ("LD_PRELOAD", text("shim.so")),
        ]
    }

    /// The names of calls are told without this directory.
    pub fn leave_out(&self, home: &Path) {
        self.set_text(HOME, home.to_str().unwrap());
        self.set_text(LOG, self.path("log").to_str().unwrap());
    }

    fn set(&self, at: u64, value: i32) {
        let bytes = value.to_ne_bytes();
        self.control.write_all_at(&bytes, at).unwrap();
    }

    fn set_text(&self, at: u64, text: &str) {
        let bytes = [text.as_bytes(), &[0]].concat();
        self.control.write_all_at(&bytes, at).unwrap();
    }

    fn get(&self, at: u64) -> i32 {
        let mut bytes = [0; 4];
        self.control.read_exact_at(&mut bytes, at).unwrap();
        i32::from_ne_bytes(bytes)
    }

    /// From here on, calls are written down.
    pub fn record(&self) {
        self.set(MODE, RECORD);
    }

    /// From here on, this one call goes wrong.
    pub fn arm(&self, call: &Call, how: How) {
        self.disarm();
        self.set_text(WANTED, &call.name);
        self.set(LEFT - 4, how.error());
        self.set(LEFT, i32::try_from(call.nth).unwrap());
        self.set(HIT, 0);
        self.set_text(AFTER, call.after.unwrap_or_default());
        self.set(BEGUN, i32::from(call.after.is_none()));
        self.set(MODE, ARMED);
    }

    /// From here on, all calls pass.
    pub fn disarm(&self) {
        self.set(MODE, OFF);
    }

    /// The process that made the call, if that has happened.
    pub fn hit(&self) -> Option<u32> {
        u32::try_from(self.get(HIT)).ok().filter(|&pid| pid != 0)
    }

    /// The calls that were recorded, in their order.
    pub fn calls(&self) -> Vec<Call> {
        let text = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        let lines = text.lines();
        lines
            .map(|line| {
                let nth = times.entry(line).or_default();
                *nth += 1;
                Call {
                    name: line.to_owned(),
                    nth: *nth,
                    after: None,
                }
            })
            .collect()
    }
}
