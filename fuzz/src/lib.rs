//! What the fuzz targets share: what must hold of everything that people or terminals are shown, and ways to hand in bytes.

use std::fmt::Display;
use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Panics unless a text is fit for a terminal: lines without control characters, and none that reorder what is around them.
#[track_caller]
pub fn assert_shown(text: impl Display) {
    let text = text.to_string();
    let steers = |c: char| {
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || (c.is_control() && c != '\n')
    };
    assert!(!text.chars().any(steers), "it steers a terminal: {text:?}");
}

/// The same for what has to be one line.
#[track_caller]
pub fn assert_one_line(text: impl Display) {
    let text = text.to_string();
    assert!(!text.contains('\n'), "more than one line: {text:?}");
    assert_shown(text);
}

/// Reads JSON. What was understood has to come out of its own JSON as it was: nothing is lost, nothing becomes something else.
pub fn round_trip<T: Serialize + DeserializeOwned>(json: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(json).ok()?;
    let written = serde_json::to_string(&read).expect("what was read can be written");
    let again: T = serde_json::from_str(&written)
        .unwrap_or_else(|error| panic!("{written} was written and is not understood: {error}"));
    let rewritten = serde_json::to_string(&again).expect("what was read can be written");
    assert_eq!(written, rewritten);
    Some(read)
}

/// Where to cut an input that holds a number and bytes: the number is the first byte, at least 1.
pub fn numbered(data: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((usize::from(*first).max(1), rest))
}

/// A stream that gives at most so many bytes at a time.
#[derive(Debug)]
pub struct Trickle<'d> {
    /// What is left.
    pub data: &'d [u8],
    /// How many bytes a read gives at most.
    pub at_most: usize,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.at_most);
        self.data.read(&mut buffer[..most])
    }
}
