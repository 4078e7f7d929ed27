//! Hook files come and go without a trace.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use handover::git::hooks::{self, Gate, HookError, Removed};

use crate::place::{Place, git, git_output, link, write_script};

#[test]
fn a_push_runs_the_binary_that_the_repository_names() {
    let place = Place::new();
    let installed = place.install().unwrap();
    let hooks = place.bare().join("hooks");
    let ours = ["pre-receive", "proc-receive", "post-receive"].map(|name| hooks.join(name));
    assert_eq!(installed.written, ours);
    let commit = place.commit("1", "one");
    let output = git_output(&place.work(), &["push", "origin", "HEAD:main"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("remote: from the fake"), "{stderr}");
    let line = format!("{} {commit} refs/heads/main\n", "0".repeat(40));
    let expected = format!("args: hook pre-receive\n{line}args: hook post-receive\n{line}");
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
    assert_eq!(removed.last(), Some(&Removed::Restored(place.hook())));
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
    assert!(installed.written.contains(&place.hook()));
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
        [
            Removed::Gone(place.bare().join("hooks/pre-receive")),
            Removed::Gone(place.bare().join("hooks/proc-receive")),
            Removed::Left(place.hook())
        ]
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

#[test]
fn the_gate_is_one_line_of_configuration_and_leaves_those_of_others_alone() {
    let place = Place::new();
    let refs = || {
        let output = git_output(
            &place.bare(),
            &["config", "--get-all", "receive.procReceiveRefs"],
        );
        String::from_utf8(output.stdout).unwrap()
    };
    git(
        &place.bare(),
        &["config", "--add", "receive.procReceiveRefs", "refs/for"],
    );
    let binary = place.fake_binary();
    let mut wanted = link("shop", "/srv/home", &binary);
    for (gate, expected) in [
        (Gate::On, "refs/for\nrefs/heads/main\n"),
        (Gate::On, "refs/for\nrefs/heads/main\n"),
        (Gate::Off, "refs/for\n"),
        (Gate::On, "refs/for\nrefs/heads/main\n"),
    ] {
        wanted.gate = gate;
        hooks::install(&place.bare(), &wanted).unwrap();
        assert_eq!(refs(), expected);
        assert_eq!(hooks::link(&place.bare()).unwrap().unwrap().gate, gate);
    }
    hooks::remove(&place.bare()).unwrap();
    assert_eq!(refs(), "refs/for\n");
}

#[test]
fn a_proc_receive_of_ones_own_is_left_alone_and_rules_the_gate_out() {
    let place = Place::new();
    let own = place.bare().join("hooks/proc-receive");
    write_script(&own, "#!/bin/sh\necho theirs\n");
    let mut wanted = link("shop", "/srv/home", Path::new("/bin/true"));
    hooks::install(&place.bare(), &wanted).unwrap();
    assert!(fs::read_to_string(&own).unwrap().contains("theirs"));
    wanted.gate = Gate::On;
    let error = hooks::install(&place.bare(), &wanted).unwrap_err();
    assert!(matches!(error, HookError::OwnProcReceive { .. }), "{error}");
    hooks::remove(&place.bare()).unwrap();
    assert!(fs::read_to_string(&own).unwrap().contains("theirs"));
}
