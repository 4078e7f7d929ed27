//! Moments and durations: RFC 3339 for machines, `8.3 s` for people, `"5m"` in settings.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment, shown and stored as RFC 3339 in UTC.
pub use jiff::Timestamp;

/// The wall clock now. Only for showing and storing: durations are measured with [`std::time::Instant`].
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The moment of a file's times; the beginning of 1970 where it is out of all reason.
pub fn of_file(moment: std::time::SystemTime) -> Timestamp {
    Timestamp::try_from(moment).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A measured duration that travels as a number of milliseconds (with a fraction) and shows itself for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Took(pub Duration);

impl Serialize for Took {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64() * 1e3)
    }
}

impl<'de> Deserialize<'de> for Took {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ms = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(ms / 1e3)
            .map(Took)
            .map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Took {
    /// `0.2 ms`, `41 ms`, `0.3 s`, `8.3 s`, `2 min 05 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let ms = seconds * 1e3;
        let text = if ms < 9.95 {
            format!("{ms:.1} ms")
        } else if ms < 199.5 {
            format!("{ms:.0} ms")
        } else if seconds < 119.95 {
            format!("{seconds:.1} s")
        } else {
            let whole = self.0.as_secs();
            format!("{} min {:02} s", whole / 60, whole % 60)
        };
        f.pad(&text)
    }
}

/// A limit as people set it: whole units where possible (`5 min`, `90 s`, `250 ms`).
pub fn limit_text(limit: Duration) -> String {
    let ms = limit.as_millis();
    if ms == 0 {
        "0 s".to_owned()
    } else if ms.is_multiple_of(3_600_000) {
        format!("{} h", ms / 3_600_000)
    } else if ms.is_multiple_of(60_000) {
        format!("{} min", ms / 60_000)
    } else if ms.is_multiple_of(1000) {
        format!("{} s", ms / 1000)
    } else {
        format!("{ms} ms")
    }
}

/// Reads a duration such as `"250ms"`, `"30s"`, `"5m"`, `"1h30m"` from a setting. The error text says what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const PARSER: jiff::fmt::friendly::SpanParser = jiff::fmt::friendly::SpanParser::new();
    PARSER.parse_unsigned_duration(text).map_err(|_| {
        format!(
            "`{}` is not a duration; write one as \"250ms\", \"30s\", \"5m\" or \"1h\"",
            text.escape_debug()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_a_person_would_say_them() {
        let cases = [
            (200, "0.2 ms"),
            (41_000, "41 ms"),
            (199_000, "199 ms"),
            (300_000, "0.3 s"),
            (8_300_000, "8.3 s"),
            (125_000_000, "2 min 05 s"),
        ];
        for (micros, text) in cases {
            assert_eq!(Took(Duration::from_micros(micros)).to_string(), text);
        }
    }

    #[test]
    fn settings_take_the_usual_units_and_nothing_else() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        for bad in ["", "5", "-5s", "five", "5 fortnights"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn limits_use_the_largest_whole_unit() {
        assert_eq!(limit_text(Duration::from_secs(300)), "5 min");
        assert_eq!(limit_text(Duration::from_secs(90)), "90 s");
        assert_eq!(limit_text(Duration::from_millis(250)), "250 ms");
    }

    #[test]
    fn a_measured_duration_survives_json() {
        let took = Took(Duration::from_micros(1500));
        let json = serde_json::to_string(&took).unwrap();
        assert_eq!(json, "1.5");
        assert_eq!(serde_json::from_str::<Took>(&json).unwrap(), took);
    }
}
