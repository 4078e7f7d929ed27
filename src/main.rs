//! The one binary: every role and every verb.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use handover::front::{self, FrontOptions};
use handover::process::tcp::inherited_listener;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    #[command(hide = true)]
    Front {
        #[arg(long)]
        control: PathBuf,
        #[arg(long = "listen-fd", required = true)]
        listen_fds: Vec<RawFd>,
        #[arg(long)]
        threads: Option<std::num::NonZeroUsize>,
        #[arg(long, value_parser = handover::time::parse_duration)]
        response_timeout: Option<std::time::Duration>,
        #[arg(long, value_parser = handover::time::parse_duration)]
        connect_timeout: Option<std::time::Duration>,
    },
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let Verb::Front {
        control,
        listen_fds,
        threads,
        response_timeout,
        connect_timeout,
    } = Cli::parse().verb;
    let listeners: Result<Vec<_>, _> = listen_fds.into_iter().map(inherited_listener).collect();
    let listeners = match listeners {
        Ok(listeners) => listeners,
        Err(error) => {
            tracing::error!(%error, "front");
            return ExitCode::from(2);
        }
    };
    let mut options = FrontOptions::new(control, listeners);
    if let Some(threads) = threads {
        options.threads = threads;
    }
    if let Some(limit) = response_timeout {
        options.limits.response = limit;
    }
    if let Some(limit) = connect_timeout {
        options.limits.connect = limit;
    }
    match front::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "front");
            ExitCode::from(1)
        }
    }
}
