//! What is kept of many deploys, and what is not.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::collections::BTreeSet;

use support::{Server, Shop, http, until};

#[test]
fn old_deploys_are_forgotten_and_the_way_back_stays() {
    let settings = "keep_releases = 1\nkeep_deploys = 2\n";
    let server = Server::start_with(settings, &["--listen", "127.0.0.1:0"]);
    let shop = Shop::open_on(server, "v1", &[]);
    for version in ["v2", "v3", "v4"] {
        shop.project.version(version);
        shop.project.push(&shop.repo).went_live();
        shop.server.until_drained("shop");
    }
    for _ in 0..3 {
        shop.server.ok(&["restart", "shop"]);
        shop.server.until_drained("shop");
    }
    // Those that built the two releases, and the two newest.
    let kept: BTreeSet<u64> = [3, 4, 6, 7].into();
    until("all others are forgotten", || {
        (numbers_of_logs(&shop) == kept).then_some(())
    });
    assert_eq!(releases(&shop), [3, 4], "the live one and the one before");
    let gone = shop.server.run(&["logs", "shop", "--deploy", "1"]);
    let words = String::from_utf8(gone.stderr).unwrap();
    assert!(words.contains("its log was pruned"), "{words}");

    shop.server.ok(&["rollback", "shop"]);
    let answer = http::get(shop.server.address(), "/").unwrap();
    assert_eq!(answer.body, "version v3\n");
}

fn numbers_of_logs(shop: &Shop) -> BTreeSet<u64> {
    let logs = std::fs::read_dir(shop.server.app_dir("shop").join("logs")).unwrap();
    let names = logs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let number = |name: String| {
        let digits = name.strip_prefix("deploy-")?.strip_suffix(".jsonl")?;
        digits.parse().ok()
    };
    names.filter_map(number).collect()
}

fn releases(shop: &Shop) -> Vec<u64> {
    let shown = shop.server.json(&["releases", "shop"]);
    let releases = shown["releases"].as_array().unwrap().iter();
    releases
        .map(|one| one["release"].as_u64().unwrap())
        .collect()
}
