//! What a role changes about its own process.

use std::ffi::c_void;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::mman::{MmapAdvise, madvise};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Points standard output to `/dev/null`, which closes what it was: whoever reads it sees the end.
pub fn silence_stdout() -> io::Result<()> {
    let null = std::fs::File::options().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    Ok(())
}

/// The limit of open files that this process began with; 0 where it has not been raised.
static FORMER_LIMIT: AtomicU64 = AtomicU64::new(0);

/// Raises the limit of open files to what the system allows without asking (the hard limit). Programs that are started
/// get the former limit back: some of them count on small numbers (`select`).
pub fn raise_open_files() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let _ = FORMER_LIMIT.compare_exchange(0, soft, Ordering::Relaxed, Ordering::Relaxed); // the first is what it began with
    Ok(())
}

/// Gives a child its limit of open files back, between `fork` and `exec`. A limit that can't be set is no reason not to
/// start.
pub(super) fn restore_open_files() {
    let former = FORMER_LIMIT.load(Ordering::Relaxed);
    if former > 0
        && let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, former.min(hard), hard);
    }
}

/// Puts this thread behind everything else on the machine: the last nice value, and the disk only when nobody else wants
/// it. A courtesy: where it is refused, the thread works on as it is.
pub fn lower_this_thread() {
    const WHO_PROCESS: nix::libc::c_int = 1;
    const IDLE: nix::libc::c_int = 3 << 13;
    // SAFETY: plain numbers; 0 means the calling thread (setpriority(2), ioprio_set(2)).
    unsafe {
        nix::libc::setpriority(nix::libc::PRIO_PROCESS, 0, 19);
        nix::libc::syscall(nix::libc::SYS_ioprio_set, WHO_PROCESS, 0, IDLE);
    }
}

/// The size of a page of memory, in bytes.
pub fn page_size() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|size| size.try_into().ok())
        .unwrap_or(4096)
}

/// Begins this program again with an allocator that keeps nothing back, unless somebody has tuned it already. To be called
/// first of all: descriptors, environment, arguments and process stay. Where it can't be done the program runs as it is.
///
/// glibc keeps some freed pieces for each thread, out of the reach of [`release_free_memory`]: over a thousand deploys the
/// heap of a server grew from 1.3 to 1.9 MB that way, of which 0.5 were in use. Without, and with one heap for all threads,
/// it stays at 0.55 MB. Only the dynamic linker can turn that off, before `main`
/// (<https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html>).
pub fn start_with_lean_heap() {
    const TUNABLES: &str = "GLIBC_TUNABLES";
    const LEAN: &str = "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1";
    if !cfg!(target_env = "gnu") || std::env::var_os(TUNABLES).is_some() {
        return;
    }
    let mut arguments = std::env::args_os();
    if let (Ok(program), Some(name)) = (std::env::current_exe(), arguments.next()) {
        let mut again = Command::new(program);
        // It returns only if it fails.
        let _ = again.arg0(name).args(arguments).env(TUNABLES, LEAN).exec();
    }
}

/// Gives memory that was used and is free now back to the system, as far as the allocator can. Blocks: about 1 ms.
pub fn release_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number, locks what it works on, and touches no memory that is in use.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

/// Takes the pages of the program's own code out of this process's resident memory. They are clean and shared, stay in
/// the page cache, and come back one by one when they are needed.
pub fn release_program_text() -> io::Result<()> {
    let program = std::fs::read_link("/proc/self/exe")?;
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        if let Some((start, length)) = text_of(line, &program) {
            // SAFETY: the range is a private mapping of a file, readable and executable and never writable, so that no
            // page of it can differ from the file: dropped pages are read again from the same file, with the same
            // content. (The file itself can't be written while it runs: ETXTBSY.)
            unsafe { madvise(start, length, MmapAdvise::MADV_DONTNEED)? };
        }
    }
    Ok(())
}

/// The range that a line of `/proc/PID/maps` gives to the code of this program.
fn text_of(line: &str, program: &Path) -> Option<(NonNull<c_void>, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (range, mode) = (words.next()?, words.next()?);
    let path = line.splitn(6, ' ').nth(5)?.trim_start();
    if mode != "r-xp" || Path::new(path) != program {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let (start, end) = (
        usize::from_str_radix(start, 16).ok()?,
        usize::from_str_radix(end, 16).ok()?,
    );
    let length = end.checked_sub(start)?;
    Some((
        NonNull::new(std::ptr::with_exposed_provenance_mut(start))?,
        length,
    ))
}

/// Does something on a thread that has no more rights to files than the user `nobody`, who owns this directory meanwhile.
/// Whoever is not root has few enough.
#[cfg(test)]
pub fn as_nobody(directory: &Path, work: impl FnOnce() + Send) {
    use nix::unistd::{Gid, Uid, chown, geteuid, setfsuid};
    let nobody = Uid::from_raw(65534);
    if geteuid().is_root() {
        chown(directory, Some(nobody), Some(Gid::from_raw(65534))).unwrap();
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if geteuid().is_root() {
                setfsuid(nobody);
            }
            work();
        });
        thread.join().unwrap();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_the_program_itself_is_meant() {
        let program = Path::new("/opt/hand over");
        let code = "55d0c000-55d0e000 r-xp 00001000 fe:00 123    /opt/hand over";
        assert_eq!(
            text_of(code, program).map(|(_, length)| length),
            Some(0x2000)
        );
        for other in [
            "55d0c000-55d0e000 r--p 00001000 fe:00 123    /opt/hand over",
            "55d0c000-55d0e000 rw-p 00001000 fe:00 123    /opt/hand over",
            "55d0c000-55d0e000 r-xp 00001000 fe:00 123    /usr/lib/libc.so.6",
            "55d0c000-55d0e000 r-xp 00000000 00:00 0      [vdso]",
        ] {
            assert_eq!(text_of(other, program), None, "{other}");
        }
    }

    #[test]
    fn a_lowered_thread_is_alone_with_that() {
        let nice_of = |task: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{task}/stat")).unwrap();
            let rest = stat.rsplit_once(')').unwrap().1.to_owned();
            rest.split_whitespace().nth(16).unwrap().to_owned()
        };
        let before = nice_of("thread-self");
        let lowered = std::thread::spawn(move || {
            lower_this_thread();
            nice_of("thread-self")
        });
        assert_eq!(lowered.join().unwrap(), "19");
        assert_eq!(nice_of("thread-self"), before);
    }

    #[test]
    fn a_program_runs_on_without_its_text() {
        release_program_text().unwrap();
        assert_eq!("the same as before".len(), 18);
    }
}
