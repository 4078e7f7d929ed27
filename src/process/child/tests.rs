use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::*;
use crate::process::identity::{Identity, PidFd};

const GRACE: Duration = Duration::from_secs(20);

fn sh(script: &str) -> Spawn {
    Spawn::new("/bin/sh")
        .args(["-c", script])
        .env("PATH", "/usr/bin:/bin")
}

/// dash takes single digits only for descriptors.
fn bash(script: &str) -> Spawn {
    Spawn::new("/bin/bash").args(["-c", script])
}

async fn output_of(spawn: Spawn) -> String {
    let mut group = spawn.stdout(Output::Piped).spawn().unwrap();
    let mut text = String::new();
    let mut out = group.take_stdout().unwrap();
    out.read_to_string(&mut text).await.unwrap();
    group.wait().await.unwrap();
    text
}

async fn first_line(group: &mut Group) -> String {
    let out = group.take_stdout().unwrap();
    let mut lines = BufReader::new(out).lines();
    lines.next_line().await.unwrap().unwrap()
}

#[tokio::test]
async fn a_child_begins_with_nothing_but_what_it_is_given() {
    let text = output_of(
        Spawn::new("/usr/bin/env")
            .env("A", "1")
            .env("B", "$HOME `x`"),
    )
    .await;
    assert_eq!(text, "A=1\nB=$HOME `x`\n");
    let script = "umask; ls /proc/self/fd | wc -l; sed -n 's/Sig\\(Blk\\|Ign\\):.*\\(........\\)$/\\2/p' /proc/self/status";
    // Four descriptors: the three streams and the one with which `ls` reads the directory.
    let text = output_of(sh(script)).await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["0022", "4", "00000000"]);
    // Number 32 belongs to the C library, which lets nobody set it.
    assert_eq!(u32::from_str_radix(lines[3], 16).unwrap() & !(1 << 31), 0);
}

#[tokio::test]
async fn a_descriptor_arrives_under_its_number_and_without_close_on_exec() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"through 100").unwrap();
    file.rewind().unwrap();
    let other = tempfile::tempfile().unwrap();
    let spawn = bash("cat <&100; echo; echo there >&101")
        .inherit_fd(OwnedFd::from(file), 100)
        .inherit_fd(OwnedFd::from(other.try_clone().unwrap()), 101);
    assert_eq!(output_of(spawn).await, "through 100\n");
    let mut text = String::new();
    let mut other = other;
    other.rewind().unwrap();
    other.read_to_string(&mut text).unwrap();
    assert_eq!(text, "there\n");
}

#[tokio::test]
async fn a_taken_number_does_not_confuse_the_start() {
    // Fills the numbers up to 120 here, so that copies and the start's own pipe land around 100 and 101.
    let fillers: Vec<_> = (0..120).map(|_| tempfile::tempfile().unwrap()).collect();
    let file = tempfile::tempfile().unwrap();
    let spawn = |program: &str| {
        Spawn::new(program)
            .inherit_fd(OwnedFd::from(file.try_clone().unwrap()), 100)
            .inherit_fd(OwnedFd::from(file.try_clone().unwrap()), 101)
    };
    let error = spawn("/no/such/program").spawn().unwrap_err();
    assert!(matches!(error, SpawnError::NoProgram { .. }), "{error}");
    let text = output_of(spawn("/bin/bash").args(["-c", "echo yes >&100; echo no >&101"])).await;
    assert_eq!(text, "");
    let mut read = String::new();
    let mut file = file;
    file.rewind().unwrap();
    file.read_to_string(&mut read).unwrap();
    assert_eq!(read, "yes\nno\n");
    drop(fillers);
}

#[tokio::test]
async fn what_a_leader_leaves_behind_is_killed() {
    let mut group = sh("sleep 600 & echo $!; kill -KILL $$")
        .stdout(Output::Piped)
        .spawn()
        .unwrap();
    let left: u32 = first_line(&mut group).await.parse().unwrap();
    let left = Identity::of(left);
    let status = group.wait().await.unwrap();
    assert_eq!(describe_exit(status), "killed by SIGKILL");
    assert!(left.is_ok_and(|left| !left.is_alive()));
}

#[tokio::test]
async fn the_grace_is_for_the_whole_group() {
    // The leader goes at once; its child takes its time, and is given it.
    let script = "(trap 'sleep 0.2; echo done >&2; exit 0' TERM; echo up; while :; do sleep 0.05; done) & wait";
    let mut said = tempfile::tempfile().unwrap();
    let mut group = sh(script)
        .stdout(Output::Piped)
        .stderr(Output::File(said.try_clone().unwrap()))
        .spawn()
        .unwrap();
    first_line(&mut group).await;
    let ending = group.terminate(GRACE).await.unwrap();
    assert!(matches!(ending, Ending::Graceful(_)), "{ending:?}");
    let mut text = String::new();
    said.rewind().unwrap();
    said.read_to_string(&mut text).unwrap();
    assert!(text.contains("done"), "{text:?}");
}

#[tokio::test]
async fn who_will_not_go_is_killed_after_the_grace() {
    let mut group = sh("trap '' TERM; echo up; while :; do sleep 0.05; done")
        .stdout(Output::Piped)
        .spawn()
        .unwrap();
    first_line(&mut group).await;
    let ending = group.terminate(Duration::from_millis(50)).await.unwrap();
    assert!(matches!(ending, Ending::Forced(status) if status.signal() == Some(9)));
    assert!(members(group.pid()).is_empty());
}

#[tokio::test]
async fn a_dropped_group_is_killed_and_a_detached_one_is_not() {
    let mut group = sh("sleep 600 & echo $!; wait")
        .stdout(Output::Piped)
        .spawn()
        .unwrap();
    let grandchild = Identity::of(first_line(&mut group).await.parse().unwrap()).unwrap();
    let watched = PidFd::open(&grandchild).unwrap().unwrap();
    drop(group);
    watched.exited().await.unwrap();

    let detached = sh("exec sleep 600").spawn_detached().unwrap();
    let identity = Identity::of(detached.pid).unwrap();
    drop(detached);
    let watched = PidFd::open(&identity).unwrap().unwrap();
    assert!(watched.signal(Signal::SIGKILL).unwrap());
    watched.exited().await.unwrap();
}

#[tokio::test]
async fn failed_starts_say_what_is_missing() {
    let error = Spawn::new("no-such-program")
        .env("PATH", "/usr/bin:/bin")
        .spawn()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "start `no-such-program`: there is no such program (PATH is `/usr/bin:/bin`)"
    );
    let error = sh("true").cwd("/no/such/dir").spawn().unwrap_err();
    assert_eq!(
        error.to_string(),
        "start `/bin/sh`: `/no/such/dir` is not a directory"
    );
    let error = Spawn::new("/etc/passwd").spawn().unwrap_err();
    assert!(matches!(error, SpawnError::Start { .. }));
}

#[tokio::test]
async fn builds_stand_behind_everything_else() {
    let text = output_of(
        sh("nice; cat /proc/self/oom_score_adj; awk '{print ($5 == $1 && $6 == $1)}' /proc/$$/stat")
            .priority(Priority::BUILD),
    )
    .await;
    let own: i32 = output_of(sh("nice")).await.trim().parse().unwrap();
    assert_eq!(text, format!("{}\n500\n0\n", (own + 10).min(19)));
    let leads_session = output_of(sh("cut -d' ' -f1,5,6 /proc/$$/stat").own_session()).await;
    let numbers: Vec<&str> = leads_session.split_whitespace().collect();
    assert!(
        numbers.iter().all(|n| *n == numbers[0]),
        "{leads_session:?}"
    );
}

#[test]
fn endings_in_words() {
    let status = std::process::ExitStatus::from_raw;
    assert_eq!(describe_exit(status(2 << 8)), "exit code 2");
    assert_eq!(describe_exit(status(9)), "killed by SIGKILL");
    assert_eq!(
        describe_exit(status(0x8b)),
        "killed by SIGSEGV (core dumped)"
    );
}
