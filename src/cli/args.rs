//! What can be typed.

mod keys;
mod store;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueHint};

pub use super::setting::Key;
pub use keys::{AddKey, Authorized, Keys, KeysVerb};
pub use store::{PruneTrees, StoreVerb};

use crate::ids::{AppName, DeployNumber, HostName, KeyName, ReleaseNumber};

/// git push production main: deploys a Node.js app and hands the running app over without one dropped request.
#[derive(Debug, Parser)]
#[command(
    name = "handover",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub struct Cli {
    /// The installation to use (default: /var/lib/handover for root and for its owner, else ~/.local/share/handover)
    #[arg(long, global = true, env = "HANDOVER_HOME", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub home: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs and the hidden roles.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the server until SIGTERM (apps run on) or Ctrl-C (apps are stopped too)
    Serve(Serve),
    /// Create, list, set up and destroy apps
    #[command(subcommand)]
    App(AppVerb),
    /// Show apps, what serves, and what is still draining
    Status(OptionalApp),
    /// Show the releases of an app
    Releases(OneApp),
    /// Show what an app prints, or what happened in a deploy
    Logs(Logs),
    /// Deploy a commit that the repository has (default: the deploy branch)
    Deploy(Deploy),
    /// Hand over to a release that was built before (default: the last that was live)
    Rollback(Rollback),
    /// Watch the deploy that runs, or the last one
    Follow(OneApp),
    /// Give up the deploy that runs, before its swap
    Cancel(OneApp),
    /// Start the live release afresh and hand over to it
    Restart(OneApp),
    /// Set how many instances an app has
    Scale(Scale),
    /// Show, add and remove an app's host names
    Domains(Domains),
    /// Print a complete nginx configuration for an app
    Nginx(OneApp),
    /// Say which ssh keys may push to which apps (default: list them)
    Keys(Keys),
    /// Show, check and remove what installs have made and later deploys use again
    #[command(subcommand)]
    Store(StoreVerb),
    /// Check this machine and say how to mend what is wrong
    Doctor(Doctor),
    /// Put the hooks into a bare repository that exists, or take them out again
    #[command(subcommand)]
    Hooks(HooksVerb),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Run by git, not by people
    #[command(hide = true)]
    Hook {
        /// The hook's name
        name: String,
    },
    /// Run by sshd for a key, not by people: serves what the ssh client asks for
    #[command(hide = true)]
    Ssh {
        /// The control socket of the server
        #[arg(long)]
        control: PathBuf,
        /// The key's name
        key: KeyName,
    },
    /// Run by the server, not by people: keeps one generation
    #[command(hide = true)]
    Keep {
        /// The generation's directory
        #[arg(long)]
        dir: PathBuf,
    },
    /// Run by the server, not by people: the built-in front
    #[command(hide = true)]
    Front(Front),
}

/// What the front is started with.
#[derive(Debug, Args)]
pub struct Front {
    /// Its control socket
    #[arg(long)]
    pub control: PathBuf,
    /// Inherited listening descriptors
    #[arg(long = "listen-fd", value_name = "FD", required = true)]
    pub listen_fds: Vec<i32>,
    /// How many threads serve
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
    /// For an app to begin its answer
    #[arg(long, value_parser = crate::time::parse_duration)]
    pub response_timeout: Option<Duration>,
    /// For an app to accept a connection
    #[arg(long, value_parser = crate::time::parse_duration)]
    pub connect_timeout: Option<Duration>,
}

/// How the server runs.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where the built-in front listens; may be given more than once (default: the settings file's, else 127.0.0.1:8080)
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<SocketAddr>,
    /// Run without the built-in front (nginx or another proxy connects to the apps' sockets)
    #[arg(long, conflicts_with = "listen")]
    pub no_front: bool,
}

/// What can be done about apps.
#[derive(Debug, Subcommand)]
pub enum AppVerb {
    /// Create an app: its repository, its hooks, its place
    Create(Create),
    /// List the apps
    List(Json),
    /// Show and change what is set about an app
    Set(Set),
    /// Stop an app and delete everything of it
    Destroy(Destroy),
}

/// An app to be created.
#[derive(Debug, Args)]
pub struct Create {
    /// Its name: a-z, 0-9 and -, beginning with a letter
    pub name: AppName,
    /// The branch whose pushes deploy
    #[arg(long, default_value = "main")]
    pub branch: String,
    /// Let the branch move before the deploy's verdict is known
    #[arg(long)]
    pub no_gate: bool,
    /// A host name that leads to the app; may be given more than once
    #[arg(long = "domain", value_name = "HOST")]
    pub domains: Vec<HostName>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A setting of an app.
#[derive(Debug, Args)]
pub struct Set {
    /// The app
    pub name: AppName,
    /// gate, force, webhook or webhook-secret (default: show all)
    pub key: Option<Key>,
    /// Its new value; an empty one takes it back to its default (default: show it)
    pub value: Option<String>,
    /// Take a setting back to its default
    #[arg(long, value_name = "KEY", conflicts_with = "key")]
    pub unset: Option<Key>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// An app to be destroyed.
#[derive(Debug, Args)]
pub struct Destroy {
    /// The app
    pub name: AppName,
    /// Don't ask
    #[arg(long, short)]
    pub yes: bool,
}

/// What to do about what is found.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Mend what can be mended without losing anything, and say what was done
    #[arg(long)]
    pub repair: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Only the output's form.
#[derive(Debug, Args)]
pub struct Json {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// One app.
#[derive(Debug, Args)]
pub struct OneApp {
    /// The app
    pub app: AppName,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// One app or all.
#[derive(Debug, Args)]
pub struct OptionalApp {
    /// The app (default: all)
    pub app: Option<AppName>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What of the logs.
#[derive(Debug, Args)]
pub struct Logs {
    /// The app
    pub app: AppName,
    /// Go on as lines come
    #[arg(long, short)]
    pub follow: bool,
    /// Show what happened in a deploy instead of what the app prints
    #[arg(long, value_name = "N")]
    pub deploy: Option<DeployNumber>,
    /// How many of the last lines of the app to begin with
    #[arg(long, short = 'n', default_value_t = 100, conflicts_with = "deploy")]
    pub lines: usize,
    /// Print JSON, an object a line
    #[arg(long)]
    pub json: bool,
}

/// What to deploy.
#[derive(Debug, Args)]
pub struct Deploy {
    /// The app
    pub app: AppName,
    /// A commit id (four digits at least), branch or tag
    pub commit: Option<String>,
    /// Print JSON, an object a line
    #[arg(long)]
    pub json: bool,
}

/// Where to go back to.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The app
    pub app: AppName,
    /// The release's number
    pub release: Option<ReleaseNumber>,
    /// Print JSON, an object a line
    #[arg(long)]
    pub json: bool,
}

/// How many instances.
#[derive(Debug, Args)]
pub struct Scale {
    /// The app
    pub app: AppName,
    /// For instance web=3
    #[arg(value_name = "web=N", value_parser = web_instances)]
    pub web: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Host names of an app.
#[derive(Debug, Args)]
pub struct Domains {
    /// The app
    pub app: AppName,
    /// What to do (default: list)
    #[command(subcommand)]
    pub change: Option<DomainChange>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// A change of the host names.
#[derive(Debug, Subcommand)]
pub enum DomainChange {
    /// Lead a host name to the app
    Add {
        /// The host name
        host: HostName,
    },
    /// Take a host name from the app
    Remove {
        /// The host name
        host: HostName,
    },
}

/// What can be done about hooks.
#[derive(Debug, Subcommand)]
pub enum HooksVerb {
    /// Make an app of a bare repository that exists: its own hooks are kept and run first
    Install {
        /// The bare repository
        repo: PathBuf,
        /// The app's name
        app: AppName,
        /// The branch whose pushes deploy (default: the repository's HEAD)
        #[arg(long)]
        branch: Option<String>,
        /// Let the branch move before the deploy's verdict is known
        #[arg(long)]
        no_gate: bool,
        /// A host name that leads to the app; may be given more than once
        #[arg(long = "domain", value_name = "HOST")]
        domains: Vec<HostName>,
    },
    /// Take the hooks out and put back what was there
    Remove {
        /// The bare repository
        repo: PathBuf,
    },
}

fn web_instances(text: &str) -> Result<u32, String> {
    let number = text
        .strip_prefix("web=")
        .ok_or("write web=N, for instance web=3")?;
    match number.parse() {
        Ok(number @ 1..=64) => Ok(number),
        _ => Err("the number of web instances goes from 1 to 64".to_owned()),
    }
}
