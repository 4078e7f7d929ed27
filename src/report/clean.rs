//! Makes what programs print safe to show: on the pusher's terminal, in logs, in git's sideband.

/// The longest line that is kept, in bytes; what is longer continues on a line of its own.
const LINE_MAX: usize = 2000;

/// Removes escape sequences and control bytes from one line; a tab becomes spaces. Invalid UTF-8 becomes U+FFFD.
///
/// Git's client prints ESC and BEL raw and drops what follows a NUL, so nothing of the kind may pass. Where a program
/// redraws its line with carriage returns, the last drawing is what counts.
pub fn clean_line(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let text = text.trim_end_matches(['\r', '\n']);
    let last_drawing = text.rsplit('\r').next().unwrap_or_default();
    let mut out = String::with_capacity(last_drawing.len());
    let mut chars = last_drawing.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\t' => out.push_str("    "),
            c if c.is_control() || is_invisible(c) => {}
            c => out.push(c),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Characters that reorder or hide what stands around them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Skips the rest of an escape sequence (ECMA-48: CSI, OSC and its kin, or two characters).
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            for c in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    return;
                }
            }
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' {
                    return;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    return;
                }
            }
        }
        Some(c) if ('\u{20}'..='\u{2f}').contains(&c) => {
            chars.next();
        }
        _ => {}
    }
}

/// Cuts a byte stream into lines, as they come.
#[derive(Debug, Default)]
pub struct LineSplitter {
    pending: Vec<u8>,
}

impl LineSplitter {
    /// Takes the next bytes and gives the cleaned lines that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            self.pending.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                lines.push(clean_line(&self.pending));
                self.pending.clear();
            }
            while self.pending.len() >= LINE_MAX {
                let cut = char_boundary_before(&self.pending, LINE_MAX);
                lines.push(clean_line(&self.pending[..cut]));
                self.pending.drain(..cut);
            }
        }
        lines
    }

    /// The last line, if the stream ended within one.
    pub fn finish(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.pending);
        (!rest.is_empty()).then(|| clean_line(&rest))
    }
}

/// The last place at or before `at` where no UTF-8 sequence is cut.
fn char_boundary_before(bytes: &[u8], at: usize) -> usize {
    (at.saturating_sub(3)..=at)
        .rev()
        .find(|&i| i < bytes.len() && bytes[i] & 0xc0 != 0x80)
        .unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_titles_and_bells_vanish_and_words_stay() {
        let raw = b"\x1b]0;title\x07\x1b[32m+ ok\x1b[0m\ttab\x07\x00end\x1b(B\n";
        assert_eq!(clean_line(raw), "+ ok    tabend");
    }

    #[test]
    fn a_redrawn_line_is_its_last_drawing() {
        assert_eq!(clean_line(b"10%\r50%\r100% done\r\n"), "100% done");
    }

    #[test]
    fn lines_come_as_they_are_completed() {
        let mut lines = LineSplitter::default();
        assert_eq!(lines.push(b"one\ntw"), ["one"]);
        assert_eq!(lines.push(b"o\n\nthree"), ["two", ""]);
        assert_eq!(lines.finish().as_deref(), Some("three"));
        assert_eq!(lines.finish(), None);
    }

    #[test]
    fn an_endless_line_is_cut_between_characters() {
        let mut lines = LineSplitter::default();
        let cut = lines.push("é".repeat(3000).as_bytes());
        assert!(cut.len() >= 2 && cut.iter().all(|line| line.chars().all(|c| c == 'é')));
    }

    proptest! {
        #[test]
        fn nothing_that_steers_a_terminal_gets_through(raw in proptest::collection::vec(any::<u8>(), 0..4096)) {
            let mut splitter = LineSplitter::default();
            let mut lines = splitter.push(&raw);
            lines.extend(splitter.finish());
            for line in lines {
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
}
