//! What an instance is told through its environment and its descriptors.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::paths::GenerationPaths;

use super::spec::Spec;

/// The listener, in every process of the app. High, because node marks the first descriptors close-on-exec when it
/// starts and would so cut off what `npm start`, `tsx` or `cross-env` start.
pub(super) const LISTENER_FD: i32 = 100;

/// More copies of the listener, for programs that close it and listen again: node can't make copies itself, and
/// closes the descriptor with the server. The preload knows the numbers.
pub(super) const SPARE_LISTENER_FDS: std::ops::RangeInclusive<i32> = 104..=111;

/// The reading ends of an instance's own stdout and stderr. It does not read them; that it has them means that
/// writing is not an error (EPIPE) when the keeper was killed. The preload reads them then; a program without it goes
/// on until its pipe (64 KB) is full, which is time enough to replace it. 101 stays free: a channel shared by all processes of
/// an instance could give a message to one of them only, so each connects to `app.sock` instead.
pub(super) const OUTPUT_FDS: [i32; 2] = [102, 103];

/// The name in a release under which the app's processes reach the compile cache: see the preload.
const COMPILE_CACHE_LINK: &str = ".handover-compile-cache";

/// The variables of one instance.
pub(super) fn of_instance(
    spec: &Spec,
    paths: &GenerationPaths,
    index: u32,
    port: u16,
) -> BTreeMap<String, String> {
    let mut env = spec.env.clone();
    env.entry("NODE_ENV".into())
        .or_insert_with(|| "production".into());
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let own = [
        ("PORT", port.to_string()),
        ("HANDOVER_PORT", port.to_string()),
        ("HANDOVER_SOCKET", text(&spec.socket)),
        ("HANDOVER_FD", LISTENER_FD.to_string()),
        ("HANDOVER_CHANNEL", text(&paths.app_socket())),
        ("HANDOVER_APP", spec.app.to_string()),
        ("HANDOVER_RELEASE", spec.release.to_string()),
        ("HANDOVER_COMMIT", spec.commit.to_string()),
        ("HANDOVER_INSTANCE", index.to_string()),
    ];
    env.extend(own.map(|(name, value)| (name.to_owned(), value)));
    if let Some(cache) = &spec.compile_cache {
        let link = spec.release_dir.join(COMPILE_CACHE_LINK);
        env.insert("HANDOVER_COMPILE_CACHE".into(), text(cache));
        env.insert("HANDOVER_COMPILE_CACHE_LINK".into(), text(&link));
    }
    if spec.preload {
        let options = with_preload(env.get("NODE_OPTIONS"), &paths.preload());
        env.insert("NODE_OPTIONS".into(), options);
    }
    env
}

/// Appends to what the app's author set. node splits the value at spaces, except within double quotes, in which a
/// backslash makes the next character an ordinary one.
fn with_preload(given: Option<&String>, preload: &Path) -> String {
    let mut options = given
        .map(|given| given.trim().to_owned())
        .unwrap_or_default();
    if !options.is_empty() {
        options.push(' ');
    }
    options.push_str("--require \"");
    for c in preload.to_string_lossy().chars() {
        if matches!(c, '"' | '\\') {
            options.push('\\');
        }
        options.push(c);
    }
    options.push('"');
    options
}

/// TCP ports that are free on the loopback now, all different. Nothing holds them: an instance that goes through the
/// preload never binds its own.
pub(super) fn free_ports(count: u32, taken: &[u16]) -> io::Result<Vec<u16>> {
    let mut held = Vec::new();
    let mut ports = Vec::new();
    while ports.len() < count as usize {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        if !taken.contains(&port) {
            ports.push(port);
        }
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preload_is_appended_and_quoted() {
        let given = "--max-old-space-size=512 ".to_owned();
        let path = Path::new("/srv/my apps/g1/preload.cjs");
        assert_eq!(
            with_preload(Some(&given), path),
            "--max-old-space-size=512 --require \"/srv/my apps/g1/preload.cjs\""
        );
        assert_eq!(
            with_preload(None, Path::new("/a\"b\\c")),
            r#"--require "/a\"b\\c""#
        );
    }

    #[test]
    fn ports_differ() {
        let first = free_ports(3, &[]).unwrap();
        let mut all = free_ports(3, &first).unwrap();
        all.extend(first);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
    }
}
