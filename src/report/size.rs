//! Sizes for people.

/// Bytes as people say them: `63 MB`.
pub fn size_text(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    for (size, unit) in UNITS {
        if count >= size {
            let tenths = count * 10 / size;
            return if tenths >= 100 {
                format!("{} {unit}", tenths / 10)
            } else {
                format!("{}.{} {unit}", tenths / 10, tenths % 10)
            };
        }
    }
    format!("{count} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_as_a_person_would_say_them() {
        assert_eq!(size_text(512), "512 B");
        assert_eq!(size_text(1_500_000), "1.5 MB");
        assert_eq!(size_text(63_400_000), "63 MB");
    }
}
