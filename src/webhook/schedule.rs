//! When a delivery is tried again, and when no more. Pure.

use std::time::Duration;

use super::post::PostError;

/// What is to be done after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was taken.
    Delivered,
    /// It is tried again after this pause.
    Again(Duration),
    /// It is given up.
    GivenUp,
}

/// The receiver's way to say that it is gone for good.
const GONE: u16 = 410;

/// Decides after an attempt. `failed_before` attempts had failed before it; `pauses` are those of the settings;
/// `dice` (any byte) lengthens the pause by up to a tenth, so that what failed together does not come back together.
pub(super) fn judge(
    result: &Result<u16, PostError>,
    failed_before: u32,
    pauses: &[Duration],
    dice: u8,
) -> Verdict {
    match result {
        Ok(200..=299) => return Verdict::Delivered,
        Ok(GONE) => return Verdict::GivenUp,
        Ok(_) | Err(_) => {}
    }
    let pause = usize::try_from(failed_before)
        .ok()
        .and_then(|nth| pauses.get(nth));
    match pause {
        Some(pause) => Verdict::Again(*pause + *pause * u32::from(dice) / 2550),
        None => Verdict::GivenUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];

    fn after(status: u16, failed_before: u32) -> Verdict {
        judge(&Ok(status), failed_before, &PAUSES, 0)
    }

    #[test]
    fn two_hundreds_are_delivered_and_410_ends_it() {
        assert_eq!(after(200, 0), Verdict::Delivered);
        assert_eq!(after(204, 2), Verdict::Delivered);
        assert_eq!(after(410, 0), Verdict::GivenUp);
    }

    #[test]
    fn anything_else_is_tried_again_after_each_pause_in_turn() {
        for status in [302, 400, 404, 429, 500, 503] {
            assert_eq!(after(status, 0), Verdict::Again(PAUSES[0]), "{status}");
            assert_eq!(after(status, 1), Verdict::Again(PAUSES[1]), "{status}");
            assert_eq!(after(status, 2), Verdict::GivenUp, "{status}");
        }
        let silent = Err(PostError::TooSlow);
        let verdict = judge(&silent, 1, &PAUSES, 0);
        assert_eq!(verdict, Verdict::Again(PAUSES[1]));
        assert_eq!(judge(&silent, 0, &[], 0), Verdict::GivenUp);
    }

    #[test]
    fn the_dice_add_a_tenth_at_most() {
        let with = |dice| judge(&Ok(500), 0, &PAUSES, dice);
        assert_eq!(with(255), Verdict::Again(Duration::from_millis(5500)));
        assert_eq!(with(51), Verdict::Again(Duration::from_millis(5100)));
    }
}
