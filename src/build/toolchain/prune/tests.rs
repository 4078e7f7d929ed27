use super::*;
use crate::build::toolchain::rig::Rig;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The versions of node that are left some days later, where the newest that is kept was built with.
fn left(rig: &Rig, days: u32) -> Vec<String> {
    let remover = Remover::start().unwrap();
    let now = SystemTime::now() + DAY * days;
    let releases = [rig.release.clone()];
    rig.toolbox
        .prune(&releases, DAY * 30, now, &remover)
        .unwrap();
    let mut left: Vec<_> = rig.toolbox.nodes().versions();
    left.sort();
    left.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn what_no_release_was_built_with_goes_when_it_was_not_used_for_long() {
    let mut rig = Rig::with_node("22.3.0", "127");
    for version in ["18.0.0", "20.11.0", "21.1.0"] {
        rig.keep_node(version, "0");
    }
    fs::write(
        rig.release.join(".handover-tools.json"),
        r#"{"node": {"version": "20.11.0", "abi": "115", "from": "system"},
            "manager": {"kind": "npm", "version": "10.2.4", "from": "system"}, "plug_and_play": false}"#,
    )
    .unwrap();
    assert_eq!(left(&rig, 29), ["18.0.0", "20.11.0", "21.1.0"]);

    let long_ago = SystemTime::now() - DAY * 20;
    for version in ["18.0.0", "20.11.0", "21.1.0"] {
        let dir = rig.toolbox.nodes().of(&version.parse().unwrap());
        File::open(dir).unwrap().set_modified(long_ago).unwrap();
    }
    // An app of another release uses one of them.
    rig.node = crate::config::NodeWishes::parse(None, Some(b"18"), None).unwrap();
    rig.install("npm", "echo 10.0.0");
    let used = rig.toolbox.choose(&rig.ask(), &mut |_| ()).await;
    assert!(used.is_err(), "this node has no npm: {used:?}");
    assert_eq!(left(&rig, 15), ["18.0.0", "20.11.0"]);
    assert_eq!(left(&rig, 31), ["20.11.0"]);
    // What a record of ours names is found again.
    fs::remove_file(rig.release.join(".handover-tools.json")).unwrap();
    assert_eq!(left(&rig, 31), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_goes_while_something_is_fetched() {
    let rig = Rig::with_node("22.3.0", "127");
    rig.keep_node("18.0.0", "108");
    let turn = rig.toolbox.turn_to_fetch(&mut |_| ()).await;
    assert_eq!(left(&rig, 31), ["18.0.0"]);
    drop(turn);
    assert_eq!(left(&rig, 31), Vec::<String>::new());
}
