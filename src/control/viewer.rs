//! Turns an answer of the server into what a person reads, for `git push` and for the command line alike.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::client::{ClientError, Lines};
use super::types::Line;
use crate::report::{Renderer, Verdict};

/// After how long a silence something is said all the same.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How what was watched has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// What was asked for is live, or there was nothing to deploy.
    Good,
    /// It failed, was superseded or refused.
    Bad,
    /// The answer broke off before a verdict: the server has gone away.
    Unknown,
}

/// Reads an answer and gives it line by line, without the lines' ends.
#[derive(Debug)]
pub struct Viewer {
    lines: Lines,
    renderer: Renderer,
    ready: VecDeque<String>,
    outcome: Outcome,
    reason: Option<String>,
    decided: bool,
    quiet: bool,
    told_anything: bool,
    heard: Instant,
    said: Instant,
}

impl Viewer {
    /// A viewer for this answer.
    pub fn new(lines: Lines) -> Self {
        let now = Instant::now();
        Self {
            lines,
            renderer: Renderer::default(),
            ready: VecDeque::new(),
            outcome: Outcome::Unknown,
            reason: None,
            decided: false,
            quiet: false,
            told_anything: false,
            heard: now,
            said: now,
        }
    }

    /// Shows only warnings, what fails, and the verdict.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Why it did not come to a good end, in one line.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The next line to show; `None` at the end. Fills silences. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                self.said = Instant::now();
                return Ok(Some(text));
            }
            match timeout_at(self.said + SILENCE_MAX, self.lines.next_json::<Line>()).await {
                Ok(Ok(Some(line))) => {
                    self.heard = Instant::now();
                    self.take(line);
                }
                Ok(Ok(None)) => {
                    if !self.told_anything {
                        self.outcome = Outcome::Good; // there was nothing to tell
                    }
                    return Ok(None);
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    self.said = Instant::now();
                    let sign = self.renderer.still_at_it(self.heard.elapsed());
                    self.ready.extend(sign.filter(|_| !self.quiet));
                }
            }
        }
    }

    /// How it ended, once [`Viewer::next`] has given `None`.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn take(&mut self, line: Line) {
        self.told_anything = true;
        match line {
            Line::Note { note } => {
                self.ready.push_back(note);
                if self.outcome == Outcome::Unknown {
                    self.outcome = Outcome::Good;
                }
            }
            Line::AlreadyLive { already_live, urls } => {
                let at = if urls.is_empty() {
                    String::new()
                } else {
                    format!(" at {}", urls.join(", "))
                };
                self.ready.push_back(format!(
                    "success: this commit is live already, as release {already_live}{at}"
                ));
                self.outcome = Outcome::Good;
            }
            Line::Refused { refused, hints } => {
                self.ready.push_back(format!("error: {refused}"));
                let hints = hints.into_iter().map(|hint| format!("hint: {hint}"));
                self.ready.extend(hints);
                self.reason = Some(refused);
                self.outcome = Outcome::Bad;
            }
            Line::Event(event) => {
                let lines = self.renderer.lines(&event);
                if !self.quiet || event.is_important() {
                    self.ready.extend(lines);
                }
                self.reason = event.reason();
                match event.verdict() {
                    Some(Verdict::Live) => self.outcome = Outcome::Good,
                    Some(Verdict::Failed | Verdict::Cancelled | Verdict::Superseded) => {
                        self.outcome = Outcome::Bad;
                    }
                    // A record goes on after the verdict: what was drained is gone.
                    None if self.decided => {}
                    None => self.outcome = Outcome::Unknown,
                }
                self.decided |= event.verdict().is_some();
            }
        }
    }
}
