//! Whether the new version fits into memory beside the one that is live.

use crate::deploy::stage::Stage;
use crate::process::blocking;
use crate::process::memory::{available, used_by};
use crate::report::EventKind;

/// Warns whoever reads along if `instances` of the new version, each as large as one of the live version, won't fit beside
/// it. A warning only: it may be smaller, and whoever watches knows better.
pub(super) async fn warn_if_short(stage: &Stage, instances: u32) {
    let Some(live) = stage.live().cloned() else {
        return;
    };
    let Ok(status) = live.keeper.status().await else {
        return; // told elsewhere
    };
    let groups: Vec<u32> = status.instances.iter().filter_map(|one| one.pid).collect();
    let measured = blocking(move || {
        let used: u64 = groups.iter().copied().map(used_by).sum();
        (used, groups.len() as u64, available())
    });
    if let (used, running @ 1.., Some(free)) = measured.await
        && let Some(text) = warning(used, running, instances, free)
    {
        stage.tell(EventKind::Warned { text });
    }
}

/// What to say, if the new version is likely to need more than is free. Pure.
fn warning(used: u64, running: u64, instances: u32, free: u64) -> Option<String> {
    let needed = used / running * u64::from(instances);
    (needed > free).then(|| {
        format!(
            "memory is short: the live version uses {} MiB, and {} MiB are free for the new one beside it",
            used >> 20,
            free >> 20
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_version_that_would_not_fit_beside_the_live_one_is_warned_of() {
        let told = warning(200 * MIB, 1, 1, 199 * MIB).unwrap();
        assert!(
            told.contains("uses 200 MiB, and 199 MiB are free"),
            "{told}"
        );
        assert_eq!(warning(200 * MIB, 1, 1, 200 * MIB), None);
    }

    #[test]
    fn as_many_instances_count_as_there_are_to_be() {
        assert!(warning(200 * MIB, 2, 3, 299 * MIB).is_some());
        assert_eq!(warning(200 * MIB, 2, 1, 100 * MIB), None);
    }
}
