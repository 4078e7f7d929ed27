//! What each package manager is told, asked for without running it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use handover::build::{InstallRequest, Libc, ManagerProgram, NodeProgram, Origin, Toolchain};
use handover::config::{Manager, ManagerKind, Omit};

fn toolchain(kind: ManagerKind, version: &str, origin: Origin) -> Toolchain {
    let home = match origin {
        Origin::Kept => "/h/node/22.11.0",
        Origin::System | Origin::Repository => "/usr",
    };
    let kept = origin == Origin::Kept;
    Toolchain {
        node: NodeProgram {
            path: Path::new(home).join("bin/node"),
            version: "22.11.0".parse().unwrap(),
            abi: "127".into(),
            arch: "x64".into(),
            libc: Libc::Glibc("2.36".into()),
            origin,
        },
        manager: ManagerProgram {
            kind,
            version: version.parse().unwrap(),
            command: vec![PathBuf::from("/t/bin").join(kind.name())],
            bin: kept.then(|| PathBuf::from("/t/bin")),
            origin,
        },
    }
}

/// Words, arguments, environment, settings.
type Told = (String, Vec<String>, BTreeMap<String, String>, Vec<PathBuf>);

fn told(toolchain: &Toolchain, omit: &[Omit]) -> Told {
    let env = [
        ("PATH", "/usr/bin"),
        ("HOME", "/root"),
        ("NODE_ENV", "production"),
    ];
    let env = env
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let manager = Manager {
        kind: toolchain.manager.kind,
        ..Manager::default()
    };
    let request = InstallRequest {
        release: Path::new("/a/releases/7"),
        caches: Path::new("/a/cache"),
        mark: Path::new("/a"),
        env: &env,
        toolchain,
        manager: &manager,
        omit,
        verbose: false,
        limit: InstallRequest::LIMIT,
    };
    (
        request.words(),
        request.args(),
        request.environment(),
        request.config_files(),
    )
}

#[test]
fn each_manager_installs_what_its_lockfile_says_without_what_is_left_out() {
    for (kind, version, whole, without) in [
        (
            ManagerKind::Npm,
            "10.9.9",
            "npm ci",
            "npm ci --omit=dev --omit=optional",
        ),
        (
            ManagerKind::Pnpm,
            "10.1.0",
            "pnpm install --frozen-lockfile",
            "pnpm install --frozen-lockfile --prod --no-optional",
        ),
        (
            ManagerKind::Yarn1,
            "1.22.22",
            "yarn install --frozen-lockfile",
            "yarn install --frozen-lockfile --production --ignore-optional",
        ),
        (
            ManagerKind::Yarn,
            "4.12.0",
            "yarn install --immutable",
            "yarn install --immutable",
        ),
        (
            ManagerKind::Bun,
            "1.2.0",
            "bun install --frozen-lockfile",
            "bun install --frozen-lockfile --omit=dev --omit=optional",
        ),
    ] {
        let tools = toolchain(kind, version, Origin::System);
        let all = told(&tools, &[]);
        assert_eq!(all.0, whole);
        let less = told(&tools, &[Omit::Dev, Omit::Optional]);
        assert_eq!(less.0, without);
        for (words, args) in [(all.0, all.1), (less.0, less.1)] {
            for word in words.split(' ').skip(1) {
                assert!(args.iter().any(|arg| arg == word), "{word} in {args:?}");
            }
        }
        assert_eq!(all.2.get("NODE_ENV"), None);
        assert_eq!(all.2["HANDOVER_BUILD"], "/a");
        assert_eq!(all.2["PATH"], "/usr/bin");
    }
}

#[test]
fn caches_are_the_apps_own_and_nothing_is_hard_linked_out_of_them() {
    let of = |kind, version| told(&toolchain(kind, version, Origin::System), &[]);
    let (_, args, env, _) = of(ManagerKind::Pnpm, "10.1.0");
    assert!(args.contains(&"--store-dir=/a/cache/pnpm/store".to_owned()));
    assert!(args.contains(&"--config.package-import-method=clone-or-copy".to_owned()));
    assert_eq!(env["npm_config_cache"], "/a/cache/npm");
    let (_, args, ..) = of(ManagerKind::Yarn1, "1.22.22");
    assert!(args.contains(&"--cache-folder=/a/cache/yarn".to_owned()));
    let (_, _, env, _) = of(ManagerKind::Yarn, "4.12.0");
    assert_eq!(env["YARN_CACHE_FOLDER"], "/a/cache/yarn/cache");
    assert_eq!(
        (
            env["YARN_ENABLE_GLOBAL_CACHE"].as_str(),
            env["YARN_NM_MODE"].as_str()
        ),
        ("false", "classic")
    );
    let (_, args, env, _) = of(ManagerKind::Bun, "1.2.0");
    assert!(args.contains(&"--backend=copyfile".to_owned()));
    assert_eq!(env["BUN_INSTALL_CACHE_DIR"], "/a/cache/bun");
}

#[test]
fn what_was_fetched_comes_first_and_brings_its_headers() {
    let (_, _, env, _) = told(&toolchain(ManagerKind::Pnpm, "9.1.0", Origin::Kept), &[]);
    assert_eq!(env["PATH"], "/t/bin:/h/node/22.11.0/bin:/usr/bin");
    assert_eq!(env["npm_config_nodedir"], "/h/node/22.11.0");
    assert_eq!(
        env["npm_package_config_node_gyp_nodedir"],
        "/h/node/22.11.0"
    );
    assert_eq!(env["npm_config_prefix"], "/a/cache/global");
    let (_, _, env, _) = told(&toolchain(ManagerKind::Npm, "11.9.0", Origin::Kept), &[]);
    assert_eq!(env.get("npm_config_nodedir"), None, "npm 11 warns of it");
}

#[test]
fn the_settings_that_a_manager_reads_are_known() {
    for (kind, version, wanted) in [
        (
            ManagerKind::Npm,
            "10.9.9",
            &["/a/releases/7/.npmrc", "/root/.npmrc"][..],
        ),
        (
            ManagerKind::Pnpm,
            "10.1.0",
            &[
                "/a/releases/7/pnpm-workspace.yaml",
                "/a/releases/7/.pnpmfile.cjs",
                "/a/releases/7/.npmrc",
                "/root/.npmrc",
            ],
        ),
        (
            ManagerKind::Yarn1,
            "1.22.22",
            &["/a/releases/7/.yarnrc", "/root/.yarnrc", "/root/.npmrc"],
        ),
        (
            ManagerKind::Yarn,
            "4.12.0",
            &[
                "/a/releases/7/.yarnrc.yml",
                "/a/releases/7/.yarn",
                "/root/.yarnrc.yml",
            ],
        ),
        (
            ManagerKind::Bun,
            "1.2.0",
            &[
                "/a/releases/7/bunfig.toml",
                "/root/.bunfig.toml",
                "/root/.npmrc",
            ],
        ),
    ] {
        let (_, _, _, files) = told(&toolchain(kind, version, Origin::System), &[]);
        for file in wanted {
            assert!(
                files.contains(&PathBuf::from(file)),
                "{kind}: {file} in {files:?}"
            );
        }
    }
}
