use super::*;
use crate::build::toolchain::program::Libc;
use crate::build::toolchain::rig::Rig;

fn built_with(node: &str, abi: &str, origin: Origin) -> Toolchain {
    Toolchain {
        node: NodeProgram {
            path: "/usr/bin/node".into(),
            version: node.parse().unwrap(),
            abi: abi.to_owned(),
            arch: "x64".to_owned(),
            libc: Libc::Glibc("2.36".to_owned()),
            origin,
        },
        manager: ManagerProgram {
            kind: ManagerKind::Npm,
            version: "10.8.2".parse().unwrap(),
            command: vec!["/usr/bin/npm".into()],
            bin: None,
            origin,
        },
    }
}

/// The node that a release is started with, and what the pusher reads.
async fn started(rig: &Rig) -> (Option<std::path::PathBuf>, String) {
    let mut told = Vec::new();
    let mut tell = |kind| told.push(kind);
    let runtime = rig.toolbox.runtime(&rig.ask(), &mut tell).await.unwrap();
    let warnings = told.into_iter().filter_map(|kind| match kind {
        EventKind::Warned { text } => Some(text),
        _ => None,
    });
    (runtime.node, warnings.collect())
}

fn record(rig: &Rig, toolchain: &Toolchain) {
    Toolbox::record(&rig.release, toolchain, &rig.manager).unwrap();
}

#[tokio::test]
async fn a_release_gets_the_systems_node_as_long_as_native_modules_run_on_it() {
    let rig = Rig::with_node("20.19.0", "115");
    rig.keep_node("20.11.0", "115");
    record(&rig, &built_with("20.11.0", "115", Origin::System));
    let system = Some(rig.bin().join("node"));
    assert_eq!(started(&rig).await, (system, String::new()));
}

#[tokio::test]
async fn a_release_gets_the_node_that_it_was_built_with_where_the_system_has_gone_on() {
    let rig = Rig::with_node("22.3.0", "127");
    let kept = rig.keep_node("20.11.0", "115");
    record(&rig, &built_with("20.11.0", "115", Origin::System));
    assert_eq!(started(&rig).await, (Some(kept), String::new()));
}

#[tokio::test]
async fn a_node_that_can_not_be_had_any_more_is_told_and_the_systems_is_used() {
    let rig = Rig::with_node("22.3.0", "127");
    record(&rig, &built_with("20.11.0", "115", Origin::System));
    let (node, warning) = started(&rig).await;
    assert_eq!(node, Some(rig.bin().join("node")));
    for words in [
        "built with node 20.11.0",
        "the server's 22.3.0",
        "push again",
    ] {
        assert!(warning.contains(words), "{warning}");
    }
}

#[tokio::test]
async fn a_release_without_a_record_gets_what_the_system_has() {
    let rig = Rig::with_node("22.3.0", "127");
    let system = Some(rig.bin().join("node"));
    assert_eq!(started(&rig).await, (system, String::new()));
}

#[test]
fn what_is_recorded_is_read_again() {
    let rig = Rig::with_node("22.3.0", "127");
    for origin in [Origin::System, Origin::Kept, Origin::Repository] {
        let toolchain = built_with("20.11.0", "115", origin);
        record(&rig, &toolchain);
        let read = Record::read(&rig.release).unwrap();
        assert_eq!(read, Record::of(&toolchain, &rig.manager, &rig.release));
    }
}

#[test]
fn a_record_that_is_not_ours_is_replaced_whatever_it_is() {
    let rig = Rig::with_node("22.3.0", "127");
    let (file, elsewhere) = (rig.release.join(FILE), rig.release.join("elsewhere"));
    fs::write(&elsewhere, "another's").unwrap();
    let toolchain = built_with("22.3.0", "127", Origin::System);
    let committed: [&dyn Fn(); 3] = [
        &|| fs::write(&file, r#"{"node":"18.0.0"}"#).unwrap(),
        &|| std::os::unix::fs::symlink(&elsewhere, &file).unwrap(),
        &|| fs::create_dir_all(file.join("inner")).unwrap(),
    ];
    for commit in committed {
        commit();
        record(&rig, &toolchain);
        let read = Record::read(&rig.release).unwrap();
        assert_eq!(read, Record::of(&toolchain, &rig.manager, &rig.release));
        fs::remove_file(&file).unwrap();
    }
    assert_eq!(fs::read_to_string(elsewhere).unwrap(), "another's");
}

#[test]
fn the_manager_of_a_release_is_the_one_that_it_was_installed_with() {
    let rig = Rig::with_node("22.3.0", "127");
    let mut toolchain = built_with("22.3.0", "127", Origin::System);
    toolchain.manager.kind = ManagerKind::Yarn;
    let wanted = Manager {
        plug_and_play: true,
        ..Manager::default()
    };
    Toolbox::record(&rig.release, &toolchain, &wanted).unwrap();
    fs::write(rig.release.join("package.json"), "{}").unwrap();
    fs::write(rig.release.join("yarn.lock"), "__metadata:\n  version: 8\n").unwrap();
    let lock = r#"{"lockfileVersion": 3, "packages": {}}"#;
    fs::write(rig.release.join("package-lock.json"), lock).unwrap();
    let files = crate::build::read_built_files(&rig.release).unwrap();
    assert_eq!(files.manager.kind, ManagerKind::Yarn);
    assert!(files.manager.plug_and_play);
}
