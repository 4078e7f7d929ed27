//! The conversation of git's `proc-receive` hook with `git receive-pack`, in pkt-lines (gitformat in githooks(5)).
//!
//! ```text
//!   git:  version=1\0push-options atomic | flush           hook: version=1\0push-options | flush
//!   git:  <old> <new> <ref> …  | flush | options … | flush  hook: ok <ref> / ng <ref> <reason> … | flush
//! ```

use std::io::{self, Read, Write};

use gix_packetline::PacketLineRef;
use gix_packetline::blocking_io::{StreamingPeekableIter, encode};

use super::names::REFS_MAX;
use super::refs::{RefError, RefUpdate};
use crate::report::clean_line;

/// How many options are read; what is accepted is decided later.
const OPTIONS_MAX: usize = 100;
/// The longest reason that is given for a refusal, in characters: the pusher reads it in one line.
const REASON_MAX: usize = 200;

/// Why the conversation broke off.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// A stream can't be read or written.
    #[error("talk to git")]
    Io(#[from] io::Error),
    /// It ends in the middle.
    #[error("talk to git: it ended in the middle of {0}")]
    Ended(&'static str),
    /// Not a pkt-line.
    #[error("talk to git: {0}")]
    Packet(String),
    /// Another version.
    #[error("talk to git: it speaks `{0}`, and this handover knows only version 1")]
    Version(String),
    /// A line is not a ref update.
    #[error(transparent)]
    Ref(#[from] RefError),
    /// More than any push should have.
    #[error("talk to git: more than {limit} {what}")]
    TooMany {
        /// The limit.
        limit: usize,
        /// Of what.
        what: &'static str,
    },
}

/// What git is answered about a ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The ref has been moved as the pusher wanted.
    Ok,
    /// It has not, for this reason.
    Refused(String),
}

/// A conversation in which git has said what it wants.
#[derive(Debug)]
pub struct Conversation {
    /// The refs that the hook is to decide about.
    pub updates: Vec<RefUpdate>,
    /// The push options, raw.
    pub options: Vec<Vec<u8>>,
}

impl Conversation {
    /// Hears what git wants.
    pub fn open(input: impl Read, mut output: impl Write) -> Result<Self, ProtocolError> {
        let mut lines = StreamingPeekableIter::new(input, &[PacketLineRef::Flush], false);
        let mut hello = Vec::new();
        section(&mut lines, "the greeting", 1, |line| {
            hello = line.to_vec();
            Ok(())
        })?;
        let has_options = understand(&hello)?;
        let ours: &[u8] = if has_options {
            b"version=1\0push-options"
        } else {
            b"version=1"
        };
        encode::data_to_write(ours, &mut output)?;
        encode::flush_to_write(&mut output)?;
        output.flush()?;

        let mut updates = Vec::new();
        section(&mut lines, "refs", REFS_MAX, |line| {
            updates.push(RefUpdate::from_bytes(line)?);
            Ok(())
        })?;
        let mut options = Vec::new();
        if has_options {
            section(&mut lines, "push options", OPTIONS_MAX, |line| {
                options.push(line.to_vec());
                Ok(())
            })?;
        }
        Ok(Self { updates, options })
    }

    /// Answers, for each ref in the order in which git named them.
    pub fn answer(&self, mut output: impl Write, answers: &[Answer]) -> Result<(), ProtocolError> {
        for (update, answer) in self.updates.iter().zip(answers) {
            let line = match answer {
                Answer::Ok => format!("ok {}", update.name),
                Answer::Refused(reason) => format!("ng {} {}", update.name, one_line(reason)),
            };
            encode::data_to_write(line.as_bytes(), &mut output)?;
        }
        encode::flush_to_write(&mut output)?;
        Ok(output.flush()?)
    }
}

/// The lines up to the next flush, without their ends.
fn section<R: Read>(
    lines: &mut StreamingPeekableIter<R>,
    what: &'static str,
    limit: usize,
    mut take: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
) -> Result<(), ProtocolError> {
    lines.reset();
    let mut count = 0;
    while let Some(line) = lines.read_line() {
        let line = line.map_err(|error| ended(error, what))?;
        let line = line.map_err(|error| ProtocolError::Packet(error.to_string()))?;
        let Some(data) = line.as_slice() else {
            return Err(ProtocolError::Packet(format!(
                "an unexpected packet among {what}"
            )));
        };
        count += 1;
        if count > limit {
            return Err(ProtocolError::TooMany { limit, what });
        }
        take(data.strip_suffix(b"\n").unwrap_or(data))?;
    }
    match lines.stopped_at() {
        Some(PacketLineRef::Flush) => Ok(()),
        _ => Err(ProtocolError::Ended(what)),
    }
}

fn ended(error: io::Error, what: &'static str) -> ProtocolError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ProtocolError::Ended(what),
        _ => ProtocolError::Io(error),
    }
}

/// Whether push options will come.
fn understand(hello: &[u8]) -> Result<bool, ProtocolError> {
    let mut parts = hello.splitn(2, |&byte| byte == 0);
    if parts.next() != Some(b"version=1") {
        return Err(ProtocolError::Version(one_line(&String::from_utf8_lossy(
            hello,
        ))));
    }
    let capabilities = parts.next().unwrap_or_default();
    Ok(capabilities
        .split(|&byte| byte == b' ')
        .any(|one| one == b"push-options"))
}

fn one_line(text: &str) -> String {
    clean_line(text.as_bytes())
        .chars()
        .take(REASON_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HELLO: &str = "version=1\0push-options atomic";

    fn packets(sections: &[&[String]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for section in sections {
            for line in *section {
                encode::data_to_write(line.as_bytes(), &mut bytes).unwrap();
            }
            encode::flush_to_write(&mut bytes).unwrap();
        }
        bytes
    }

    fn update(name: &str) -> String {
        format!("{} {} {name}", "1".repeat(40), "2".repeat(40))
    }

    #[test]
    fn git_is_understood_and_answered() {
        let input = packets(&[
            &[HELLO.into()],
            &[update("refs/heads/main")],
            &["force".into(), "a=b\n".into()],
        ]);
        let mut output = Vec::new();
        let conversation = Conversation::open(&input[..], &mut output).unwrap();
        assert_eq!(conversation.updates[0].name, "refs/heads/main");
        assert_eq!(conversation.options, [b"force".to_vec(), b"a=b".to_vec()]);
        let refused = Answer::Refused("build: it\n\u{1b}[31mfailed".into());
        conversation.answer(&mut output, &[refused]).unwrap();
        let text = String::from_utf8(output).unwrap();
        assert!(
            text.starts_with("001aversion=1\0push-options0000"),
            "{text:?}"
        );
        assert!(text.contains("ng refs/heads/main build: it"), "{text:?}");
        assert!(
            !text.contains(['\n', '\u{1b}']) && text.ends_with("0000"),
            "{text:?}"
        );
    }

    #[test]
    fn without_push_options_none_are_read() {
        let input = packets(&[&["version=1\0atomic".into()], &[update("refs/heads/main")]]);
        assert!(
            Conversation::open(&input[..], Vec::new())
                .unwrap()
                .options
                .is_empty()
        );
    }

    #[test]
    fn what_is_not_the_protocol_is_refused() {
        let whole = packets(&[&[HELLO.into()], &[update("refs/heads/main")], &[]]);
        for cut in 0..whole.len() {
            assert!(
                Conversation::open(&whole[..cut], Vec::new()).is_err(),
                "cut at {cut}"
            );
        }
        let wrong = [
            packets(&[&["version=2".into()]]),
            packets(&[&[HELLO.into(), "more".into()]]),
            packets(&[&[HELLO.into()], &["nonsense".into()], &[]]),
            b"zzzz".to_vec(),
            b"0003".to_vec(),
        ];
        for input in wrong {
            assert!(Conversation::open(&input[..], Vec::new()).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(input in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Conversation::open(&input[..], Vec::new());
        }
    }
}
