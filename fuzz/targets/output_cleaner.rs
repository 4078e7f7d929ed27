//! What programs print, in any bytes: nothing that steers a terminal gets through, cleaning twice is cleaning once, and
//! the lines are the same in whatever pieces the bytes come.

#![no_main]

use handover::report::{LineSplitter, clean_line};
use handover_fuzz::{assert_one_line, numbered};
use libfuzzer_sys::fuzz_target;

/// The longest line in bytes as it is read; a tab, which becomes four, makes it longer.
const LINE_MAX: usize = 2000;

fuzz_target!(|data: &[u8]| {
    let Some((at_most, printed)) = numbered(data) else {
        return;
    };
    let once = clean_line(printed);
    assert_one_line(&once);
    assert_eq!(clean_line(once.as_bytes()), once);

    let whole = lines(std::iter::once(printed));
    assert_eq!(whole, lines(printed.chunks(at_most)));
    for line in &whole {
        assert_one_line(line);
        assert!(line.len() <= LINE_MAX * 4);
    }
    // Every line's end is one, and each line that was too long is cut as often as it has to be, and once more at most.
    let ends = printed.iter().filter(|&&byte| byte == b'\n').count();
    assert!((ends..=ends + 1 + printed.len() / (LINE_MAX - 3)).contains(&whole.len()));
});

fn lines<'d>(pieces: impl Iterator<Item = &'d [u8]>) -> Vec<String> {
    let mut splitter = LineSplitter::default();
    let mut lines: Vec<_> = pieces.flat_map(|piece| splitter.push(piece)).collect();
    lines.extend(splitter.finish());
    assert_eq!(splitter.finish(), None);
    lines
}
