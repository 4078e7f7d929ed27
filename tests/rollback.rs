//! Back to a release that was built before, without building it again.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use support::invariants::branch;
use support::steady::Users;
use support::{Shop, http};

fn body(shop: &Shop) -> String {
    http::get(shop.server.address(), "/").unwrap().body
}

#[test]
fn the_last_live_release_serves_again_at_once_and_the_branch_follows() {
    let shop = Shop::open("v1");
    let first = branch(&shop.repo);
    let second = shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
    let users = Users::of_any_version(shop.server.address());

    let told = shop.server.run(&["rollback", "shop"]);
    let words = String::from_utf8(told.stderr).unwrap();
    assert!(told.status.success(), "{words}");
    assert!(words.contains("swap       release 2 → 1"), "{words}");
    assert!(!words.contains("npm ci"), "nothing is built: {words}");
    assert_eq!(body(&shop), "version v1\n");
    assert_eq!(branch(&shop.repo), first);

    shop.server.ok(&["rollback", "shop"]);
    assert_eq!(body(&shop), "version v2\n", "the last that was live");
    assert_eq!(branch(&shop.repo), second);
    shop.server.ok(&["rollback", "shop", "1"]);
    assert_eq!(body(&shop), "version v1\n");

    // What comes next builds on what was gone back from.
    shop.project.version("v3");
    shop.project.push(&shop.repo).went_live();
    assert_eq!(body(&shop), "version v3\n");
    users.finish().all_answered();
}

#[test]
fn where_there_is_nothing_to_go_back_to_it_is_said() {
    let shop = Shop::open("v1");
    for (args, words) in [
        (
            &["rollback", "shop"][..],
            "there is no release to go back to",
        ),
        (&["rollback", "shop", "1"], "release 1 is live already"),
        (&["rollback", "shop", "7"], "there is no release 7 any more"),
    ] {
        let told = shop.server.run(args);
        assert_eq!(told.status.code(), Some(1));
        let said = String::from_utf8(told.stderr).unwrap();
        assert!(said.contains(words), "{said}");
        assert!(said.contains("hint: handover releases shop"), "{said}");
    }
    assert_eq!(body(&shop), "version v1\n");
}
