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
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
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
    /// Takes the next bytes and gives the cleaned lines that they complete. The lines are the same in whatever pieces
    /// the bytes come.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            let text = piece.strip_suffix(b"\n");
            self.pending.extend_from_slice(text.unwrap_or(piece));
            self.cut_what_is_too_long(&mut lines);
            if text.is_some() {
                lines.push(clean_line(&self.pending));
                self.pending.clear();
            }
        }
        lines
    }

    /// Leaves at most [`LINE_MAX`] bytes. Where it cuts depends on nothing but these bytes and the one that follows.
    fn cut_what_is_too_long(&mut self, lines: &mut Vec<String>) {
        let mut rest = self.pending.as_slice();
        while rest.len() > LINE_MAX {
            let (line, after) = rest.split_at(char_boundary_before(rest, LINE_MAX));
            lines.push(clean_line(line));
            rest = after;
        }
        let done = self.pending.len() - rest.len();
        self.pending.drain(..done);
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
        .find(|&i| bytes.get(i).is_some_and(|byte| byte & 0xc0 != 0x80))
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

    #[test]
    fn a_line_that_is_too_long_is_cut_even_where_its_end_comes_with_it() {
        let long = format!("{}\nshort\n", "x".repeat(LINE_MAX + 1));
        let cut = LineSplitter::default().push(long.as_bytes());
        assert_eq!(cut, ["x".repeat(LINE_MAX), "x".to_owned(), "short".into()]);
        let fits = format!("{}\n", "x".repeat(LINE_MAX));
        assert_eq!(LineSplitter::default().push(fits.as_bytes()).len(), 1);
    }

    proptest! {
        #[test]
        fn in_whatever_pieces_bytes_come_the_lines_are_the_same(
            text in "[aé\r\n\u{1b}]{0,9}(a{1990,2010}|é{990,1010})[aé\r\n]{0,9}",
            piece in 1usize..3000,
        ) {
            let (mut whole, mut parts) = (LineSplitter::default(), LineSplitter::default());
            let pieces = text.as_bytes().chunks(piece);
            prop_assert_eq!(whole.push(text.as_bytes()), pieces.flat_map(|one| parts.push(one)).collect::<Vec<_>>());
            prop_assert_eq!(whole.finish(), parts.finish());
        }

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
