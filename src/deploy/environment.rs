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

/// How the settings of package managers begin: a registry of the server's own, for instance, and what opens it. They are
/// for installs and builds alone.
const MANAGERS: &[&str] = &["npm_config_", "pnpm_config_", "yarn_", "bun_config_"];

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Chooses from the server's environment. Values that are not UTF-8 are left out.
pub fn base(server: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
    let mut chosen: BTreeMap<String, String> = server
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| PASSED.contains(&name.as_str()) || is_managers(name))
        .collect();
    chosen
        .entry("PATH".to_owned())
        .or_insert_with(|| DEFAULT_PATH.to_owned());
    chosen
}

/// What an app's instances begin with: what installs and builds do, without the settings of package managers.
pub fn of_instances(base: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut env = base.clone();
    env.retain(|name, _| !is_managers(name));
    env
}

fn is_managers(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    MANAGERS.iter().any(|prefix| lower.starts_with(prefix))
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

    #[test]
    fn settings_of_package_managers_do_not_reach_instances() {
        let base = [
            "PATH",
            "TZ",
            "npm_config_registry",
            "NPM_CONFIG__AUTH",
            "pnpm_config_registry",
            "YARN_NPM_AUTH_TOKEN",
            "BUN_CONFIG_TOKEN",
        ];
        let base = base
            .map(|name| (name.to_owned(), "x".to_owned()))
            .into_iter()
            .collect();
        let names: Vec<_> = of_instances(&base).into_keys().collect();
        assert_eq!(names, ["PATH", "TZ"]);
    }
}
