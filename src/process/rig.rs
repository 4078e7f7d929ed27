//! Places at which a test may end a process as `kill -9` would: between two steps that leave something behind.
//!
//! Only debug builds have them. A point that is passed looks into the file that [`VARIABLE`] names; where it holds the
//! point's name, the file is removed and the process ends. So it happens once, in whichever process comes there first.
//! `name:3` means the third passing.

use std::env::var_os;
use std::ffi::OsString;

/// Names the file.
pub const VARIABLE: &str = "HANDOVER_KILL_AT";

/// Passes a point; a test may have it that nothing comes after.
#[inline]
pub fn kill_point(name: &str) {
    #[cfg(debug_assertions)]
    armed::pass(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Names what makes single calls fail (`tests/faults/`), which is preloaded.
const FAULTS: [&str; 2] = ["HANDOVER_FAULTS", "LD_PRELOAD"];

/// What a process of ours that begins with an empty environment is given, so that it has its points and faults, too.
pub fn passed_on() -> impl Iterator<Item = (&'static str, OsString)> {
    let faults = FAULTS.iter().filter(|_| var_os(FAULTS[0]).is_some());
    let names = [VARIABLE].into_iter().chain(faults.copied());
    names
        .filter(|_| cfg!(debug_assertions))
        .filter_map(|name| Some((name, var_os(name)?)))
}

#[cfg(debug_assertions)]
mod armed {
    use std::fs::{read_to_string, remove_file, write};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::getpid;

    pub(super) fn pass(name: &str) {
        let Some(file) = std::env::var_os(super::VARIABLE) else {
            return;
        };
        let Ok(wanted) = read_to_string(&file) else {
            return; // not armed
        };
        let (wanted, times) = wanted
            .trim()
            .split_once(':')
            .unwrap_or((wanted.trim(), "1"));
        if wanted != name {
            return;
        }
        match times.parse::<u32>() {
            Ok(2..) => {
                let left = times.parse::<u32>().unwrap_or(1) - 1;
                write(&file, format!("{name}:{left}"))
                    .expect("the file of the kill points can be written");
            }
            // Whoever removes it is the one.
            _ if remove_file(&file).is_ok() => {
                kill(getpid(), Signal::SIGKILL).expect("a process may end itself");
                unreachable!("nobody outlives SIGKILL");
            }
            _ => {}
        }
    }
}
