//! The README's way to check a signature, run by node.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::receiver::Received;

/// The code that the README shows, word for word.
fn example() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, rest) = readme
        .split_once("```js\nimport { createHmac")
        .expect("the README shows how to check a signature");
    let (code, _) = rest.split_once("```").unwrap();
    format!("import {{ createHmac{code}")
}

/// Whether the README's function finds that this request came from handover.
pub fn accepts(secret: &str, received: &Received, body: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("verify.mjs"), example()).unwrap();
    let run = "import { isFromHandover } from './verify.mjs';
        const { secret, headers, body } = JSON.parse(process.argv[2]);
        process.stdout.write(String(isFromHandover(secret, headers, body)));";
    std::fs::write(dir.path().join("run.mjs"), run).unwrap();
    let headers: serde_json::Map<_, _> = received
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    let output = Command::new("node")
        .current_dir(dir.path())
        .arg("run.mjs")
        .arg(json!({"secret": secret, "headers": headers, "body": body}).to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    match &output.stdout[..] {
        b"true" => true,
        b"false" => false,
        other => panic!("{:?}", String::from_utf8_lossy(other)),
    }
}
