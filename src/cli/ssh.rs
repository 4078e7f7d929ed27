//! The role `ssh`: what sshd runs for a key, whatever its client asks for. It serves git, a fixed list of verbs, and a
//! greeting; the server decides what of that the key may do.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use clap::Parser as _;
use hyper::Method;

use super::address::ssh_address;
use super::args::{AppVerb, Cli, Keys, KeysVerb, Verb};
use super::exit::Exit;
use super::roles::block_on;
use super::say::{Failed, data};
use crate::access::Level;
use crate::access::command::{Command, is_git_protocol, parse};
use crate::control::types::{Greeting, Repository};
use crate::control::{Client, ClientError, KEY_VARIABLE};
use crate::ids::{AppName, KeyName};
use crate::process::socket::effective_uid;
use crate::process::stream::wait_for_hang_up;

/// Where git is looked for if sshd does not say.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The verbs that can be used over ssh, in words.
const OFFERED: &str = "status, releases, logs, deploy, rollback, follow, cancel, restart, scale, domains, nginx, app list, app set, keys";

pub(super) fn run(control: PathBuf, key: &KeyName) -> Result<Exit, Failed> {
    let asked = std::env::var_os("SSH_ORIGINAL_COMMAND").unwrap_or_default();
    let asked = asked
        .into_string()
        .map_err(|_| Failed::new("read the command: it is not UTF-8"))?;
    let command = parse(&asked).map_err(Failed::new)?;
    let client = Client::for_key(control, key);
    let greeting = block_on(client.call(Method::POST, "/v1/greeting", &()))?;
    let greeting: Greeting = greeting.map_err(without_path)?;
    match command {
        Command::Greeting => {
            greet(&greeting);
            Ok(Exit::Done)
        }
        Command::ReceivePack(app) => git(&client, key, &app, &["receive-pack"], "push"),
        Command::UploadPack(app) => git(&client, key, &app, &["upload-pack", "--strict"], "fetch"),
        Command::Verb(words) => verb(&client, words),
    }
}

/// Whoever is far away can do nothing with a path on the server.
fn without_path(error: ClientError) -> Failed {
    match error {
        ClientError::Unreachable { .. } => Failed::unreachable(
            "reach the handover server: it is not running, so nothing can be pushed or asked for; try again later",
        ),
        other => other.into(),
    }
}

/// Becomes git, for the app's own repository and in an environment of its own.
fn git(
    client: &Client,
    key: &KeyName,
    app: &AppName,
    program: &[&str],
    purpose: &str,
) -> Result<Exit, Failed> {
    let path = format!("/v1/apps/{app}/repository/{purpose}");
    let found: Repository = block_on(client.get(&path))?.map_err(without_path)?;
    let mut git = std::process::Command::new("git");
    git.args(program).arg(&found.repo);
    git.env_clear().envs(environment(key));
    let error = git.exec();
    Err(Failed::new(format!("run git: {error}")))
}

fn environment(key: &KeyName) -> Vec<(&'static str, OsString)> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
    let mut all = vec![("PATH", path), (KEY_VARIABLE, key.as_str().into())];
    all.extend(std::env::var_os("HOME").map(|home| ("HOME", home)));
    let protocol = std::env::var("GIT_PROTOCOL").ok();
    let protocol = protocol.filter(|protocol| is_git_protocol(protocol));
    all.extend(protocol.map(|protocol| ("GIT_PROTOCOL", protocol.into())));
    all
}

/// Does what was asked for as if it had been typed here, on behalf of the key.
fn verb(client: &Client, words: Vec<String>) -> Result<Exit, Failed> {
    let elsewhere = |word: &String| word == "--home" || word.starts_with("--home=");
    if words.iter().any(elsewhere) {
        return Err(Failed::new(
            "use `--home` over ssh: there is one installation here",
        ));
    }
    let first = words.first().cloned().unwrap_or_default();
    let typed = std::iter::once("handover".to_owned()).chain(words);
    let cli = match Cli::try_parse_from(typed) {
        Ok(cli) => cli,
        Err(error) => return Ok(super::tell_usage(&error)),
    };
    if !is_offered(&cli.verb) {
        return Err(Failed::new(format!(
            "use `{first}` over ssh: what can be used is {OFFERED}"
        )));
    }
    end_with_client();
    block_on(super::ask(client, cli.verb))?
}

/// A client who goes away takes nothing with him but what shows him things: no signal comes, only his end closes.
fn end_with_client() {
    std::thread::spawn(|| {
        if wait_for_hang_up(&std::io::stdout()).is_ok() {
            std::process::exit(Exit::Done as i32);
        }
    });
}

/// Whether a verb can be used over ssh. (Whether this key may use it on that app the server decides.)
fn is_offered(verb: &Verb) -> bool {
    match verb {
        Verb::Status(_)
        | Verb::Releases(_)
        | Verb::Logs(_)
        | Verb::Deploy(_)
        | Verb::Follow(_)
        | Verb::Cancel(_)
        | Verb::Rollback(_)
        | Verb::Restart(_)
        | Verb::Scale(_)
        | Verb::Domains(_)
        | Verb::Nginx(_)
        | Verb::App(AppVerb::List(_) | AppVerb::Set(_)) => true,
        Verb::Keys(Keys { verb, .. }) => match verb {
            None | Some(KeysVerb::Add(_) | KeysVerb::List | KeysVerb::Remove { .. }) => true,
            Some(KeysVerb::Authorized(_)) => false,
        },
        Verb::App(AppVerb::Create(_) | AppVerb::Destroy(_))
        | Verb::Serve(_)
        | Verb::Store(_)
        | Verb::Doctor(_)
        | Verb::Hooks(_)
        | Verb::Completions { .. }
        | Verb::Hook { .. }
        | Verb::Ssh { .. }
        | Verb::Keep { .. }
        | Verb::Front(_) => false,
    }
}

fn greet(greeting: &Greeting) {
    data(&format!("hello {}; this is handover.", greeting.key));
    let of = |level: Level| {
        let apps = greeting
            .apps
            .iter()
            .filter(|granted| granted.level == level);
        apps.map(|granted| &granted.app).collect::<Vec<_>>()
    };
    let (push, read) = (of(Level::Push), of(Level::Read));
    let everything = if greeting.admin {
        "and change every app"
    } else {
        ""
    };
    tell_apps(&format!("You may push {everything}"), &push);
    tell_apps("You may read", &read);
    if push.is_empty() && read.is_empty() {
        data("There is no app that you may use yet.");
    }
    let address = push
        .first()
        .and_then(|app| ssh_address(app, effective_uid(), port()));
    if let Some(address) = address {
        data(&format!(
            "In your project: git remote add production {address}"
        ));
    }
}

fn tell_apps(may: &str, apps: &[&AppName]) {
    if !apps.is_empty() {
        let names: Vec<_> = apps.iter().map(|app| app.as_str()).collect();
        data(&format!("{}: {}", may.trim_end(), names.join(", ")));
    }
}

/// The port that the client has connected to.
fn port() -> Option<u16> {
    let connection = std::env::var("SSH_CONNECTION").ok()?;
    connection.split(' ').nth(3)?.parse().ok()
}
