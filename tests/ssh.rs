//! git and handover's verbs over ssh, with a real sshd: who may do what, and what nobody may.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

#[path = "ssh/commands.rs"]
mod commands;
#[path = "ssh/greeting.rs"]
mod greeting;
#[path = "ssh/matrix.rs"]
mod matrix;
#[path = "ssh/pushes.rs"]
mod pushes;
#[path = "ssh/revoked.rs"]
mod revoked;

use std::process::Output;

use support::{Project, Server, Sshd, skip, sshd};

/// A server with two apps that are live, and an sshd that lets its keys in.
struct Place {
    sshd: Sshd,
    server: Server,
    project: Project,
}

impl Place {
    /// None where this machine has no sshd.
    fn new() -> Option<Self> {
        if !sshd::is_installed() {
            skip("this machine has no sshd");
            return None;
        }
        let server = Server::start();
        let project = Project::tiny();
        for app in ["shop", "blog"] {
            project.push(&server.create(app)).went_live();
        }
        Some(Self {
            sshd: Sshd::start(&server),
            server,
            project,
        })
    }
}

/// What an ssh client reads on its two outputs.
fn words(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}
