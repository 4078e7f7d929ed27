//! The environment that programs of an app begin with: made anew, never inherited whole.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

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

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Chooses from the server's environment. Values that are not UTF-8 are left out.
pub fn base(server: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
    let mut chosen: BTreeMap<String, String> = server
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| {
            PASSED.contains(&name.as_str()) || name.to_ascii_lowercase().starts_with("npm_config_")
        })
        .collect();
    chosen
        .entry("PATH".to_owned())
        .or_insert_with(|| DEFAULT_PATH.to_owned());
    chosen
}

/// The program of this name along the `PATH` of an environment.
pub fn find_program(name: &str, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let path = environment.get("PATH")?;
    std::env::split_paths(path)
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
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
