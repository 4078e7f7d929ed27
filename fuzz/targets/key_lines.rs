//! What people hand in as a public key, what sshd hands on as a command, and files of keys that others write, too: understood
//! exactly or refused in one line; and what handover writes for sshd is always one line with one command.

#![no_main]

use std::path::Path;

use handover::access::PublicKey;
use handover::access::authorized::{ForcedCommand, own_lines, replace_block};
use handover::access::command::{Command, is_git_protocol, parse};
use handover::ids::KeyName;
use handover_fuzz::assert_one_line;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    key(text);
    command(text);
    file(text);
    let _ = is_git_protocol(text);
});

fn key(text: &str) {
    let key: PublicKey = match text.parse() {
        Ok(key) => key,
        Err(error) => return assert_one_line(error),
    };
    let written = key.to_string();
    assert_one_line(&written);
    assert_eq!(
        written.split(' ').count(),
        2,
        "the type and the key, and no comment"
    );
    let again: PublicKey = written.parse().expect("what was written is understood");
    assert_eq!(again.to_string(), written);
    assert!(key.fingerprint().starts_with("SHA256:"));

    let name: KeyName = "ada".parse().expect("it is a name");
    let forced = ForcedCommand::new(
        Path::new("/usr/bin/handover"),
        Path::new("/run/control.sock"),
    );
    let line = forced.expect("these are plain paths").line(&name, &key);
    assert_one_line(&line);
    assert!(line.starts_with("restrict,command=\"/usr/bin/handover ssh "));
    assert_eq!(line.matches('"').count(), 2);
}

fn command(text: &str) {
    match parse(text) {
        Err(error) => assert_one_line(error),
        Ok(Command::Greeting) => assert!(text.trim_matches(' ').is_empty()),
        Ok(Command::ReceivePack(app) | Command::UploadPack(app)) => {
            // Quotes may stand within a word: `g''it-upload-pack` is one.
            let unquoted = text.replace(['\'', '\\'], "");
            assert!(unquoted.trim_start_matches(' ').starts_with("git-"));
            assert!(app.as_str().len() <= text.len());
        }
        Ok(Command::Verb(words)) => {
            assert!(!words.is_empty());
            let letters = words.iter().map(String::len).sum::<usize>();
            assert!(letters <= text.len(), "nothing is added");
        }
    }
}

fn file(text: &str) {
    let lines = ["one".to_owned(), "two".to_owned()];
    let written = match replace_block(text, &lines) {
        Ok(written) => written,
        Err(error) => return assert_one_line(error),
    };
    assert_eq!(
        own_lines(&written).expect("it has our block"),
        ["one", "two"]
    );
    let again = replace_block(&written, &lines).expect("it has our block");
    assert_eq!(again, written, "once more changes nothing");
}
