//! `handover.toml` in an app's repository.

use std::time::Duration;

use handover::config::{Accept, AppConfig, CachePath, Omit};

use crate::{app, refusal};

#[test]
fn an_empty_file_gives_the_defaults() {
    let config = app("").unwrap();
    assert_eq!(config, AppConfig::default());
    assert_eq!(config.web.command, None);
    assert_eq!(config.web.instances, 1);
    assert!(config.web.preload && config.web.compile_cache);
    assert_eq!(config.health.path, "/");
    assert_eq!(config.health.accept, Accept::Below500);
    assert_eq!(config.health.timeout, Duration::from_secs(60));
    assert_eq!(config.health.interval, Duration::from_millis(250));
    assert_eq!(config.drain.timeout, Duration::from_secs(300));
    assert_eq!(config.drain.stop_timeout, Duration::from_secs(10));
    assert_eq!(config.install.omit, []);
    assert_eq!(config.build.timeout, Duration::from_secs(900));
    assert_eq!(config.build.cache, CachePath::defaults());
    assert_eq!(config.build.cache[0].to_string(), ".next/cache");
    assert_eq!(config.watch, Duration::from_secs(30));
}

#[test]
fn every_key_can_be_set() {
    let config = app(r#"
[web]
command = " node server.js "
instances = 0x04
preload = false
compile_cache = false
[health]
path = "/healthz?deep=1"
timeout = "30m"
interval = "1s"
[drain]
timeout = "0s"
stop_timeout = "10m"
[install]
omit = ["dev", "optional"]
[build]
command = "make"
timeout = "1h30m"
cache = ["./packages/web/.next/cache/"]
[watch]
for = "0s"
"#)
    .unwrap();
    assert_eq!(config.web.command.as_deref(), Some("node server.js"));
    assert_eq!(config.web.instances, 4);
    assert!(!config.web.preload && !config.web.compile_cache);
    assert_eq!(config.health.path, "/healthz?deep=1");
    assert_eq!(config.health.accept, Accept::SuccessOrRedirect);
    assert_eq!(config.drain.timeout, Duration::ZERO);
    assert_eq!(config.install.omit, [Omit::Dev, Omit::Optional]);
    assert_eq!(config.build.timeout, Duration::from_secs(5400));
    let caches: Vec<_> = config
        .build
        .cache
        .iter()
        .map(CachePath::to_string)
        .collect();
    assert_eq!(caches, ["packages/web/.next/cache"]);
    assert_eq!(app("[build]\ncache = []").unwrap().build.cache, []);
    assert_eq!(config.watch, Duration::ZERO);
}

#[test]
fn a_wrong_value_is_told_with_its_line_and_what_would_be_right() {
    for (toml, expected) in [
        (
            "\n[health]\ntimeout = \"5 fortnights\"",
            "handover.toml:3: `health.timeout`: `5 fortnights` is not a duration; write one as \"250ms\", \"30s\", \"5m\" or \"1h\"",
        ),
        (
            "[health]\ntimeout = \"31m\"",
            "handover.toml:2: `health.timeout`: `31m` is too long; 1 s to 30 min are allowed",
        ),
        (
            "[health]\ninterval = \"1ms\"",
            "handover.toml:2: `health.interval`: `1ms` is too short; 50 ms to 1 min are allowed",
        ),
        (
            "[drain]\ntimeout = 60",
            "handover.toml:2: `drain.timeout`: `60` has no unit; write a duration in quotes, as \"60s\"",
        ),
        (
            "[web]\ninstances = 65",
            "handover.toml:2: `web.instances`: `65` is out of range; 1 to 64 are allowed",
        ),
        (
            "[web]\ninstances = -1",
            "handover.toml:2: `web.instances`: `-1` is out of range; 1 to 64 are allowed",
        ),
        (
            "[web]\ninstances = \"2\"",
            "handover.toml:2: `web.instances`: this is text; write a whole number from 1 to 64, without quotes",
        ),
        (
            "[web]\npreload = \"no\"",
            "handover.toml:2: `web.preload`: this is text; write true or false, without quotes",
        ),
        (
            "[web]\ncommand = [\"node\"]",
            "handover.toml:2: `web.command`: this is a list; write text in quotes, as command = \"…\"",
        ),
        (
            "[web]\ncommand = \"  \"",
            "handover.toml:2: `web.command`: this is empty; write a command, or leave the key out for the default",
        ),
        (
            "[health]\npath = \"healthz\"",
            "handover.toml:2: `health.path`: `healthz` does not begin with `/`; write a path such as \"/healthz\"",
        ),
        (
            "[health]\npath = \"/a b\"",
            "handover.toml:2: `health.path`: `/a b` has characters that a request line can't carry; write a path such as \"/healthz\"",
        ),
        (
            "[install]\nomit = [\"dev\",\n\"test\"]",
            "handover.toml:3: `install.omit`: `test` can't be left out; only \"dev\", \"optional\" and \"peer\" can",
        ),
        (
            "[install]\nomit = [\"dev\", \"dev\"]",
            "handover.toml:2: `install.omit`: this is in the list twice",
        ),
        (
            "[build]\ncache = [\".vite\", \"../.vite\"]",
            "handover.toml:2: `build.cache`: `../.vite` leads out of the app; write a directory of the app such as \".next/cache\"",
        ),
        (
            "[build]\ncache = [\".vite\", \"./.vite/\"]",
            "handover.toml:2: `build.cache`: this is in the list twice",
        ),
        (
            "web = 3",
            "handover.toml:1: `web`: this is a number; write a section that begins with [web]",
        ),
        (
            "[watch]\nfor = \"2h\"",
            "handover.toml:2: `watch.for`: `2h` is too long; 0 s to 1 h are allowed",
        ),
    ] {
        assert_eq!(refusal(app(toml)), expected);
    }
}

#[test]
fn an_unknown_key_is_told_with_the_known_ones_and_a_guess() {
    assert_eq!(
        refusal(app("[health]\npath = \"/\"\ntimout = \"5s\"")),
        "handover.toml:3: `health.timout`: there is no such key; did you mean `timeout`? known in [health]: `path`, `timeout`, `interval`"
    );
    assert_eq!(
        refusal(app("\n\n[wbe]\ncommand = \"x\"")),
        "handover.toml:3: `wbe`: there is no such key; did you mean `web`? known here: `web`, `health`, `drain`, `install`, `build`, `watch`"
    );
    let far = refusal(app("[web]\nenvironment = \"x\""));
    assert!(!far.contains("did you mean"), "{far}");
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let error = app("[drain]\nx = 1\ntimeout = 5\n[web]\ninstances = 0\n").unwrap_err();
    let lines: Vec<_> = error.problems().iter().map(|p| p.line.unwrap()).collect();
    assert_eq!(lines, [2, 3, 5]);
    assert_eq!(error.to_string().lines().count(), 3);
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    let error = refusal(app("[web]\ncommand = \"unclosed\ninstances = 2\n"));
    assert!(error.starts_with("handover.toml:2: "), "{error}");
    assert_eq!(error.lines().count(), 1);
    let error = refusal(AppConfig::parse(b"[web]\n# caf\xe9\n"));
    assert!(
        error.starts_with("handover.toml:2: this line is not UTF-8"),
        "{error}"
    );
    // Editors of some systems begin files with a mark.
    AppConfig::parse(b"\xef\xbb\xbf[web]\r\ninstances = 2\r\n").unwrap();
}

#[test]
fn values_in_messages_cant_steer_a_terminal() {
    let error = refusal(app("[health]\ntimeout = \"\\u001b[31m\"\n\"\\u0007\" = 1"));
    assert!(
        !error.chars().any(|c| c.is_control() && c != '\n'),
        "{error:?}"
    );
}
