//! The command line: what was typed, and what is printed about it.
//!
//! Data goes to stdout, words to stderr.

mod address;
mod apps;
pub mod args;
mod deploys;
mod doctor;
mod exit;
mod keys;
mod roles;
mod say;
mod setting;
mod settings;
mod ssh;
mod store;
mod table;
mod told;

use clap::{CommandFactory, Parser};

pub use exit::Exit;

use args::{AppVerb, Cli, KeysVerb, Verb};
use say::Failed;

use crate::control::Client;
use crate::paths::{Layout, Surroundings};
use crate::process::socket::effective_uid;

/// Does what was typed.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return tell_usage(&error),
    };
    match run(cli) {
        Ok(exit) => exit,
        Err(failed) => failed.tell(),
    }
}

/// Prints what is wrong with what was typed, or the help that was asked for.
fn tell_usage(error: &clap::Error) -> Exit {
    // There is nothing to be done where even this can't be printed.
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    }
}

fn run(cli: Cli) -> Result<Exit, Failed> {
    let layout = || {
        Layout::choose(
            cli.home.as_deref(),
            &Surroundings::of_this_process(effective_uid()),
        )
        .map_err(Failed::new)
    };
    match cli.verb {
        Verb::Keep { dir } => roles::keep(&dir),
        Verb::Front(front) => roles::front(front),
        Verb::Hook { name } => roles::hook(&name),
        Verb::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "handover",
                &mut std::io::stdout(),
            );
            Ok(Exit::Done)
        }
        Verb::Serve(serve) => roles::serve(layout()?, serve),
        Verb::Ssh { control, key } => ssh::run(control, &key),
        Verb::Keys(args::Keys {
            verb: Some(KeysVerb::Authorized(which)),
            ..
        }) => keys::authorized(&layout()?, which),
        Verb::Doctor(asked) => doctor::run(&layout()?, &asked),
        verb => {
            let client = Client::new(layout()?.control_socket());
            roles::block_on(ask(&client, verb))?
        }
    }
}

/// The verbs that ask the server.
async fn ask(client: &Client, verb: Verb) -> Result<Exit, Failed> {
    match verb {
        Verb::App(AppVerb::Create(create)) => apps::create(client, create).await,
        Verb::App(AppVerb::List(json)) => apps::list(client, json.json).await,
        Verb::App(AppVerb::Set(set)) => settings::set(client, set).await,
        Verb::App(AppVerb::Destroy(destroy)) => apps::destroy(client, destroy).await,
        Verb::Status(which) => apps::status(client, which).await,
        Verb::Scale(scale) => apps::scale(client, scale).await,
        Verb::Domains(domains) => apps::domains(client, domains).await,
        Verb::Nginx(which) => apps::nginx(client, which).await,
        Verb::Hooks(hooks) => apps::hooks(client, hooks).await,
        Verb::Releases(which) => deploys::releases(client, which).await,
        Verb::Logs(logs) => deploys::logs(client, logs).await,
        Verb::Deploy(deploy) => deploys::deploy(client, deploy).await,
        Verb::Restart(which) => deploys::restart(client, which).await,
        Verb::Follow(which) => deploys::follow(client, which).await,
        Verb::Rollback(rollback) => deploys::roll_back(client, rollback).await,
        Verb::Cancel(which) => deploys::cancel(client, which).await,
        Verb::Keys(keys) => keys::ask(client, keys).await,
        Verb::Store(verb) => store::ask(client, verb).await,
        Verb::Serve(_)
        | Verb::Doctor(_)
        | Verb::Completions { .. }
        | Verb::Hook { .. }
        | Verb::Ssh { .. }
        | Verb::Keep { .. }
        | Verb::Front(_) => unreachable!("roles and local verbs were taken care of before"),
    }
}
