//! Printing: the only place that does.

use std::io::{self, Write};

use serde::Serialize;

use super::exit::Exit;
use crate::control::ClientError;
use crate::report::with_causes;

/// A verb that failed, with everything that is known about why.
#[derive(Debug)]
pub(super) struct Failed {
    exit: Exit,
    error: Box<dyn std::error::Error>,
}

impl Failed {
    pub(super) fn new(error: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self {
            exit: Exit::Failed,
            error: error.into(),
        }
    }

    /// What was typed makes no sense.
    pub(super) fn usage(error: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self {
            exit: Exit::Usage,
            error: error.into(),
        }
    }

    /// A server that does not answer.
    pub(super) fn unreachable(error: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self {
            exit: Exit::Unreachable,
            error: error.into(),
        }
    }

    /// Prints the chain of causes, once, and gives the exit code.
    pub(super) fn tell(&self) -> Exit {
        let error = with_causes(&*self.error);
        words(&format!("error: failed to {error}"));
        self.exit
    }
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Unreachable { .. } => Exit::Unreachable,
            ClientError::Refused { .. } | ClientError::Broken(_) | ClientError::Answer(_) => {
                Exit::Failed
            }
        };
        Self {
            exit,
            error: Box::new(error),
        }
    }
}

/// Data, for programs and pipes. Who closes the pipe (`head`, `less`) has read enough.
pub(super) fn data(text: &str) {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.write_all(b"\n"))
        .and_then(|()| stdout.flush());
    if written.is_err() {
        std::process::exit(Exit::Done as i32);
    }
}

/// Data as JSON.
pub(super) fn json(value: &impl Serialize) {
    data(&serde_json::to_string_pretty(value).expect("what is shown has only string keys"));
}

/// Words, for people.
pub(super) fn words(text: &str) {
    // A terminal that is gone can't be told so.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
