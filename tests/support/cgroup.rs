//! A control group of a test's own (`cgroups(7)`, of either version).

use std::path::{Path, PathBuf};

use super::wait::until;

/// The group of one controller; removed when this is dropped, after its processes have ended.
#[derive(Debug)]
pub struct Cgroup {
    dir: PathBuf,
    unified: bool,
}

impl Cgroup {
    /// Makes one below the root. Nothing where that is not allowed.
    pub fn make(controller: &str) -> Option<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let older = root.join(controller);
        let unified = !older.is_dir();
        let above = if unified { root.to_owned() } else { older };
        let dir = above.join(format!("handover-test-{}-{controller}", std::process::id()));
        std::fs::create_dir(&dir).ok()?;
        let made = Self { dir, unified };
        let there = made
            .dir
            .join(format!("{controller}.{}", made.limit_of(controller)));
        there.exists().then_some(made)
    }

    /// Moves a process into it. What it starts from then on is in it, too.
    pub fn take(&self, pid: u32) {
        std::fs::write(self.dir.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    /// How much memory its processes may use together, in bytes.
    pub fn limit_memory(&self, bytes: u64) {
        self.write(
            &format!("memory.{}", self.limit_of("memory")),
            &bytes.to_string(),
        );
    }

    /// How much they use, in bytes.
    pub fn memory(&self) -> u64 {
        let name = if self.unified {
            "memory.current"
        } else {
            "memory.usage_in_bytes"
        };
        self.read(name).parse().unwrap()
    }

    /// Lets no process or thread be made, even if one of those that there are ends; or any number, again.
    pub fn allow_no_more(&self, no_more: bool) {
        self.write("pids.max", if no_more { "0" } else { "max" });
    }

    fn limit_of(&self, controller: &str) -> &'static str {
        match (controller, self.unified) {
            ("memory", false) => "limit_in_bytes",
            _ => "max",
        }
    }

    fn write(&self, name: &str, value: &str) {
        std::fs::write(self.dir.join(name), value).unwrap();
    }

    fn read(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.dir.join(name)).unwrap();
        text.trim().to_owned()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = std::fs::remove_dir(&self.dir); // as far as that goes
        } else {
            until("the control group is empty", || {
                std::fs::remove_dir(&self.dir).ok()
            });
        }
    }
}
