//! `package.json`: what deploying needs of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::problem::{ConfigError, Problem, Source, quoted};

/// The parts of `package.json` that deploying needs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PackageJson {
    /// `name`.
    pub name: Option<String>,
    /// `version`.
    pub version: Option<String>,
    /// `scripts`.
    pub scripts: BTreeMap<String, String>,
    /// `engines.node`: a range of node versions.
    pub node_range: Option<String>,
    /// `packageManager`: `npm@11.1.0`.
    pub package_manager: Option<String>,
    /// `npm_package_…`, as npm gives them to scripts.
    variables: BTreeMap<String, String>,
}

impl PackageJson {
    /// The file's name in the repository.
    pub const FILE: &'static str = "package.json";

    /// Reads the file. The error says where it is broken and in what way.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let source = Source::new(Self::FILE, bytes)?;
        let object = parse_object(source)?;
        let mut problems = Vec::new();
        let package = Self {
            name: text_of(source, &object, "name", &mut problems),
            version: text_of(source, &object, "version", &mut problems),
            scripts: scripts(source, &object, &mut problems),
            // Old packages have lists here, which npm ignores as well.
            node_range: object
                .get("engines")
                .and_then(|engines| engines.get("node")?.as_str())
                .map(str::to_owned),
            package_manager: text_of(source, &object, "packageManager", &mut problems),
            variables: variables(&object),
        };
        ConfigError::of(problems).map_or(Ok(package), Err)
    }

    /// A script's command line.
    pub fn script(&self, name: &str) -> Option<&str> {
        self.scripts.get(name).map(String::as_str)
    }

    /// What npm tells the scripts of this package about it: `npm_package_name` and so on.
    pub fn npm_variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }
}

/// The file as an object, or where and how it is broken. Used for lockfiles too.
pub(super) fn parse_object(source: Source<'_>) -> Result<Map<String, Value>, ConfigError> {
    match serde_json::from_str::<Value>(source.text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ConfigError::one(source.on_line(
            1,
            "this is JSON, but not an object; it must begin with `{` and end with `}`",
        ))),
        Err(error) => Err(ConfigError::one(Problem {
            column: Some(error.column()).filter(|&column| column > 0),
            ..source.on_line(error.line().max(1), plain_words(source, &error))
        })),
    }
}

/// What `serde_json` says, without its own way of naming the place, and with the usual cause.
fn plain_words(source: Source<'_>, error: &serde_json::Error) -> String {
    let message = error.to_string();
    let said = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(said, _)| said);
    let line = source.text.lines().nth(error.line().saturating_sub(1));
    let line = line.unwrap_or_default().trim_start();
    let cause = if source.text.trim().is_empty() {
        "; the file is empty"
    } else if ["<<<<<<<", "=======", ">>>>>>>"]
        .iter()
        .any(|mark| line.starts_with(mark))
    {
        "; a merge conflict was left in the file"
    } else if line.starts_with("//") || line.starts_with("/*") {
        "; JSON has no comments"
    } else if said.contains("trailing comma") {
        "; JSON allows no comma after the last entry"
    } else if error.is_eof() {
        "; the file ends too early, a closing bracket or quote is missing"
    } else {
        ""
    };
    format!("not valid JSON: {said}{cause}")
}

fn text_of(
    source: Source<'_>,
    object: &Map<String, Value>,
    key: &str,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    match object.get(key)? {
        Value::String(text) => Some(text.clone()),
        other => {
            let what = format!("`{key}` is {}; it must be text", kind(other));
            problems.push(source.somewhere(what));
            None
        }
    }
}

fn scripts(
    source: Source<'_>,
    object: &Map<String, Value>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, String> {
    let entries = match object.get("scripts") {
        None => return BTreeMap::new(),
        Some(Value::Object(entries)) => entries,
        Some(other) => {
            let what = format!(
                "`scripts` is {}; it must be an object, as \"scripts\": {{\"start\": \"node server.js\"}}",
                kind(other)
            );
            problems.push(source.somewhere(what));
            return BTreeMap::new();
        }
    };
    let mut scripts = BTreeMap::new();
    for (name, script) in entries {
        match script {
            Value::String(text) if text.contains('\0') => {
                let what = format!("the script {} contains a NUL byte", quoted(name));
                problems.push(source.somewhere(what));
            }
            Value::String(text) => _ = scripts.insert(name.clone(), text.clone()),
            other => {
                let what = format!(
                    "the script {} is {}; it must be text",
                    quoted(name),
                    kind(other)
                );
                problems.push(source.somewhere(what));
            }
        }
    }
    scripts
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// npm gives scripts these parts of `package.json`, each value under its path joined with `_`.
fn variables(object: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for part in ["name", "version", "config", "engines", "bin"] {
        if let Some(value) = object.get(part) {
            flatten(&format!("npm_package_{part}"), value, &mut variables);
        }
    }
    variables
}

fn flatten(name: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let text = match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                flatten(&format!("{name}_{key}"), value, into);
            }
            return;
        }
        Value::Array(items) => {
            for (n, value) in items.iter().enumerate() {
                flatten(&format!("{name}_{n}"), value, into);
            }
            return;
        }
        Value::Null | Value::Bool(false) => String::new(),
        Value::Bool(true) => "true".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
    };
    // Neither could be handed to a program.
    if !name.contains(['=', '\0']) && !text.contains('\0') {
        into.insert(name.to_owned(), text);
    }
}
