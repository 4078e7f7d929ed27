//! An app that is live, and everything around it that no push may touch.

use std::cell::OnceCell;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::pack::{COMMIT, Entry, Id, Pack, entry, in_gits_order};
use crate::support::project::git_in;
use crate::support::raw_push::{Request, command};
use crate::support::{Project, Server, until};
use crate::view::{View, refs_of};

pub const APP: &str = "shop";
pub const MAIN: &str = "refs/heads/main";
/// How long a process of the push may take to end after it.
const LEAVING: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A server with a live app, bait beside it, and what all of it looked like before the next push.
pub struct Ground {
    outside: TempDir,
    pub server: Server,
    pub repo: PathBuf,
    /// What is live.
    pub live: Id,
    /// The entries of its tree, in git's order.
    pub entries: Vec<Entry>,
    secrets: Vec<String>,
    before: View,
    gigabyte: OnceCell<Id>,
}

impl Ground {
    /// A server whose app is live; nobody has attacked it yet.
    pub fn prepare() -> Self {
        let outside = tempfile::tempdir().unwrap();
        for dir in ["tmp", "bait"] {
            fs::create_dir(outside.path().join(dir)).unwrap();
        }
        let marker = format!("the-secret-of-{}", std::process::id());
        fs::write(
            outside.path().join("secret"),
            format!("{{\"{marker}\": [{marker}]\n"),
        )
        .unwrap();
        let tmp = outside.path().join("tmp");
        let tmpdir = tmp.to_str().unwrap();
        let server = Server::start_among(&[("TMPDIR", tmpdir)], "", &["--listen", "127.0.0.1:0"]);
        let repo = server.create(APP);
        let hidden = ["config", "receive.hideRefs", "refs/heads/secret"];
        assert!(git_in(&repo).args(hidden).status().unwrap().success());
        let project = Project::tiny();
        project.push(&repo).went_live();
        server.until_at_rest(APP);
        let live = Id::of_hex(project.git(&["rev-parse", "HEAD"]).trim());
        let entries = entries_of(&repo, live);
        let before = View::of(&server, &repo, outside.path());
        let mut ground = Self {
            outside,
            server,
            repo,
            live,
            entries,
            secrets: vec![marker],
            before,
            gigabyte: OnceCell::new(),
        };
        ground.secrets.extend(lines_of("/etc/shadow"));
        ground.secrets.extend(lines_of("/etc/passwd"));
        ground
    }

    /// Whether git itself judges what comes in, as it does in repositories that handover has made.
    pub fn git_judges_objects(&mut self, judges: bool) {
        self.git(&[
            "config",
            "receive.fsckObjects",
            if judges { "true" } else { "false" },
        ]);
        self.accept();
    }

    /// Runs git in the app's repository.
    pub fn git(&self, args: &[&str]) -> String {
        let output = git_in(&self.repo).args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A file that no app may read.
    pub fn secret(&self) -> PathBuf {
        self.outside.path().join("secret")
    }

    /// Where a file appears if a name was taken for a command: such as `$(touch bait/x)`.
    pub fn bait(&self) -> String {
        self.outside
            .path()
            .join("bait/taken")
            .to_str()
            .unwrap()
            .to_owned()
    }

    /// The live tree with an entry more, or another one in place of the entry of that name.
    pub fn tree_with(&self, pack: &mut Pack, more: &[Entry]) -> Id {
        let kept = self
            .entries
            .iter()
            .filter(|old| more.iter().all(|new| new.name != old.name));
        let all = kept.chain(more).cloned().collect();
        pack.tree(&in_gits_order(all))
    }

    /// A commit of this tree on top of what is live.
    pub fn commit(&self, pack: &mut Pack, tree: Id) -> Id {
        pack.object(COMMIT, &commit_bytes(tree, &[self.live], b"one more"))
    }

    /// A push of a commit of this tree to the deploy branch.
    pub fn push_tree(&self, mut pack: Pack, tree: Id) -> Request {
        let commit = self.commit(&mut pack, tree);
        self.push_commit(pack, commit)
    }

    /// A push of this commit to the deploy branch.
    pub fn push_commit(&self, pack: Pack, commit: Id) -> Request {
        Request::of(vec![command(self.live, commit, MAIN)]).pack(pack.finish())
    }

    /// A push to the deploy branch with nothing wrong in it.
    pub fn harmless(&self) -> Request {
        let mut pack = Pack::new();
        let version = pack.blob("v1\n");
        let tree = self.tree_with(&mut pack, &[entry("100644", "VERSION", version)]);
        self.push_tree(pack, tree)
    }

    /// A push to the deploy branch of a commit that has nothing to do with it.
    pub fn other_beginning(&self) -> Request {
        let mut pack = Pack::new();
        let tree = self.tree_with(&mut pack, &[]);
        let commit = pack.object(COMMIT, &commit_bytes(tree, &[], b"another beginning"));
        self.push_commit(pack, commit)
    }

    /// A gigabyte of zeros, which is in the repository already.
    pub fn gigabyte(&self) -> Id {
        *self.gigabyte.get_or_init(|| {
            let mut pack = Pack::new();
            let id = pack.zeros(1 << 30);
            let mut command = git_in(&self.repo);
            let mut git = command
                .args(["index-pack", "--stdin"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            git.stdin.take().unwrap().write_all(&pack.finish()).unwrap();
            assert!(git.wait().unwrap().success());
            id
        })
    }

    /// What must not be in anything that the pusher reads.
    pub fn told_secret(&self, text: &str) -> Option<&String> {
        self.secrets.iter().find(|secret| text.contains(*secret))
    }

    /// What is different from before. Processes that are on their way out get a moment, and nothing else does.
    pub fn differences(&self) -> Vec<String> {
        let deadline = Instant::now() + LEAVING;
        loop {
            let now = self.view();
            let leaving = now.traces.live == self.before.traces.live
                && (now.traces.processes != self.before.traces.processes || now.removes());
            if !leaving || Instant::now() > deadline {
                return self.before.differences(&now);
            }
            sleep(LOOK_EVERY);
        }
    }

    /// From here on, this is how it must stay.
    pub fn accept(&mut self) {
        self.server.until_at_rest(APP);
        self.live = Id::of_hex(self.git(&["rev-parse", MAIN]).trim());
        self.before = until("nothing is being removed", || {
            Some(self.view()).filter(|view| !view.removes())
        });
    }

    /// Takes away the refs that were not there before.
    pub fn forget_new_refs(&self) {
        let now = refs_of(&self.repo);
        for line in now
            .lines()
            .filter(|line| !self.before.refs.lines().any(|old| old == *line))
        {
            let name = line.split_once(' ').unwrap().1;
            self.git(&["update-ref", "-d", name]);
        }
    }

    pub fn new_refs(&self) -> usize {
        refs_of(&self.repo)
            .lines()
            .filter(|line| !self.before.refs.lines().any(|old| old == *line))
            .count()
    }

    fn view(&self) -> View {
        View::of(&self.server, &self.repo, self.outside.path())
    }
}

fn entries_of(repo: &Path, commit: Id) -> Vec<Entry> {
    let output = git_in(repo)
        .args(["ls-tree", &commit.to_string()])
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let read = |line: &str| {
        let (meta, name) = line.split_once('\t').unwrap();
        let words: Vec<_> = meta.split(' ').collect();
        entry(words[0].trim_start_matches('0'), name, Id::of_hex(words[2]))
    };
    lines.lines().map(read).collect()
}

/// Lines long enough to be told from chance.
fn lines_of(file: &str) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter(|line| line.len() > 12)
        .map(str::to_owned)
        .collect()
}

/// A commit object.
pub fn commit_bytes(tree: Id, parents: &[Id], message: &[u8]) -> Vec<u8> {
    const WHO: &str = "Mallory <mallory@example.com> 1700000000 +0000";
    let mut bytes = format!("tree {tree}\n").into_bytes();
    for parent in parents {
        bytes.extend(format!("parent {parent}\n").into_bytes());
    }
    bytes.extend(format!("author {WHO}\ncommitter {WHO}\n\n").into_bytes());
    bytes.extend_from_slice(message);
    bytes
}
