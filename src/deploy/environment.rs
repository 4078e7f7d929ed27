//! The environment that programs of an app begin with: made anew, never inherited whole.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// What passes from the server's own environment: where programs and the home are, language, time zone, proxies and
/// certificate stores. A pusher's environment never comes near: `serve` is not started by pushers.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// How the settings of package managers begin: a registry of the server's own, for instance.
const MANAGERS: &[&str] = &["npm_config_", "pnpm_config_", "yarn_", "bun_config_"];

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Chooses from the server's environment. Values that are not UTF-8 are left out.
pub fn base(server: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
    let mut chosen: BTreeMap<String, String> = server
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| {
            let lower = name.to_ascii_lowercase();
            let settings = MANAGERS.iter().any(|prefix| lower.starts_with(prefix));
            PASSED.contains(&name.as_str()) || settings
        })
        .collect();
    chosen
        .entry("PATH".to_owned())
        .or_insert_with(|| DEFAULT_PATH.to_owned());
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_passes() {
        let server = [
            ("SECRET", "x"),
            ("TZ", "UTC"),
            ("npm_config_registry", "r"),
            ("NODE_OPTIONS", "-r evil"),
        ];
        let chosen = base(
            server
                .into_iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        let names: Vec<_> = chosen.keys().map(String::as_str).collect();
        assert_eq!(names, ["PATH", "TZ", "npm_config_registry"]);
    }
}
