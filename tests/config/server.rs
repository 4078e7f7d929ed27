//! `handover.toml` of the server.

use crate::{refusal, server};

#[test]
fn the_servers_defaults_are_the_documented_ones() {
    let settings = server("").unwrap();
    assert_eq!(settings.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert!(settings.front);
    assert_eq!(settings.front_group, None);
    assert!(settings.parallel_builds() >= 1);
    assert_eq!(settings.logs.max_bytes, 10 * 1024 * 1024);
    assert_eq!(settings.logs.files, 5);
    assert_eq!(settings.keep_releases, 5);
    assert_eq!(settings.build_cache.max_bytes, 2 << 30);
    let pauses = [5, 30, 120, 600, 1800].map(std::time::Duration::from_secs);
    assert_eq!(settings.webhook_retry, pauses);
    assert_eq!(settings.look_every, std::time::Duration::from_secs(60));
    assert_eq!(settings.authorized_keys, None);
    let host = "shop.example.com".parse().unwrap();
    assert_eq!(settings.url(&host), None);
}

#[test]
fn the_server_can_be_set_up() {
    let settings = server(
        r#"
listen = ["0.0.0.0:80", "[::]:80"]
front = false
front_group = "www-data"
builds = 3
public_url = "https://{host}"
keep_releases = 2
webhook_retry = ["1s", "1s", "1m"]
look_every = "5s"
[logs]
max_bytes = 65536
files = 1
[build_cache]
max_bytes = 0
"#,
    )
    .unwrap();
    assert_eq!(settings.listen.len(), 2);
    assert!(!settings.front);
    assert_eq!(settings.build_cache.max_bytes, 0);
    let pauses = [1, 1, 60].map(std::time::Duration::from_secs);
    assert_eq!(settings.webhook_retry, pauses);
    assert_eq!(settings.look_every, std::time::Duration::from_secs(5));
    assert_eq!(settings.front_group.as_deref(), Some("www-data"));
    assert_eq!(settings.parallel_builds(), 3);
    assert_eq!(
        settings.url(&"a.example".parse().unwrap()).as_deref(),
        Some("https://a.example")
    );
}

#[test]
fn the_servers_mistakes_are_told_with_the_path_of_the_file() {
    for (toml, expected) in [
        (
            "authorized_keys = \"~/.ssh/authorized_keys\"",
            "`authorized_keys`: `~/.ssh/authorized_keys` is not the absolute path of a file; write one such as \"/home/git/.ssh/authorized_keys\"",
        ),
        (
            "listen = [\"localhost\"]",
            "`listen`: `localhost` is not an address with a port; write one as \"127.0.0.1:8080\", \"0.0.0.0:80\" or \"[::]:80\"",
        ),
        (
            "listen = \"0.0.0.0:80\"",
            "`listen`: this is text; write a list, as listen = [\"…\"]",
        ),
        (
            "builds = 0",
            "`builds`: `0` is out of range; 1 to 64 are allowed",
        ),
        (
            "front_group = \"www data\"",
            "`front_group`: `www data` is not the name of a group; write one such as \"www-data\"",
        ),
        (
            "public_url = \"https://example.com\"",
            "`public_url`: `https://example.com` is not a URL with {host} in it; write one as \"https://{host}\"",
        ),
        (
            "webhook_retry = [\"1s\", \"1ms\"]",
            "`webhook_retry`: `1ms` is out of range; 100 ms to 24 h are allowed",
        ),
        (
            "webhook_retry = \"1s\"",
            "`webhook_retry`: this is text; write a list, as webhook_retry = [\"…\"]",
        ),
        (
            "look_every = \"10ms\"",
            "`look_every`: `10ms` is out of range; 100 ms to 24 h are allowed",
        ),
        (
            "[logs]\nmax_bytes = 1",
            "`logs.max_bytes`: `1` is out of range; 65536 to 17179869184 are allowed",
        ),
    ] {
        let error = refusal(server(toml));
        let line = toml.lines().count();
        assert_eq!(
            error,
            format!("/etc/handover/handover.toml:{line}: {expected}")
        );
    }
}
