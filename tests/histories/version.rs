//! The versions that are pushed: a server without dependencies, with a file that says how it behaves.

use std::path::Path;

use crate::step::Kind;
use crate::support::Project;

/// Answers with `VERSION`, ticks on `/ticks`, and does what `KIND` says.
const SERVER: &str = r"
const { readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const [version, kind] = ['VERSION', 'KIND'].map((name) => readFileSync(`${__dirname}/${name}`, 'utf8').trim());
if (kind === 'Crashes') process.exit(3);
if (kind === 'Falls') setTimeout(() => process.exit(4), 500);
createServer((req, res) => {
  if (kind === 'Unwell') res.statusCode = 500;
  if (req.url !== '/ticks') return res.end(`version ${version}\n`);
  const timer = setInterval(() => res.write('tick\n'), 100);
  res.on('close', () => clearInterval(timer));
}).listen(process.env.PORT);
";

/// A project with the server and no version of it, and its only commit.
pub fn project() -> (Project, String) {
    let project = Project::tiny();
    project.write("server.js", SERVER);
    project.git(&["add", "-A"]);
    project.git(&["commit", "-q", "--amend", "-m", "a server"]);
    let root = project.git(&["rev-parse", "HEAD"]).trim().to_owned();
    (project, root)
}

/// Writes a version. Its build waits at these doors, if there are some: it makes `begun`, and goes on when there is `go`.
pub fn write(project: &Project, number: u32, kind: Kind, doors: Option<&Path>) {
    let watch = if kind == Kind::Falls { "30s" } else { "0s" };
    let limit = if kind == Kind::Unwell { "1s" } else { "30s" };
    let build = match (kind, doors) {
        (Kind::Unbuildable, _) => Some("exit 5\n".to_owned()),
        (_, Some(doors)) => {
            let doors = doors.display();
            let wait = format!("until [ -e {doors}/go ]; do sleep 0.05; done\n");
            Some(format!("touch {doors}/begun\n{wait}"))
        }
        (_, None) => None,
    };
    let command = build
        .as_ref()
        .map_or("", |_| "[build]\ncommand = \"sh build.sh\"\n");
    project.write("VERSION", &format!("{number}\n"));
    project.write("KIND", &format!("{kind:?}\n"));
    project.write("build.sh", &build.unwrap_or_default());
    project.write(
        "handover.toml",
        &format!(
            "[web]\ncommand = \"node server.js\"\n[health]\ninterval = \"100ms\"\ntimeout = \"{limit}\"\n\
             [drain]\nstop_timeout = \"2s\"\n[watch]\nfor = \"{watch}\"\n{command}"
        ),
    );
}
