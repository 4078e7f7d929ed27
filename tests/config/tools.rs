//! Which node and which package manager an app wants.

use handover::config::{
    LOCKFILES, Manager, ManagerKind, NamedManager, NodeWishes, PackageJson, Version, Wanted,
    check_lockfile,
};

use crate::refusal;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn nvmrc(text: &str) -> NodeWishes {
    NodeWishes::parse(None, Some(text.as_bytes()), None).unwrap()
}

#[test]
fn a_node_is_wished_for_in_each_form_that_people_write() {
    for (written, right, wrong) in [
        ("20", "20.1.0", "22.0.0"),
        ("v20.1.0\n", "20.1.0", "20.1.1"),
        ("20.1", "20.1.9", "20.2.0"),
        ("lts/iron", "20.20.2", "22.0.0"),
        ("lts/Jod", "22.11.0", "20.0.0"),
        ("lts/*", "24.1.0", "22.0.0"),
        ("lts/-1", "22.1.0", "24.0.0"),
        ("# ours\n\n  22  # since May\n", "22.1.0", "24.0.0"),
        (">=18 <21 || ^24", "24.9.0", "22.0.0"),
        ("node", "99.0.0", "99.0.0-rc.1"),
    ] {
        let wishes = nvmrc(written);
        assert!(wishes.allow(&version(right)), "{written}: {right}");
        assert!(!wishes.allow(&version(wrong)), "{written}: {wrong}");
    }
    for nothing in ["", "\n\n", "# nothing\n"] {
        assert!(nvmrc(nothing).is_empty());
    }
}

#[test]
fn all_wishes_count_and_those_that_contradict_are_named() {
    let both = NodeWishes::parse(Some(">=18"), Some(b"20"), Some(b"20.9.0")).unwrap();
    assert!(both.allow(&version("20.9.0")) && !both.allow(&version("20.10.0")));
    assert_eq!(
        both.to_string(),
        "engines.node of package.json `>=18` and .node-version `20.9.0` and .nvmrc `20`"
    );
    assert_eq!(
        refusal(NodeWishes::parse(Some(">=22"), Some(b"20"), None)),
        ".nvmrc: no version of node satisfies both engines.node of package.json `>=22` and .nvmrc `20`; change one of them"
    );
    assert_eq!(
        refusal(NodeWishes::parse(Some("new"), Some(b"\nlts/-99"), None)),
        "package.json: `new` is not a version of node, nor a range of versions; write one as `22`, `>=20.11 <25` or `lts/krypton`\n.nvmrc:2: `lts/-99` is not a version of node, nor a range of versions; write one as `22`, `>=20.11 <25` or `lts/krypton`"
    );
}

#[test]
fn an_lts_line_that_is_newer_than_this_handover_can_be_named_by_its_number() {
    assert_eq!(
        refusal(NodeWishes::parse(None, Some(b"lts/Lithium"), None)),
        ".nvmrc:1: this handover does not know `lts/Lithium`: lts/krypton, of node 24, is the newest line that it knows by name; write the number of the line that you mean, as `26`"
    );
    assert!(nvmrc("26").allow(&version("26.1.0")));
}

#[test]
fn a_lockfile_tells_its_manager_and_which_versions_can_read_it() {
    const YARN: &str = "# yarn lockfile v1\n\nms@2:\n  version \"2.1.3\"\n";
    let berry = |version: u32, key: &str, sum: &str| {
        format!(
            "__metadata:\n  version: {version}\n  cacheKey: {key}\n\n\"ms@npm:2\":\n  checksum: {sum}\n"
        )
    };
    for (file, text, kind, right, wrong) in [
        (
            "package-lock.json",
            r#"{"lockfileVersion": 3, "packages": {}}"#,
            ManagerKind::Npm,
            "7.0.0",
            "6.14.18",
        ),
        (
            "pnpm-lock.yaml",
            "lockfileVersion: 5.4\n",
            ManagerKind::Pnpm,
            "7.33.7",
            "8.0.0",
        ),
        (
            "pnpm-lock.yaml",
            "lockfileVersion: '6.0'\n",
            ManagerKind::Pnpm,
            "8.15.9",
            "9.0.0",
        ),
        (
            "pnpm-lock.yaml",
            "lockfileVersion: '9.0'\n",
            ManagerKind::Pnpm,
            "10.1.0",
            "8.0.0",
        ),
        ("yarn.lock", YARN, ManagerKind::Yarn1, "1.22.22", "2.4.3"),
        (
            "yarn.lock",
            &berry(4, "7", "x"),
            ManagerKind::Yarn,
            "2.4.2",
            "3.0.0",
        ),
        (
            "yarn.lock",
            &berry(6, "8", "x"),
            ManagerKind::Yarn,
            "3.8.7",
            "4.0.0",
        ),
        (
            "yarn.lock",
            &berry(8, "10c0", "x"),
            ManagerKind::Yarn,
            "4.0.2",
            "4.1.0",
        ),
        (
            "yarn.lock",
            &berry(8, "10c0", "10c0/x"),
            ManagerKind::Yarn,
            "4.12.0",
            "4.14.0",
        ),
        (
            "yarn.lock",
            &berry(10, "10c0", "10c0/x"),
            ManagerKind::Yarn,
            "4.18.1",
            "4.12.0",
        ),
        (
            "bun.lock",
            "{\"lockfileVersion\": 1,}",
            ManagerKind::Bun,
            "1.2.0",
            "1.1.0",
        ),
        (
            "bun.lockb",
            "#!/usr/bin/env bun\nbun-lockfile-format-v0\n",
            ManagerKind::Bun,
            "1.0.0",
            "0.9.0",
        ),
    ] {
        let manager = check_lockfile(file, text.as_bytes()).unwrap();
        assert_eq!((manager.kind, manager.lockfile), (kind, file));
        assert!(manager.wanted.allows(&version(right)), "{text}: {right}");
        assert!(!manager.wanted.allows(&version(wrong)), "{text}: {wrong}");
    }
}

#[test]
fn a_lockfile_that_each_npm_can_read_asks_for_none() {
    for text in [
        r#"{"lockfileVersion": 1, "dependencies": {}}"#,
        r#"{"lockfileVersion": 2, "packages": {}, "dependencies": {}}"#,
        r#"{"dependencies": {}}"#,
    ] {
        let manager = check_lockfile("package-lock.json", text.as_bytes()).unwrap();
        assert_eq!(manager.wanted, Wanted::Any, "{text}");
    }
}

#[test]
fn a_lockfile_that_is_none_is_told() {
    for (file, text, told) in [
        (
            "pnpm-lock.yaml",
            "importers:\n",
            "pnpm-lock.yaml: this is not a lockfile: it has no `lockfileVersion`; make it anew with `pnpm install --lockfile-only`",
        ),
        ("pnpm-lock.yaml", " \n", "it is empty"),
        (
            "yarn.lock",
            "a\n>>>>>>> theirs\n",
            "yarn.lock:2: a merge conflict was left in the file; resolve it with `yarn install`",
        ),
        ("bun.lock", "{}", "bun install --lockfile-only"),
        (
            "bun.lockb",
            "\0\u{1}",
            "bun.lockb: this is not a lockfile: it does not begin as one",
        ),
    ] {
        let refused = refusal(check_lockfile(file, text.as_bytes()));
        assert!(refused.contains(told), "{refused}");
    }
}

fn named(package_manager: &str) -> Result<Option<NamedManager>, handover::config::ConfigError> {
    let package = format!(r#"{{"packageManager": "{package_manager}"}}"#);
    NamedManager::of(&PackageJson::parse(package.as_bytes()).unwrap())
}

#[test]
fn the_named_manager_is_understood() {
    for (written, kind, right) in [
        ("pnpm@9.1.0", ManagerKind::Pnpm, "9.1.0"),
        ("pnpm@9.1.0+sha512.abc", ManagerKind::Pnpm, "9.1.0"),
        ("yarn@1.22.22", ManagerKind::Yarn1, "1.22.22"),
        ("yarn@^4", ManagerKind::Yarn, "4.12.0"),
        ("npm@11", ManagerKind::Npm, "11.9.0"),
        ("bun@1.2.3", ManagerKind::Bun, "1.2.3"),
    ] {
        let manager = named(written).unwrap().unwrap();
        assert_eq!(manager.kind, kind);
        assert!(manager.range.contains(&version(right)));
        assert!(!manager.range.contains(&version("0.1.0")));
    }
    for written in [
        "pnpm",
        "pnpm@",
        "pnpm@latest",
        "cnpm@1.0.0",
        "pnpm@https://x",
    ] {
        assert_eq!(
            refusal(named(written)),
            format!(
                "package.json: `packageManager` is `{written}`; write npm, pnpm, yarn or bun with a version, as \"pnpm@9.1.0\""
            )
        );
    }
}

#[test]
fn what_is_named_must_be_the_lockfiles_manager_and_then_says_the_version() {
    let lock = || check_lockfile("pnpm-lock.yaml", b"lockfileVersion: '9.0'").unwrap();
    let nine = named("pnpm@9.1.0").unwrap();
    let manager = lock().as_named(nine.as_ref(), Some("pnpm@9.1.0")).unwrap();
    assert_eq!(manager.wanted, Wanted::Named("9.1.0".parse().unwrap()));
    let npm = named("npm@11.0.0").unwrap();
    let error = lock()
        .as_named(npm.as_ref(), Some("npm@11.0.0"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "pnpm-lock.yaml is of pnpm, but packageManager of package.json says `npm@11.0.0`"
    );
    assert_eq!(lock().as_named(None, None).unwrap(), lock());
}

#[test]
fn lockfiles_of_one_manager_may_lie_side_by_side_and_others_not() {
    for (n, (one, whose)) in LOCKFILES.iter().enumerate() {
        for (other, others) in &LOCKFILES[n..] {
            let judged = Manager::only_one(&[*one, *other], None);
            assert_eq!(judged.is_ok(), whose == others, "{one} {other}");
            if let Err(error) = judged {
                let told = format!("{error} {}", error.hint());
                assert!(told.contains(one) && told.contains(other), "{told}");
            }
        }
    }
}

#[test]
fn yarns_settings_say_which_yarn_and_how_it_installs() {
    let lock = b"__metadata:\n  version: 8\n";
    let with = |yarnrc: &str| {
        let manager = check_lockfile("yarn.lock", lock).unwrap();
        let manager = manager.with_yarnrc(Some(yarnrc.as_bytes()));
        (manager.yarn_path, manager.plug_and_play)
    };
    assert_eq!(with(""), (None, true));
    assert_eq!(with("nodeLinker: node-modules # as ever\n"), (None, false));
    assert_eq!(with("nodeLinker: \"pnpm\"\n"), (None, false));
    assert_eq!(
        with("nodeLinker: pnp\nyarnPath: .yarn/releases/yarn-4.1.0.cjs\n"),
        (Some(".yarn/releases/yarn-4.1.0.cjs".to_owned()), true)
    );
}
