//! Lines out of bytes that come in pieces.

use std::collections::VecDeque;

/// What has come of an answer: lines that are complete, and the beginning of the next.
#[derive(Debug, Default)]
pub struct LineBuffer {
    pending: Vec<u8>,
    ready: VecDeque<String>,
}

impl LineBuffer {
    /// Takes the bytes that came next.
    pub fn take(&mut self, data: &[u8]) {
        for piece in data.split_inclusive(|&byte| byte == b'\n') {
            self.pending.extend_from_slice(piece);
            if self.pending.ends_with(b"\n") {
                self.pending.pop();
                self.ready
                    .push_back(String::from_utf8_lossy(&self.pending).into_owned());
                self.pending.clear();
            }
        }
    }

    /// The next line that is complete, without its end.
    pub fn next_line(&mut self) -> Option<String> {
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&str]) -> Vec<String> {
        let mut buffer = LineBuffer::default();
        for piece in pieces {
            buffer.take(piece.as_bytes());
        }
        std::iter::from_fn(|| buffer.next_line()).collect()
    }

    #[test]
    fn lines_come_when_they_are_complete() {
        assert_eq!(lines(&["one\ntw", "o\n", "\nthree"]), ["one", "two", ""]);
        assert_eq!(lines(&["", "one", ""]), [""; 0]);
    }
}
