//! Whether `SQLite` would take its write-ahead log for none at all, and with it lose in silence what it holds.
//!
//! A log begins with 32 bytes that end with a checksum over the others (<https://www.sqlite.org/fileformat2.html>, 4.1).
//! A power cut leaves them written or not; anything else has overwritten them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

const HEADER: usize = 32;
const MAGIC: u32 = 0x377f_0682;

/// Whether something else than `SQLite` has written the beginning of the log.
pub(super) fn is_damaged(path: &Path) -> bool {
    let mut header = [0; HEADER];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header != [0; HEADER] && !is_sound(&header)
}

/// The lowest bit of the magic number says which order of bytes the checksum reads.
fn is_sound(header: &[u8; HEADER]) -> bool {
    let words = |order: fn([u8; 4]) -> u32| {
        let mut words = [0; HEADER / 4];
        for (word, bytes) in words.iter_mut().zip(header.chunks_exact(4)) {
            *word = order(bytes.try_into().expect("chunks of four"));
        }
        words
    };
    let stored = words(u32::from_be_bytes);
    let summed = match stored[0] ^ MAGIC {
        0 => words(u32::from_le_bytes),
        1 => stored,
        _ => return false,
    };
    let (mut one, mut two) = (0u32, 0u32);
    for pair in summed[..6].chunks_exact(2) {
        one = one.wrapping_add(pair[0]).wrapping_add(two);
        two = two.wrapping_add(pair[1]).wrapping_add(one);
    }
    (one, two) == (stored[6], stored[7])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Database;

    #[test]
    fn a_log_of_sqlites_is_sound_and_one_whose_beginning_was_overwritten_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("handover.db");
        let _open = Database::open(&path).unwrap();
        let log = std::fs::read(dir.path().join("handover.db-wal")).unwrap();
        let copy = dir.path().join("copy");
        let damaged = |bytes: &[u8]| {
            std::fs::write(&copy, bytes).unwrap();
            is_damaged(&copy)
        };
        assert!(!damaged(&log));
        assert!(!damaged(&log[..20]) && !damaged(&[]) && !damaged(&[0; 4096]));
        for at in 0..HEADER {
            let mut other = log.clone();
            other[at] ^= 4;
            assert!(damaged(&other), "byte {at}");
        }
    }
}
