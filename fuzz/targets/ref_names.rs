//! Names as pushers choose them, one a line: what is let in as a ref is safe as a path, as an argument and on a terminal;
//! push options, and the names of apps and hosts, are understood or refused in one line.

#![no_main]

use std::path::{Component, Path};

use handover::ids::{AppName, CommitId, HostName};
use handover::push::{PushOptions, RefUpdate, check_name};
use handover_fuzz::{assert_one_line, round_trip};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let lines: Vec<&[u8]> = data.split(|&byte| byte == b'\n').collect();
    for line in &lines {
        ref_name(line);
        update(line);
        if let Ok(text) = std::str::from_utf8(line) {
            names(text);
        }
    }
    // A newline can be part of an option or a name, too.
    ref_name(data);
    options(&lines.iter().map(|line| line.to_vec()).collect::<Vec<_>>());
    options(&[data.to_vec()]);
});

fn ref_name(raw: &[u8]) {
    let name = match check_name(raw) {
        Ok(name) => name,
        Err(error) => return assert_one_line(error),
    };
    assert_eq!(name.as_bytes(), raw);
    assert!(name.starts_with("refs/") && name.len() <= 200);
    assert_one_line(name);
    assert!(!name.contains(|c: char| c.is_whitespace() || "$`\"'\\;&|<>()*?[]{}~!^:".contains(c)));
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    assert!(Path::new(name).components().all(plain), "{name}");
    for part in name.split('/') {
        assert!(!part.is_empty() && !part.starts_with(['-', '.']), "{name}");
        assert!(!part.ends_with(".lock") && !part.contains(".."), "{name}");
    }
}

fn update(raw: &[u8]) {
    match RefUpdate::from_bytes(raw) {
        Ok(update) => {
            let line = format!("{} {} {}", update.old, update.new, update.name);
            assert_eq!(line.as_bytes(), raw);
        }
        Err(error) => assert_one_line(error),
    }
}

fn options(raw: &[Vec<u8>]) {
    let options = match PushOptions::parse(raw) {
        Ok(options) => options,
        Err(error) => return assert_one_line(error),
    };
    let json = serde_json::to_vec(&options).expect("options can be written");
    assert_eq!(round_trip(&json), Some(options.clone()));
    if let Some(message) = options.message {
        assert_one_line(&message);
        assert!(!message.trim().is_empty() && message.chars().count() <= 200);
    }
}

fn names(text: &str) {
    match text.parse::<AppName>() {
        Ok(name) => {
            assert!(name.as_str() == text && text.len() <= 31);
            assert!(text.starts_with(|c: char| c.is_ascii_lowercase()));
        }
        Err(error) => assert_one_line(error),
    }
    match text.parse::<HostName>() {
        Ok(name) => {
            assert_eq!(name.as_str(), text.to_ascii_lowercase());
            assert!(!name.as_str().starts_with(['-', '.']));
            assert_eq!(name.as_str().parse(), Ok(name.clone()), "once more");
        }
        Err(error) => assert_one_line(error),
    }
    match text.parse::<CommitId>() {
        Ok(id) => assert!(id.to_string() == text && text.bytes().all(|b| b.is_ascii_hexdigit())),
        Err(error) => assert_one_line(error),
    }
}
