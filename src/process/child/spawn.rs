//! What to start, and the steps between `fork` and `exec`.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::libc;
use nix::unistd::Pid;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::Group;
use crate::process::own::restore_open_files;

/// What can go wrong in starting a program.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such program.
    #[error("start `{program}`: there is no such program (PATH is `{path}`)")]
    NoProgram {
        /// The program as given.
        program: String,
        /// The search path of the child.
        path: String,
    },
    /// The working directory is not one.
    #[error("start `{program}`: `{dir}` is not a directory", dir = dir.display())]
    NoDirectory {
        /// The program as given.
        program: String,
        /// The working directory.
        dir: PathBuf,
    },
    /// Anything else that the system objects to.
    #[error("start `{program}`")]
    Start {
        /// The program as given.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Where an output of the child goes.
#[derive(Debug, Default)]
pub enum Output {
    /// `/dev/null`.
    #[default]
    Null,
    /// To us: [`Group::take_stdout`], [`Group::take_stderr`].
    Piped,
    /// To a file or a descriptor of ours.
    File(File),
}

/// Whether the child leads a process group or a whole session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Lead {
    #[default]
    Group,
    Session,
}

/// How far the child stands behind everything else on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority {
    /// Added to the nice value, 0 to 19.
    pub nice: i32,
    /// The lowest best-effort I/O priority (7).
    pub low_io: bool,
    /// `oom_score_adj`, 0 to 1000: who is killed first when memory runs out.
    pub oom_score_adj: i32,
}

impl Priority {
    /// For builds: they give way to what serves, and are the first to go when memory runs out.
    pub const BUILD: Self = Self {
        nice: 10,
        low_io: true,
        oom_score_adj: 500,
    };
}

/// A program to start. The environment begins empty, stdin is `/dev/null`, the outputs too unless told otherwise, the
/// umask is 022, no signal is blocked or ignored, and no descriptor is inherited but those named.
#[derive(Debug)]
pub struct Spawn {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    stdout: Output,
    stderr: Output,
    inherit: Vec<(OwnedFd, RawFd)>,
    lead: Lead,
    priority: Option<Priority>,
}

impl Spawn {
    /// A program by path, or by name along the `PATH` given to *it*. No shell is involved.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            stdout: Output::Null,
            stderr: Output::Null,
            inherit: Vec::new(),
            lead: Lead::Group,
            priority: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Adds a variable to the environment, which begins empty. The last of the same name counts.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Adds variables to the environment.
    #[must_use]
    pub fn envs(
        mut self,
        vars: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Self {
        for (name, value) in vars {
            self = self.env(name, value);
        }
        self
    }

    /// The working directory; without it, ours.
    #[must_use]
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.cwd = Some(dir.as_ref().to_owned());
        self
    }

    /// Where standard output goes.
    #[must_use]
    pub fn stdout(mut self, output: Output) -> Self {
        self.stdout = output;
        self
    }

    /// Where standard error goes.
    #[must_use]
    pub fn stderr(mut self, output: Output) -> Self {
        self.stderr = output;
        self
    }

    /// Hands a descriptor to the child under exactly this number (3 or more; each number once).
    #[must_use]
    pub fn inherit_fd(mut self, fd: OwnedFd, as_number: RawFd) -> Self {
        debug_assert!(as_number > 2, "0, 1 and 2 are the standard streams");
        self.inherit.push((fd, as_number));
        self
    }

    /// Gives the child a session of its own in place of just a process group.
    #[must_use]
    pub fn own_session(mut self) -> Self {
        self.lead = Lead::Session;
        self
    }

    /// Lets the child stand behind everything else.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Starts it. The group is killed when the [`Group`] is dropped. Needs a tokio runtime.
    pub fn spawn(self) -> Result<Group, SpawnError> {
        let program = self.program.to_string_lossy().into_owned();
        let child = self.start()?;
        Group::of(child).map_err(|source| SpawnError::Start { program, source })
    }

    /// Starts it as the leader of a session of its own that nobody here owns: it outlives us, and tokio's orphan queue
    /// reaps it if it ends before us. Needs a tokio runtime.
    pub fn spawn_detached(mut self) -> Result<Detached, SpawnError> {
        self.lead = Lead::Session;
        let mut child = self.start()?;
        Ok(Detached {
            pid: child.id().unwrap_or_default(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
        })
    }

    fn start(self) -> Result<Child, SpawnError> {
        let program = self.program.to_string_lossy().into_owned();
        let failed = |source| SpawnError::Start {
            program: program.clone(),
            source,
        };
        if let Some(dir) = self.cwd.as_ref().filter(|dir| !dir.is_dir()) {
            let dir = dir.clone();
            return Err(SpawnError::NoDirectory { program, dir });
        }
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(stdio(self.stdout))
            .stderr(stdio(self.stderr))
            .kill_on_drop(false);
        if let Some(dir) = &self.cwd {
            command.current_dir(dir);
        }
        let handed_down = reserve(self.inherit).map_err(failed)?;
        let (lead, priority) = (self.lead, self.priority);
        let in_child = move || prepare_child(lead, priority, &handed_down);
        // SAFETY: `prepare_child` makes system calls only: no allocation, no lock, no unwinding.
        unsafe { command.pre_exec(in_child) };
        command.spawn().map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound {
                let path = self.env.iter().rfind(|(name, _)| name == "PATH");
                let path = path.map(|(_, value)| value.to_string_lossy().into_owned());
                let path = path.unwrap_or_default();
                SpawnError::NoProgram { program, path }
            } else {
                SpawnError::Start { program, source }
            }
        })
    }
}

fn stdio(output: Output) -> Stdio {
    match output {
        Output::Null => Stdio::null(),
        Output::Piped => Stdio::piped(),
        Output::File(file) => file.into(),
    }
}

/// A descriptor of ours and the number that it gets in the child.
struct HandedDown {
    ours: OwnedFd,
    number: RawFd,
}

/// Takes each number for the time of the start, so that no descriptor that the start itself needs (the pipe on which
/// a failed `exec` is told) can have it and be overwritten in the child. Where something of ours has the number
/// already, the copy lies above it, and `dup2` in the child replaces what is close-on-exec anyway. Copies are made in
/// order, each at or above its number, so that no copy has the number of an earlier one.
fn reserve(inherit: Vec<(OwnedFd, RawFd)>) -> io::Result<Vec<HandedDown>> {
    inherit
        .into_iter()
        .map(|(fd, number)| {
            // SAFETY: `fd` is open; on success the result is a new descriptor that nobody else owns.
            let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, number) };
            if copy < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: see above.
            let ours = unsafe { OwnedFd::from_raw_fd(copy) };
            Ok(HandedDown { ours, number })
        })
        .collect()
}

/// Runs in the child between `fork` and `exec`.
fn prepare_child(
    lead: Lead,
    priority: Option<Priority>,
    handed_down: &[HandedDown],
) -> io::Result<()> {
    match lead {
        Lead::Group => nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?,
        Lead::Session => {
            nix::unistd::setsid()?;
        }
    }
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    reset_signals();
    restore_open_files();
    if let Some(priority) = priority {
        lower(priority);
    }
    // SAFETY: plain numbers; the flag marks descriptors and closes none. Without it (before Linux 5.11) what we
    // inherited ourselves without close-on-exec goes on to the child.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 4) };
    for fd in handed_down {
        let ours = fd.ours.as_raw_fd();
        // SAFETY: both are descriptor numbers; what `number` meant so far is not used in this child.
        let done = unsafe {
            if ours == fd.number {
                libc::fcntl(ours, libc::F_SETFD, 0)
            } else {
                libc::dup2(ours, fd.number)
            }
        };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Ignored and blocked signals are inherited through `exec`: rust itself ignores SIGPIPE, nohup SIGHUP.
fn reset_signals() {
    for number in 1..=64 {
        // SAFETY: no handler is installed. Numbers that can't be set are refused, which is as good.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    // A failure is impossible for these constant arguments.
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}

/// Priorities are a courtesy: none of them is worth a failed start.
fn lower(priority: Priority) {
    const WHO_PROCESS: i32 = 1;
    const BEST_EFFORT_LOWEST: i32 = (2 << 13) | 7;
    const OOM: &CStr = c"/proc/self/oom_score_adj";
    // SAFETY: plain numbers.
    unsafe {
        libc::nice(priority.nice);
        if priority.low_io {
            libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, BEST_EFFORT_LOWEST);
        }
    }
    let mut digits = [0u8; 12];
    let text = decimal(priority.oom_score_adj.unsigned_abs(), &mut digits);
    // SAFETY: a constant path and a buffer of the given length; the descriptor is ours alone.
    unsafe {
        let fd = libc::open(OOM.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd >= 0 {
            libc::write(fd, text.as_ptr().cast(), text.len());
            libc::close(fd);
        }
    }
}

/// Writes a number without allocating, for use after `fork`.
fn decimal(mut number: u32, digits: &mut [u8; 12]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

/// A program that was started and is nobody's: see [`Spawn::spawn_detached`].
#[derive(Debug)]
pub struct Detached {
    /// Its process id. It is not reaped before the runtime turns, so the number means it for as long as the caller
    /// does not await.
    pub pid: u32,
    /// Its standard output, where piped.
    pub stdout: Option<ChildStdout>,
    /// Its standard error, where piped.
    pub stderr: Option<ChildStderr>,
}
