//! Repositories and hook files, with the real git.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use handover::git::hooks::{self, HookError, Removed};
use handover::git::{GitError, Repo, SetBranch};
use handover::ids::{AppName, CommitId};
use tempfile::TempDir;

/// A bare repository and a clone that pushes to it.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        Repo::init_bare(&place.bare(), "main").unwrap();
        git(place.dir.path(), &["init", "-q", "-b", "main", "work"]);
        git(
            &place.work(),
            &["remote", "add", "origin", place.bare().to_str().unwrap()],
        );
        place
    }

    fn bare(&self) -> PathBuf {
        self.dir.path().join("repo.git")
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn repo(&self) -> Repo {
        Repo::open(&self.bare()).unwrap()
    }

    /// Commits a file in the clone.
    fn commit(&self, content: &str, message: &str) -> CommitId {
        fs::write(self.work().join("file.txt"), content).unwrap();
        git(&self.work(), &["add", "-A"]);
        git(
            &self.work(),
            &["commit", "-q", "--allow-empty", "-m", message],
        );
        git(&self.work(), &["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// Commits and pushes to `main`.
    fn pushed(&self, content: &str) -> CommitId {
        let commit = self.commit(content, content);
        git(&self.work(), &["push", "-q", "origin", "HEAD:main"]);
        commit
    }

    fn hook(&self) -> PathBuf {
        self.bare().join("hooks/post-receive")
    }

    /// A shell script in the place of handover's binary, that writes down its arguments and input.
    fn fake_binary(&self) -> PathBuf {
        let path = self.dir.path().join("handover binary");
        let told = self.dir.path().join("told");
        let script = format!(
            "#!/bin/sh\n{{ echo \"args: $*\"; cat; }} >>'{}'\necho from the fake\n",
            told.display()
        );
        write_script(&path, &script);
        path
    }

    fn told(&self) -> String {
        fs::read_to_string(self.dir.path().join("told")).unwrap_or_default()
    }

    fn install(&self) -> Result<hooks::Installed, HookError> {
        hooks::install(
            &self.bare(),
            &link("shop", "/srv/home", &self.fake_binary()),
        )
    }
}

fn link(app: &str, home: &str, binary: &Path) -> hooks::Link {
    let home = PathBuf::from(home);
    let control = home.join("run/control.sock");
    hooks::Link {
        app: app.parse().unwrap(),
        home,
        control,
        binary: binary.to_owned(),
    }
}

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

fn write_script(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn git_output(dir: &Path, args: &[&str]) -> Output {
    Command::new("git")
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([
            ("GIT_AUTHOR_NAME", "Ada"),
            ("GIT_AUTHOR_EMAIL", "ada@example.com"),
            ("GIT_COMMITTER_NAME", "Ada"),
            ("GIT_COMMITTER_EMAIL", "ada@example.com"),
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = git_output(dir, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

// ---- repositories

#[test]
fn a_new_repository_suits_a_server_and_names_the_deploy_branch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("apps/shop/repo.git");
    Repo::init_bare(&path, "production").unwrap();
    assert_eq!(
        git(&path, &["symbolic-ref", "HEAD"]),
        "refs/heads/production"
    );
    for (key, value) in [
        ("receive.fsckObjects", "true"),
        ("receive.denyDeletes", "true"),
        ("receive.advertisePushOptions", "true"),
        ("receive.autogc", "false"),
        ("core.fsync", "all"),
        ("gc.auto", "0"),
        ("core.bare", "true"),
    ] {
        assert_eq!(git(&path, &["config", "--get", key]), value, "{key}");
    }
    assert!(matches!(
        Repo::init_bare(&path, "production"),
        Err(GitError::Init { .. })
    ));
}

#[test]
fn a_repository_with_a_working_tree_is_refused_with_the_way_out() {
    let place = Place::new();
    for path in [place.work(), place.work().join(".git")] {
        let error = Repo::open(&path).unwrap_err().to_string();
        assert!(error.contains("git clone --bare"), "{error}");
    }
    // A directory inside a repository is not that repository.
    assert!(matches!(
        Repo::open(&place.bare().join("refs")),
        Err(GitError::Open { .. })
    ));
}

#[test]
fn a_commit_tells_its_cleaned_subject() {
    let place = Place::new();
    let commit = place.commit("1", "Add the \u{1b}[31mbasket\u{7}\n\nbody");
    git(&place.work(), &["push", "-q", "origin", "HEAD:main"]);
    let info = place.repo().commit_info(&commit).unwrap();
    assert_eq!(info.subject, "Add the basket");
    assert_eq!(info.author, "Ada");
    assert_eq!(info.id, commit);
    assert_eq!(
        info.tree.to_string(),
        git(&place.work(), &["rev-parse", "HEAD^{tree}"])
    );
}

#[test]
fn only_commits_are_commits() {
    let place = Place::new();
    let commit = place.pushed("1");
    let tree: CommitId = git(&place.work(), &["rev-parse", "HEAD^{tree}"])
        .parse()
        .unwrap();
    let repo = place.repo();
    assert!(repo.is_commit(&commit));
    assert!(!repo.is_commit(&tree));
    assert!(!repo.is_commit(&"ab".repeat(20).parse().unwrap()));
}

#[test]
fn files_are_read_out_of_a_commit_within_a_limit() {
    let place = Place::new();
    symlink("file.txt", place.work().join("link")).unwrap();
    let commit = place.pushed("twelve bytes");
    let repo = place.repo();
    let read = |path, limit| repo.read_blob_at(&commit, path, limit);
    assert_eq!(read("file.txt", 12).unwrap().unwrap(), b"twelve bytes");
    assert_eq!(read("missing.txt", 12).unwrap(), None);
    assert!(matches!(
        read("file.txt", 11),
        Err(GitError::TooLarge { bytes: 12, .. })
    ));
    assert!(matches!(read("link", 100), Err(GitError::NotAFile { .. })));
}

#[test]
fn ancestry_tells_a_fast_forward_from_a_forced_push() {
    let place = Place::new();
    let first = place.pushed("1");
    let second = place.pushed("2");
    git(
        &place.work(),
        &["checkout", "-q", "-b", "aside", first.as_str()],
    );
    let aside = place.commit("3", "aside");
    git(&place.work(), &["push", "-q", "origin", "HEAD:aside"]);
    let repo = place.repo();
    assert!(repo.is_ancestor(&first, &second).unwrap());
    assert!(repo.is_ancestor(&first, &first).unwrap());
    assert!(!repo.is_ancestor(&second, &first).unwrap());
    assert!(!repo.is_ancestor(&second, &aside).unwrap());
}

// ---- branches

#[test]
fn a_branch_moves_only_from_the_expected_commit() {
    let place = Place::new();
    let first = place.pushed("1");
    let second = place.pushed("2");
    let repo = place.repo();
    assert_eq!(repo.branch_commit("main").unwrap(), Some(second.clone()));
    let stale = repo.compare_and_set_branch("main", Some(&first), Some(&first), "x");
    assert_eq!(
        stale.unwrap(),
        SetBranch::Differs {
            found: Some(second.clone())
        }
    );
    let moved = repo.compare_and_set_branch("main", Some(&second), Some(&first), "roll back");
    assert_eq!(moved.unwrap(), SetBranch::Done);
    assert_eq!(
        git(&place.bare(), &["rev-parse", "main"]),
        first.to_string()
    );
    let reflog = git(&place.bare(), &["reflog", "show", "main"]);
    assert!(reflog.contains("roll back"), "{reflog}");
}

#[test]
fn a_branch_is_made_and_removed_by_compare_and_set_too() {
    let place = Place::new();
    let first = place.pushed("1");
    let repo = place.repo();
    let made = repo.compare_and_set_branch("feature/x", None, Some(&first), "made");
    assert_eq!(made.unwrap(), SetBranch::Done);
    let again = repo.compare_and_set_branch("feature/x", None, Some(&first), "made");
    assert_eq!(
        again.unwrap(),
        SetBranch::Differs {
            found: Some(first.clone())
        }
    );
    // A packed ref counts and goes as well.
    git(&place.bare(), &["pack-refs", "--all"]);
    assert!(!place.bare().join("refs/heads/feature/x").exists());
    let gone = repo.compare_and_set_branch("feature/x", Some(&first), None, "removed");
    assert_eq!(gone.unwrap(), SetBranch::Done);
    assert_eq!(git(&place.bare(), &["branch", "--list", "feature/x"]), "");
    assert_eq!(repo.branch_commit("feature/x").unwrap(), None);
}

#[test]
fn a_packed_branch_is_compared_by_its_packed_value() {
    let place = Place::new();
    let first = place.pushed("1");
    let repo = place.repo();
    assert_eq!(repo.branch_commit("main").unwrap(), Some(first.clone()));
    let second = place.pushed("2");
    git(&place.bare(), &["pack-refs", "--all"]);
    let stale = repo.compare_and_set_branch("main", Some(&first), Some(&first), "x");
    assert_eq!(
        stale.unwrap(),
        SetBranch::Differs {
            found: Some(second.clone())
        }
    );
    let moved = repo.compare_and_set_branch("main", Some(&second), Some(&first), "x");
    assert_eq!(moved.unwrap(), SetBranch::Done);
    assert_eq!(
        git(&place.bare(), &["rev-parse", "main"]),
        first.to_string()
    );
}

#[test]
fn of_many_that_move_a_branch_at_once_no_two_begin_at_the_same_commit() {
    let place = Place::new();
    let mut commits = vec![place.pushed("0")];
    for n in 1..=20 {
        commits.push(place.pushed(&n.to_string()));
    }
    let start = commits[0].clone();
    place
        .repo()
        .compare_and_set_branch("main", Some(&commits[20]), Some(&start), "start")
        .unwrap();
    // Ten of us and ten git processes race to move `main` from the start; a packer races with all of them.
    let done = std::thread::scope(|scope| {
        let packer = scope.spawn(|| {
            for _ in 0..10 {
                git_output(&place.bare(), &["pack-refs", "--all"]);
            }
        });
        let ours: Vec<_> = commits[1..=10]
            .iter()
            .map(|to| {
                scope.spawn(|| {
                    let set =
                        place
                            .repo()
                            .compare_and_set_branch("main", Some(&start), Some(to), "race");
                    usize::from(set.unwrap() == SetBranch::Done)
                })
            })
            .collect();
        let gits: Vec<_> = commits[11..=20]
            .iter()
            .map(|to| {
                scope.spawn(|| {
                    let args = ["update-ref", "refs/heads/main", to.as_str(), start.as_str()];
                    usize::from(git_output(&place.bare(), &args).status.success())
                })
            })
            .collect();
        packer.join().unwrap();
        ours.into_iter()
            .chain(gits)
            .map(|thread| thread.join().unwrap())
            .sum::<usize>()
    });
    assert_eq!(done, 1);
}

#[test]
fn a_lock_that_stays_is_named() {
    let place = Place::new();
    let first = place.pushed("1");
    let lock = place.bare().join("refs/heads/main.lock");
    fs::write(&lock, "").unwrap();
    let error = place
        .repo()
        .compare_and_set_branch("main", Some(&first), None, "x")
        .unwrap_err()
        .to_string();
    assert!(error.contains("main.lock"), "{error}");
}

#[test]
fn what_git_would_not_accept_as_a_branch_is_refused() {
    let place = Place::new();
    let repo = place.repo();
    for bad in [
        "",
        "-x",
        "a..b",
        "../../evil",
        "a b",
        "x.lock",
        "a\n",
        "a\0b",
        "HEAD",
    ] {
        assert!(
            matches!(repo.branch_commit(bad), Err(GitError::BranchName(_))),
            "{bad:?}"
        );
    }
    let tree: CommitId = {
        place.pushed("1");
        git(&place.work(), &["rev-parse", "HEAD^{tree}"])
            .parse()
            .unwrap()
    };
    assert!(matches!(
        repo.compare_and_set_branch("new", None, Some(&tree), "x"),
        Err(GitError::NoCommit { .. })
    ));
}

// ---- what people type

#[test]
fn people_may_type_ids_branches_and_tags() {
    let place = Place::new();
    let first = place.pushed("1");
    git(&place.work(), &["tag", "-a", "v1", "-m", "one"]);
    git(&place.work(), &["push", "-q", "origin", "v1"]);
    let second = place.pushed("2");
    let repo = place.repo();
    for (typed, meant) in [
        (first.as_str(), &first),
        (&first.as_str()[..4], &first),
        (&first.as_str()[..12].to_uppercase(), &first),
        ("v1", &first),
        ("refs/tags/v1", &first),
        ("main", &second),
    ] {
        assert_eq!(&repo.resolve(typed).unwrap(), meant, "{typed}");
    }
}

#[test]
fn what_names_no_commit_is_refused_in_words() {
    let place = Place::new();
    let first = place.pushed("1");
    git(&place.work(), &["tag", "main"]);
    place.pushed("2");
    git(&place.work(), &["push", "-q", "origin", "refs/tags/main"]);
    let tree = git(&place.work(), &["rev-parse", "HEAD^{tree}"]);
    let repo = place.repo();
    for (typed, words) in [
        ("", "it is empty"),
        ("--upload-pack=x", "begins with `-`"),
        (&first.as_str()[..3], "at least 4 digits"),
        ("nothing", "has been pushed"),
        (&"ab".repeat(20), "has been pushed"),
        ("main", "write `refs/heads/main` or `refs/tags/main`"),
        ("main~1", "git rev-parse"),
        ("a\u{1b}[31m", "no commit, branch or tag"),
        (&tree, "a file or a tree"),
    ] {
        let error = repo.resolve(typed).unwrap_err().to_string();
        assert!(error.contains(words), "{typed}: {error}");
        assert!(!error.contains('\u{1b}'));
    }
}

// ---- hook files

#[test]
fn a_push_runs_the_binary_that_the_repository_names() {
    let place = Place::new();
    let installed = place.install().unwrap();
    assert_eq!(installed.written, [place.hook()]);
    let commit = place.commit("1", "one");
    let output = git_output(&place.work(), &["push", "origin", "HEAD:main"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("remote: from the fake"), "{stderr}");
    let expected = format!(
        "args: hook post-receive\n{} {commit} refs/heads/main\n",
        "0".repeat(40)
    );
    assert_eq!(place.told(), expected);
}

#[test]
fn the_hook_file_is_the_same_for_every_app_and_holds_three_lines() {
    let (one, two) = (Place::new(), Place::new());
    one.install().unwrap();
    hooks::install(
        &two.bare(),
        &link("other", "/elsewhere", Path::new("/bin/true")),
    )
    .unwrap();
    let bytes = fs::read_to_string(one.hook()).unwrap();
    assert_eq!(bytes, fs::read_to_string(two.hook()).unwrap());
    assert_eq!(bytes.lines().count(), 3);
}

#[test]
fn a_binary_that_is_gone_is_told_to_the_pusher() {
    let place = Place::new();
    place.install().unwrap();
    fs::remove_file(place.dir.path().join("handover binary")).unwrap();
    place.commit("1", "one");
    let output = git_output(&place.work(), &["push", "origin", "HEAD:main"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("error: handover:"), "{stderr}");
    assert!(stderr.contains("handover doctor"), "{stderr}");
}

#[test]
fn installing_twice_changes_nothing() {
    let place = Place::new();
    place.install().unwrap();
    let config = fs::read(place.bare().join("config")).unwrap();
    let again = place.install().unwrap();
    assert_eq!(again.written, [] as [PathBuf; 0]);
    assert_eq!(fs::read(place.bare().join("config")).unwrap(), config);
    assert_eq!(
        fs::read_dir(place.bare().join("hooks")).unwrap().count(),
        fs::read_dir(place.bare().join("hooks"))
            .unwrap()
            .filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                !name.to_string_lossy().contains("handover-new")
            })
            .count()
    );
}

#[test]
fn a_hook_of_ones_own_is_kept_and_found_and_comes_back() {
    let place = Place::new();
    write_script(&place.hook(), "#!/bin/sh\necho my own\n");
    fs::set_permissions(place.hook(), fs::Permissions::from_mode(0o750)).unwrap();
    assert_eq!(hooks::chained_hook(&place.bare(), "post-receive"), None);
    let kept = place.bare().join("hooks/post-receive.chained");
    assert_eq!(
        place.install().unwrap().chained,
        std::slice::from_ref(&kept)
    );
    assert_eq!(
        hooks::chained_hook(&place.bare(), "post-receive"),
        Some(kept.clone())
    );
    place.install().unwrap();
    let removed = hooks::remove(&place.bare()).unwrap();
    assert_eq!(removed, [Removed::Restored(place.hook())]);
    assert_eq!(
        fs::read_to_string(place.hook()).unwrap(),
        "#!/bin/sh\necho my own\n"
    );
    let mode = fs::metadata(place.hook()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o750);
    assert!(!kept.exists());
}

#[test]
fn a_hook_that_git_would_not_run_is_kept_but_not_chained() {
    let place = Place::new();
    fs::write(place.hook(), "#!/bin/sh\nexit 1\n").unwrap();
    assert_eq!(place.install().unwrap().chained, [] as [PathBuf; 0]);
    assert!(place.bare().join("hooks/post-receive.chained").exists());
}

#[test]
fn a_symlinked_hook_is_kept_as_the_symlink() {
    let place = Place::new();
    let elsewhere = place.dir.path().join("theirs");
    write_script(&elsewhere, "#!/bin/sh\n");
    symlink(&elsewhere, place.hook()).unwrap();
    let kept = place.bare().join("hooks/post-receive.chained");
    assert_eq!(
        place.install().unwrap().chained,
        std::slice::from_ref(&kept)
    );
    assert_eq!(fs::read_link(&kept).unwrap(), elsewhere);
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "#!/bin/sh\n");
    hooks::remove(&place.bare()).unwrap();
    assert_eq!(fs::read_link(place.hook()).unwrap(), elsewhere);
}

#[test]
fn an_install_that_was_cut_off_is_completed() {
    let place = Place::new();
    write_script(&place.hook(), "#!/bin/sh\n");
    // As left by a stop between the second name and the rename, and in the middle of writing ours.
    let kept = place.bare().join("hooks/post-receive.chained");
    fs::hard_link(place.hook(), &kept).unwrap();
    fs::write(
        place.bare().join("hooks/post-receive.handover-new"),
        "#!/bin",
    )
    .unwrap();
    assert_eq!(
        place.install().unwrap().chained,
        std::slice::from_ref(&kept)
    );
    assert!(fs::read_to_string(place.hook()).unwrap().contains("exec"));
    assert_eq!(fs::read_to_string(kept).unwrap(), "#!/bin/sh\n");
}

#[test]
fn an_older_versions_hook_file_is_replaced_not_chained() {
    let place = Place::new();
    write_script(
        &place.hook(),
        "#!/bin/sh\nbin=$(git config --get handover.binary)\nexec $bin old\n",
    );
    let installed = place.install().unwrap();
    assert_eq!(installed.written.len(), 1);
    assert_eq!(installed.chained, [] as [PathBuf; 0]);
}

#[test]
fn removing_leaves_the_configuration_as_it_was() {
    for before in [None, Some("false"), Some("true")] {
        let place = Place::new();
        let bare = place.dir.path().join("existing.git");
        git(
            place.dir.path(),
            &["init", "-q", "--bare", bare.to_str().unwrap()],
        );
        if let Some(value) = before {
            git(&bare, &["config", "receive.advertisePushOptions", value]);
        }
        let listed = || {
            let mut lines: Vec<_> = git(&bare, &["config", "--local", "--list"])
                .lines()
                .map(str::to_owned)
                .collect();
            lines.sort();
            lines
        };
        let config = listed();
        for _ in 0..2 {
            hooks::install(&bare, &link("shop", "/srv/home", Path::new("/bin/true"))).unwrap();
        }
        assert_eq!(
            git(&bare, &["config", "receive.advertisePushOptions"]),
            "true"
        );
        assert_eq!(git(&bare, &["config", "handover.app"]), "shop");
        hooks::remove(&bare).unwrap();
        assert_eq!(listed(), config);
        assert!(!bare.join("hooks/post-receive").exists());
    }
}

#[test]
fn a_hook_that_somebody_put_over_ours_stays_when_ours_is_removed() {
    let place = Place::new();
    place.install().unwrap();
    write_script(&place.hook(), "#!/bin/sh\necho theirs\n");
    assert_eq!(
        hooks::remove(&place.bare()).unwrap(),
        [Removed::Left(place.hook())]
    );
    assert!(place.hook().exists());
}

#[test]
fn what_cant_be_right_is_refused_and_nothing_is_changed() {
    let place = Place::new();
    let unchanged = |case: &str, words: &str| {
        let config = fs::read(place.bare().join("config")).unwrap();
        let error = place.install().unwrap_err().to_string();
        assert!(error.contains(words), "{case}: {error}");
        assert_eq!(
            fs::read(place.bare().join("config")).unwrap(),
            config,
            "{case}"
        );
        assert!(!place.hook().exists(), "{case}");
    };
    git(&place.bare(), &["config", "core.hooksPath", "/shared"]);
    unchanged("hooksPath", "git config --unset core.hooksPath");
    git(&place.bare(), &["config", "--unset", "core.hooksPath"]);

    git(&place.bare(), &["config", "handover.app", "blog"]);
    unchanged("another app", "it belongs to the app `blog`");
    git(&place.bare(), &["config", "--unset", "handover.app"]);

    let dir = place.bare().join("hooks");
    let shared = place.dir.path().join("shared");
    fs::rename(&dir, &shared).unwrap();
    symlink(&shared, &dir).unwrap();
    unchanged("shared directory", "other repositories may use");
    fs::remove_file(&dir).unwrap();
    fs::rename(&shared, &dir).unwrap();

    let not_bare = hooks::install(&place.work(), &link("shop", "/h", Path::new("/bin/true")));
    assert!(not_bare.unwrap_err().to_string().contains("not a bare"));
}

#[test]
fn two_foreign_hooks_are_for_a_person_to_merge() {
    let place = Place::new();
    write_script(&place.hook(), "#!/bin/sh\necho one\n");
    write_script(
        &place.bare().join("hooks/post-receive.chained"),
        "#!/bin/sh\necho two\n",
    );
    let error = place.install().unwrap_err();
    assert!(matches!(error, HookError::TwoForeign { .. }), "{error}");
}
