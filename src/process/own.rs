//! What a role changes about its own process.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Points standard output to `/dev/null`, which closes what it was: whoever reads it sees the end.
pub fn silence_stdout() -> io::Result<()> {
    let null = std::fs::File::options().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    Ok(())
}

/// Raises the limit of open files to what the system allows without asking (the hard limit). Children inherit it.
pub fn raise_open_files() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}

/// The size of a page of memory, in bytes.
pub fn page_size() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|size| size.try_into().ok())
        .unwrap_or(4096)
}
