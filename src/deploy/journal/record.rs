//! The file of a journal once nobody writes it any more. Whoever wrote it may have been cut off in the middle of a line.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::report::Event;

/// How much of its end is read by [`last_events`], in bytes.
const LAST: u64 = 64 * 1024;

/// What a deploy's record holds: whole lines, each an event.
pub fn recorded(path: &Path) -> io::Result<String> {
    let mut text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    Ok(text)
}

/// The last events of a record, oldest first; as many as there are in its last 64 KiB.
pub(in crate::deploy) fn last_events(path: &Path) -> io::Result<Vec<Event>> {
    let mut file = File::open(path)?;
    let begin = file.metadata()?.len().saturating_sub(LAST);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let lines = bytes.split(|&byte| byte == b'\n');
    // The first may have been cut by us, the last by a crash.
    Ok(lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

/// Opens a record to go on with it. Half a line at its end is cut off: it would spoil the next.
pub(super) fn open_at_end(path: &Path) -> io::Result<File> {
    let mut file = File::options().read(true).append(true).open(path)?;
    let end = file.metadata()?.len();
    let begin = end.saturating_sub(LAST);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    if bytes.last().is_some_and(|&byte| byte != b'\n') {
        let whole = bytes.iter().rposition(|&byte| byte == b'\n');
        let whole = whole.map_or(0, |newline| newline as u64 + 1);
        file.set_len(begin + whole)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::Journal;
    use super::*;
    use crate::ids::DeployNumber;
    use crate::report::{EventKind, Failure, Phase};

    fn warned(text: &str) -> EventKind {
        EventKind::Warned { text: text.into() }
    }

    fn kinds(path: &Path) -> Vec<EventKind> {
        let events = last_events(path).unwrap().into_iter();
        events.map(|event| event.kind).collect()
    }

    #[test]
    fn a_record_that_was_cut_off_in_a_line_is_gone_on_with_after_the_last_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let app: crate::ids::AppName = "shop".parse().unwrap();
        Journal::create(path.clone(), app.clone(), DeployNumber(1)).tell(warned("one"));
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"at\": \"2026-")).unwrap();
        assert_eq!(recorded(&path).unwrap(), whole);
        let failed = EventKind::Failed(Failure::new(Phase::Build, "no"));
        Journal::append(path.clone(), app, DeployNumber(1)).tell(failed.clone());
        assert_eq!(kinds(&path), [warned("one"), failed]);
        assert_eq!(recorded(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn only_the_end_of_a_long_record_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let journal = Journal::create(path.clone(), "shop".parse().unwrap(), DeployNumber(1));
        for _ in 0..100 {
            journal.tell(warned(&"x".repeat(1000)));
        }
        journal.tell(warned("last"));
        let kinds = kinds(&path);
        assert!(kinds.len() > 50 && kinds.len() < 66, "{}", kinds.len());
        assert_eq!(kinds.last(), Some(&warned("last")));
    }
}
