//! Who works in a directory.

use std::path::Path;

/// The processes whose working directory is `dir` or lies in it, as far as this user may see that.
pub fn working_in(dir: &Path) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_the_directory_that_it_works_in() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        assert_eq!(working_in(dir.path()), [0; 0]);
        let mut sleep = std::process::Command::new("sleep");
        let mut child = sleep.arg("60").current_dir(&inner).spawn().unwrap();
        assert_eq!(working_in(dir.path()), [child.id()]);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
