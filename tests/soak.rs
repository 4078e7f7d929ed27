//! Deploy after deploy, under load: nothing is lost, and nothing grows.
//!
//! `scripts/soak N` runs it for long.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::time::{Duration, Instant};

use support::steady::{Tally, Users};
use support::{Server, Shop, Weight};

/// Few of everything is kept, so that all of it is pruned from early on.
const SETTINGS: &str = "keep_releases = 3\nkeep_deploys = 20\nlook_every = \"1s\"\n";
/// After so many deploys nothing may grow any more.
const SETTLED: u32 = 50;
/// One part in a hundred.
const TOLERANCE: u64 = 100;
/// How long what has been done last may still have its effects: old versions are cleared away, and what is old is pruned.
const REST: Duration = Duration::from_secs(10);

#[test]
fn many_deploys_lose_no_request_and_leave_nothing_behind() {
    let deploys = std::env::var("HANDOVER_SOAK").map_or(60, |count| count.parse().unwrap());
    assert!(
        deploys > SETTLED,
        "{SETTLED} deploys are only the beginning"
    );
    let server = Server::start_with(SETTINGS, &["--listen", "127.0.0.1:0"]);
    let shop = Shop::open_on(server, "v1", &[]);
    let began = Instant::now();
    let mut settled = None;
    let mut tally = Tally::default();
    let mut users = None;
    for number in 2..=deploys {
        let address = shop.server.address();
        users.get_or_insert_with(|| Users::of_any_version_either_way(address));
        // As wide at the end as at the beginning: it stands in rows and logs.
        shop.project.version(&format!("v{number:05}"));
        shop.project.push(&shop.repo).went_live();
        if number % SETTLED == 0 || number == deploys {
            let seen = users.take().expect("there are some").finish();
            tally.answers += seen.answers;
            tally.failures.extend(seen.failures);
            let weight = at_rest(&shop);
            eprintln!(
                "{number} deploys in {} s; {} requests, {} lost; {weight}",
                began.elapsed().as_secs(),
                tally.answers,
                tally.failures.len()
            );
            settled = settled.or(Some(weight));
        }
    }
    let settled = settled.expect("there were enough deploys");
    let grown = Weight::of(&shop.server).grown_since(&settled, TOLERANCE);
    tally.all_answered();
    assert!(grown.is_empty(), "grown: {grown:#?}");
}

/// What the server weighs when it has nothing to do.
fn at_rest(shop: &Shop) -> Weight {
    shop.server.until_drained("shop");
    shop.server.assert_right();
    let deadline = Instant::now() + REST;
    let mut last = Weight::of(&shop.server);
    let mut same_since = Instant::now();
    while Instant::now() < deadline && same_since.elapsed() < REST / 2 {
        std::thread::sleep(Duration::from_millis(500));
        let now = Weight::of(&shop.server);
        if now != last {
            (last, same_since) = (now, Instant::now());
        }
    }
    last
}
