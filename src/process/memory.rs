//! How much memory there is, and how much processes use.

use std::path::{Path, PathBuf};

use super::child::members;
use super::own::page_size;

/// How much memory can be taken without swapping or being killed, in bytes: what the kernel says, or what the control
/// groups of this process leave of their limits, whichever is less. Nothing where it can't be learned. Blocks: well under
/// 1 ms.
pub fn available() -> Option<u64> {
    let machine = in_machine(&read("/proc/meminfo")?)?;
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    let left = left_in_groups(&groups, Path::new("/sys/fs/cgroup"));
    Some(left.map_or(machine, |left| left.min(machine)))
}

/// How much memory the processes of a group use, in bytes: pages that several of them share count once.
pub fn used_by(group: u32) -> u64 {
    let used = |pid| {
        let rollup = read(format!("/proc/{pid}/smaps_rollup"));
        rollup
            .and_then(|text| kilobytes(&text, "Pss:"))
            .or_else(|| resident(pid))
    };
    members(group).into_iter().filter_map(used).sum()
}

/// How much memory the processes of a group have, in bytes: pages that several of them share count for each. Quicker than
/// [`used_by`], and seen of every user's processes.
pub fn resident_in(group: u32) -> u64 {
    members(group).into_iter().filter_map(resident).sum()
}

/// `/proc/PID/statm`, field 2.
fn resident(pid: u32) -> Option<u64> {
    let statm = read(format!("/proc/{pid}/statm"))?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * page_size())
}

fn in_machine(meminfo: &str) -> Option<u64> {
    kilobytes(meminfo, "MemAvailable:")
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(number * 1024)
}

/// What the control groups that a process is in, and those above them, leave of their limits (`cgroups(7)`). `groups` is
/// the process's `/proc/PID/cgroup`.
fn left_in_groups(groups: &str, mount: &Path) -> Option<u64> {
    let lines = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?))
    });
    let left = lines.filter_map(|(controllers, path)| {
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            let unified = mount.join("unified");
            let root = if unified.is_dir() {
                unified
            } else {
                mount.to_owned()
            };
            least_left(&root, path, &V2)
        } else if controllers.split(',').any(|one| one == "memory") {
            least_left(&mount.join("memory"), path, &V1)
        } else {
            None
        }
    });
    left.min()
}

/// The names of what a control group says.
struct Names {
    limit: &'static str,
    usage: &'static str,
    /// Pages of files that can be dropped at once, in `memory.stat`.
    droppable: &'static str,
}

const V1: Names = Names {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    droppable: "total_inactive_file ",
};
const V2: Names = Names {
    limit: "memory.max",
    usage: "memory.current",
    droppable: "inactive_file ",
};

/// From the group up to the root. In a container the path may be one of the host's: then the root is the container's.
fn least_left(root: &Path, path: &str, names: &Names) -> Option<u64> {
    let own: PathBuf = root.join(path);
    let up = own.ancestors().take_while(|dir| dir.starts_with(root));
    up.filter_map(|dir| left_in(dir, names)).min()
}

fn left_in(dir: &Path, names: &Names) -> Option<u64> {
    // "max" is no number, and no limit.
    let limit: u64 = read(dir.join(names.limit))?.trim().parse().ok()?;
    let usage: u64 = read(dir.join(names.usage))?.trim().parse().ok()?;
    let stat = read(dir.join("memory.stat")).unwrap_or_default();
    let mut lines = stat.lines();
    let droppable = lines.find_map(|line| line.strip_prefix(names.droppable)?.parse().ok());
    Some(limit.saturating_sub(usage.saturating_sub(droppable.unwrap_or(0))))
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn group(dir: &Path, names: &Names, limit: &str, usage: u64, droppable: u64) {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join(names.limit), format!("{limit}\n")).unwrap();
        std::fs::write(dir.join(names.usage), format!("{usage}\n")).unwrap();
        let stat = format!("cache 1\n{}{droppable}\n", names.droppable);
        std::fs::write(dir.join("memory.stat"), stat).unwrap();
    }

    #[test]
    fn the_group_that_leaves_least_counts_whichever_is_above() {
        let mount = tempfile::tempdir().unwrap();
        let (slice, unit) = (mount.path().join("a.slice"), mount.path().join("a.slice/b"));
        group(&slice, &V2, &(100 * MIB).to_string(), 80 * MIB, 10 * MIB);
        group(&unit, &V2, "max", 80 * MIB, 0);
        let left = left_in_groups("0::/a.slice/b\n", mount.path());
        assert_eq!(left, Some(30 * MIB));
        group(&unit, &V2, &(81 * MIB).to_string(), 80 * MIB, 0);
        assert_eq!(left_in_groups("0::/a.slice/b\n", mount.path()), Some(MIB));
    }

    #[test]
    fn the_older_kind_is_understood_and_a_path_that_is_not_there_means_the_root() {
        let mount = tempfile::tempdir().unwrap();
        let root = mount.path().join("memory");
        group(&root, &V1, &(50 * MIB).to_string(), 60 * MIB, 20 * MIB);
        let groups = "5:devices:/x\n4:cpu,memory:/docker/1234\n0::/\n";
        assert_eq!(left_in_groups(groups, mount.path()), Some(10 * MIB));
    }

    #[test]
    fn no_group_with_a_limit_leaves_what_the_machine_has() {
        let mount = tempfile::tempdir().unwrap();
        assert_eq!(left_in_groups("0::/\n", mount.path()), None);
        assert_eq!(
            in_machine("MemTotal:       100 kB\nMemAvailable:   40 kB\n"),
            Some(40 * 1024)
        );
        assert!(available().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn what_a_process_has_written_to_is_used_by_it() {
        let held = vec![1u8; 64 << 20];
        let group = nix::unistd::getpgrp().as_raw().cast_unsigned();
        assert!(used_by(group) >= held.len() as u64);
    }
}
