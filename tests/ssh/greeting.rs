//! A client that asks for nothing.

use std::process::Stdio;

use crate::{Place, words};

#[test]
fn a_key_is_greeted_with_the_apps_that_it_may_use_and_with_no_others() {
    let Some(place) = Place::new() else { return };
    let ada = place.sshd.key("ada", &["--app", "shop"]);
    let reader = place.sshd.key("reader", &["--app", "blog", "--read"]);
    let root = place.sshd.key("root", &[]);

    let greeted = place.sshd.ssh(&ada, "");
    let told = words(&greeted);
    assert_eq!(greeted.status.code(), Some(0), "{told}");
    assert!(told.contains("hello ada; this is handover."), "{told}");
    assert!(told.contains("You may push: shop\n"), "{told}");
    assert!(told.contains("git remote add production ssh://"), "{told}");
    assert!(!told.contains("blog") && !told.contains("read"), "{told}");

    let told = words(&place.sshd.ssh(&reader, ""));
    assert!(told.contains("You may read: blog\n"), "{told}");
    assert!(!told.contains("shop") && !told.contains("push"), "{told}");

    let told = words(&place.sshd.ssh(&root, ""));
    assert!(
        told.contains("You may push and change every app: blog, shop\n"),
        "{told}"
    );
}

#[test]
fn a_terminal_is_refused() {
    let Some(place) = Place::new() else { return };
    let ada = place.sshd.key("ada", &["--app", "shop"]);
    let mut asked = place.sshd.ssh_with(&ada, &["-tt"], "");
    let told = words(&asked.stdin(Stdio::null()).output().unwrap());
    assert!(told.contains("PTY allocation request failed"), "{told}");
}

#[test]
fn a_login_is_remembered_with_the_key() {
    let Some(place) = Place::new() else { return };
    let ada = place.sshd.key("ada", &["--app", "shop"]);
    let used = || place.server.json(&["keys", "list"])["keys"][0]["last_used_at"].clone();
    assert!(used().is_null());
    place.sshd.ssh(&ada, "");
    assert!(used().is_string());
}
