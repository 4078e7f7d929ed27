//! Turns an answer of the server into what a person reads, for `git push` and for the command line alike.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::client::{ClientError, Lines};
use super::types::Line;
use crate::ids::DeployNumber;
use crate::report::{Event, Renderer, Verdict};

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

/// What of an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of it, in words.
    Everything,
    /// In words: warnings, what fails, and the verdict.
    Important,
    /// The lines as they come: JSON.
    Json,
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
    shown: Shown,
    told_anything: bool,
    /// The deploy that was told of last, and how many of its events there were.
    seen: Option<(DeployNumber, usize)>,
    /// So many of the next events have been shown before.
    again: usize,
    heard: Instant,
    said: Instant,
}

impl Viewer {
    /// A viewer for this answer.
    pub fn new(lines: Lines, shown: Shown) -> Self {
        let now = Instant::now();
        Self {
            lines,
            renderer: Renderer::default(),
            ready: VecDeque::new(),
            outcome: Outcome::Unknown,
            reason: None,
            decided: false,
            shown,
            told_anything: false,
            seen: None,
            again: 0,
            heard: now,
            said: now,
        }
    }

    /// Goes on with the record of [`Viewer::deploy`], after an answer that broke off.
    pub fn go_on_with(&mut self, record: Lines) {
        self.lines = record;
        self.again = self.seen.map_or(0, |(_, events)| events);
    }

    /// The deploy that was told of last.
    pub fn deploy(&self) -> Option<DeployNumber> {
        self.seen.map(|(deploy, _)| deploy)
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
            match timeout_at(self.said + SILENCE_MAX, self.lines.next()).await {
                Ok(Ok(Some(text))) => {
                    self.heard = Instant::now();
                    self.hear(text)?;
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
                    self.ready
                        .extend(sign.filter(|_| self.shown == Shown::Everything));
                }
            }
        }
    }

    /// How it ended, once [`Viewer::next`] has given `None`.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn hear(&mut self, text: String) -> Result<(), ClientError> {
        let line = serde_json::from_str(&text).map_err(ClientError::Answer)?;
        if let Line::Event(event) = &line
            && self.was_shown(event)
        {
            return Ok(());
        }
        let words = self.take(line);
        match self.shown {
            Shown::Json => self.ready.push_back(text),
            Shown::Everything | Shown::Important => self.ready.extend(words),
        }
        Ok(())
    }

    /// Counts an event, and says whether it is one that was shown before the answer broke off.
    fn was_shown(&mut self, event: &Event) -> bool {
        if self.again > 0 {
            self.again -= 1;
            return true;
        }
        let before = match self.seen {
            Some((deploy, events)) if deploy == event.deploy => events,
            Some(_) | None => 0,
        };
        self.seen = Some((event.deploy, before + 1));
        false
    }

    /// What a line means for the outcome, and what it is in words.
    fn take(&mut self, line: Line) -> Vec<String> {
        self.told_anything = true;
        match line {
            Line::Note { note } => {
                if self.outcome == Outcome::Unknown {
                    self.outcome = Outcome::Good;
                }
                vec![note]
            }
            Line::AlreadyLive { already_live, urls } => {
                self.outcome = Outcome::Good;
                let at = if urls.is_empty() {
                    String::new()
                } else {
                    format!(" at {}", urls.join(", "))
                };
                vec![format!(
                    "success: this commit is live already, as release {already_live}{at}"
                )]
            }
            Line::Refused { refused, hints } => {
                self.outcome = Outcome::Bad;
                let mut words = vec![format!("error: {refused}")];
                words.extend(hints.into_iter().map(|hint| format!("hint: {hint}")));
                self.reason = Some(refused);
                words
            }
            Line::Event(event) => self.take_event(&event),
        }
    }

    fn take_event(&mut self, event: &Event) -> Vec<String> {
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
        let lines = self.renderer.lines(event);
        let wanted = self.shown != Shown::Important || event.is_important();
        lines.into_iter().filter(|_| wanted).collect()
    }
}
