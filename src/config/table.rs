//! Reads TOML tables key by key, and collects what is wrong with them instead of stopping at the first.
//!
//! serde would stop there, could not say what range was meant, and names unknown keys without their neighbours.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::near::distance;
use super::problem::{ConfigError, Problem, Source, quoted};
use crate::time::{limit_text, parse_duration};

/// A TOML file that is being read.
#[derive(Debug)]
pub(super) struct Document<'t> {
    source: Source<'t>,
    table: DeTable<'t>,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Document<'t> {
    /// Parses the text. Fails where it is not TOML.
    pub(super) fn parse(source: Source<'t>) -> Result<Self, ConfigError> {
        match DeTable::parse(source.text) {
            Ok(table) => Ok(Self {
                source,
                table: table.into_inner(),
                problems: RefCell::default(),
            }),
            Err(error) => {
                let what = error.message().replace('\n', "; ");
                let span = error.span().unwrap_or_default();
                Err(ConfigError::one(source.at(&span, what)))
            }
        }
    }

    /// The top of the file.
    pub(super) fn root(&self) -> Section<'_> {
        Section {
            document: self,
            name: String::new(),
            table: Some(&self.table),
            known: Vec::new(),
        }
    }

    /// `value`, unless something was wrong with the file.
    pub(super) fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        match ConfigError::of(self.problems.into_inner()) {
            None => Ok(value),
            Some(error) => Err(error),
        }
    }

    fn problem(&self, span: &Range<usize>, what: impl Into<String>) {
        let problem = self.source.at(span, what);
        self.problems.borrow_mut().push(problem);
    }
}

/// A value that is there, with its key in full and its place.
pub(super) struct Found<'d> {
    document: &'d Document<'d>,
    key: String,
    value: &'d DeValue<'d>,
    span: Range<usize>,
}

impl Found<'_> {
    /// Notes that the value is wrong, as `` `health.timeout`: … ``.
    pub(super) fn wrong(&self, what: impl Display) {
        self.document
            .problem(&self.span, format!("`{}`: {what}", self.key));
    }

    fn wrong_type(&self, right: &str) {
        let is = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.wrong(format!("this is {is}; write {right}"));
    }
}

/// A table of the file, or the absence of one. Each `take`n key is known; [`Section::finish`] reports the others.
pub(super) struct Section<'d> {
    document: &'d Document<'d>,
    name: String,
    table: Option<&'d DeTable<'d>>,
    known: Vec<&'static str>,
}

impl<'d> Section<'d> {
    fn take(&mut self, key: &'static str) -> Option<Found<'d>> {
        self.known.push(key);
        let (_, value) = self.table?.iter().find(|(k, _)| k.get_ref() == key)?;
        Some(Found {
            document: self.document,
            key: self.full_name(key),
            value: value.get_ref(),
            span: value.span(),
        })
    }

    fn full_name(&self, key: &str) -> String {
        match self.name.as_str() {
            "" => key.to_owned(),
            section => format!("{section}.{key}"),
        }
    }

    /// A table within this one.
    pub(super) fn section(&mut self, key: &'static str) -> Self {
        let found = self.take(key);
        let table = found.and_then(|found| {
            if let DeValue::Table(table) = found.value {
                return Some(table);
            }
            found.wrong_type(&format!("a section that begins with [{}]", found.key));
            None
        });
        Section {
            document: self.document,
            name: self.full_name(key),
            table,
            known: Vec::new(),
        }
    }

    /// A text, for checks of the caller's own.
    pub(super) fn text(&mut self, key: &'static str) -> Option<(&'d str, Found<'d>)> {
        let found = self.take(key)?;
        if let DeValue::String(text) = found.value {
            return Some((text.as_ref(), found));
        }
        found.wrong_type(&format!("text in quotes, as {key} = \"…\""));
        None
    }

    /// A command line for a shell.
    pub(super) fn command(&mut self, key: &'static str) -> Option<String> {
        let (text, found) = self.text(key)?;
        if text.trim().is_empty() {
            found.wrong("this is empty; write a command, or leave the key out for the default");
            return None;
        }
        if text.contains('\0') {
            found.wrong("a command can't contain a NUL byte");
            return None;
        }
        Some(text.trim().to_owned())
    }

    /// `true` or `false`.
    pub(super) fn switch(&mut self, key: &'static str, default: bool) -> bool {
        let Some(found) = self.take(key) else {
            return default;
        };
        if let DeValue::Boolean(on) = found.value {
            return *on;
        }
        found.wrong_type("true or false, without quotes");
        default
    }

    /// A small whole number within limits.
    pub(super) fn count(
        &mut self,
        key: &'static str,
        default: u16,
        allowed: RangeInclusive<u16>,
    ) -> u16 {
        let (low, high) = allowed.into_inner();
        let number = self.number(key, default.into(), low.into()..=high.into());
        u16::try_from(number).unwrap_or(default)
    }

    /// A whole number within limits.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: u64,
        allowed: RangeInclusive<u64>,
    ) -> u64 {
        let Some(found) = self.take(key) else {
            return default;
        };
        let (low, high) = (allowed.start(), allowed.end());
        let DeValue::Integer(digits) = found.value else {
            found.wrong_type(&format!(
                "a whole number from {low} to {high}, without quotes"
            ));
            return default;
        };
        match u64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) if allowed.contains(&number) => number,
            _ => {
                let written = quoted(&digits.to_string());
                found.wrong(format!(
                    "{written} is out of range; {low} to {high} are allowed"
                ));
                default
            }
        }
    }

    /// A duration within limits.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        allowed: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(found) = self.take(key) else {
            return default;
        };
        let text = match found.value {
            DeValue::String(text) => text,
            DeValue::Integer(digits) => {
                let digits = digits.to_string();
                found.wrong(format!(
                    "`{digits}` has no unit; write a duration in quotes, as \"{digits}s\""
                ));
                return default;
            }
            _ => {
                found.wrong_type("a duration in quotes, as \"250ms\", \"30s\", \"5m\" or \"1h\"");
                return default;
            }
        };
        match parse_duration(text) {
            Ok(duration) if allowed.contains(&duration) => duration,
            Ok(duration) => {
                let which = if duration < *allowed.start() {
                    "short"
                } else {
                    "long"
                };
                let (low, high) = (limit_text(*allowed.start()), limit_text(*allowed.end()));
                found.wrong(format!(
                    "{} is too {which}; {low} to {high} are allowed",
                    quoted(text)
                ));
                default
            }
            Err(why) => {
                found.wrong(why);
                default
            }
        }
    }

    /// A list of texts, each read by `read`, which says what would be right. Twice the same is refused.
    pub(super) fn list<T: PartialEq>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let mut values = Vec::new();
        for (span, value) in self.items(key, read)? {
            if values.contains(&value) {
                let what = format!("`{}`: this is in the list twice", self.full_name(key));
                self.document.problem(&span, what);
            } else {
                values.push(value);
            }
        }
        Some(values)
    }

    /// A list of texts in which the same may come again, with so many items at most.
    pub(super) fn series<T>(
        &mut self,
        key: &'static str,
        at_most: usize,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let items = self.items(key, read)?;
        if let Some((span, _)) = items.get(at_most) {
            let what = format!(
                "`{}`: this list is too long; {at_most} are allowed",
                self.full_name(key)
            );
            self.document.problem(span, what);
        }
        Some(items.into_iter().map(|(_, value)| value).collect())
    }

    /// The items that can be read, with their places; the others are reported.
    fn items<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<(Range<usize>, T)>> {
        let found = self.take(key)?;
        let DeValue::Array(items) = found.value else {
            found.wrong_type(&format!("a list, as {key} = [\"…\"]"));
            return None;
        };
        let read = items
            .iter()
            .filter_map(|item| Some((item.span(), self.item(&found.key, item, &read)?)));
        Some(read.collect())
    }

    fn item<T>(
        &self,
        key: &str,
        item: &'d Spanned<DeValue<'d>>,
        read: &impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let found = Found {
            document: self.document,
            key: key.to_owned(),
            value: item.get_ref(),
            span: item.span(),
        };
        let DeValue::String(text) = found.value else {
            found.wrong_type("text in quotes");
            return None;
        };
        read(text).map_err(|why| found.wrong(why)).ok()
    }

    /// Reports the keys that nobody took.
    pub(super) fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) {
                let what = self.unknown(name);
                self.document.problem(&key.span(), what);
            }
        }
    }

    fn unknown(&self, name: &str) -> String {
        let near = self
            .known
            .iter()
            .map(|known| (distance(name, known), known))
            .filter(|(distance, known)| *distance <= 2 && *distance < known.len())
            .min();
        let guess = near.map_or(String::new(), |(_, known)| {
            format!("did you mean `{known}`? ")
        });
        let known: Vec<_> = self.known.iter().map(|key| format!("`{key}`")).collect();
        let place = match self.name.as_str() {
            "" => "here".to_owned(),
            section => format!("in [{section}]"),
        };
        format!(
            "{}: there is no such key; {guess}known {place}: {}",
            quoted(&self.full_name(name)),
            known.join(", ")
        )
    }
}
