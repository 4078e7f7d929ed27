//! Keys that are let in no longer.

use crate::support::Project;
use crate::{Place, words};

#[test]
fn a_removed_key_may_do_nothing_even_where_sshd_still_lets_it_in() {
    let Some(place) = Place::new() else { return };
    let ada = place.sshd.key("ada", &["--app", "shop"]);
    let file = place.server.home().join("authorized_keys");
    let lines = std::fs::read(&file).unwrap();
    place.server.ok(&["keys", "remove", "ada"]);
    assert!(words(&place.sshd.ssh(&ada, "status")).contains("Permission denied"));

    std::fs::write(&file, lines).unwrap();
    for command in [
        "",
        "status",
        "git-receive-pack 'shop'",
        "git-upload-pack 'shop'",
    ] {
        let asked = place.sshd.ssh(&ada, command);
        let told = words(&asked);
        assert!(!asked.status.success(), "{command}: {told}");
        assert!(told.contains("find the key `ada`"), "{command}: {told}");
    }
}

#[test]
fn a_new_app_of_an_old_name_is_not_open_to_the_old_keys() {
    let Some(place) = Place::new() else { return };
    let ada = place.sshd.key("ada", &["--app", "shop"]);
    place.server.ok(&["app", "destroy", "shop", "--yes"]);
    place.server.create("shop");
    let refused = place.sshd.push(&Project::tiny(), &ada, "shop", &[]);
    assert_ne!(refused.code, 0);
    refused.says("that the key `ada` may push to");
    let greeted = words(&place.sshd.ssh(&ada, ""));
    assert!(greeted.contains("no app that you may use yet"), "{greeted}");
}
