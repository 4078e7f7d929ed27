//! Verbs about deploys and releases.

use hyper::Method;
use serde::Serialize;

use super::args::{Deploy, Logs, OneApp, Rollback};
use super::exit::Exit;
use super::say::{Failed, data, json, words};
use super::table::table;
use crate::control::types::{Cancelled, DeployCommit, Line, Releases, RollBack};
use crate::control::{Client, Lines, Outcome, Viewer};
use crate::report::Verdict;

pub(super) async fn releases(client: &Client, which: OneApp) -> Result<Exit, Failed> {
    let releases: Releases = client
        .get(&format!("/v1/apps/{}/releases", which.app))
        .await?;
    if which.json {
        json(&releases);
        return Ok(Exit::Done);
    }
    let mut rows = vec![
        ["RELEASE", "", "COMMIT", "BUILT", "BY", "SUBJECT"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for release in &releases.releases {
        rows.push(vec![
            release.release.to_string(),
            if release.live {
                "live".to_owned()
            } else {
                String::new()
            },
            release.commit.short().to_owned(),
            release.built_at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            release.pushed_by.clone().unwrap_or_default(),
            release.subject.clone(),
        ]);
    }
    data(&table(&rows));
    Ok(Exit::Done)
}

pub(super) async fn deploy(client: &Client, deploy: Deploy) -> Result<Exit, Failed> {
    let path = format!("/v1/apps/{}/deploys", deploy.app);
    told(
        client,
        Method::POST,
        &path,
        &DeployCommit {
            revision: deploy.commit,
        },
        deploy.json,
    )
    .await
}

pub(super) async fn roll_back(client: &Client, rollback: Rollback) -> Result<Exit, Failed> {
    let path = format!("/v1/apps/{}/rollback", rollback.app);
    let wanted = RollBack {
        release: rollback.release,
    };
    told(client, Method::POST, &path, &wanted, rollback.json).await
}

pub(super) async fn restart(client: &Client, which: OneApp) -> Result<Exit, Failed> {
    told(
        client,
        Method::POST,
        &format!("/v1/apps/{}/restart", which.app),
        &(),
        which.json,
    )
    .await
}

pub(super) async fn follow(client: &Client, which: OneApp) -> Result<Exit, Failed> {
    told(
        client,
        Method::GET,
        &format!("/v1/apps/{}/follow", which.app),
        &(),
        which.json,
    )
    .await
}

pub(super) async fn cancel(client: &Client, which: OneApp) -> Result<Exit, Failed> {
    let app = &which.app;
    let path = format!("/v1/apps/{app}/cancel");
    let result: Cancelled = client.call(Method::POST, &path, &()).await?;
    if which.json {
        json(&result);
    }
    let (exit, said) = match result {
        Cancelled::Cancelled { deploy } => {
            (Exit::Done, format!("deploy {deploy} of {app} is cancelled"))
        }
        Cancelled::TooLate { deploy } => (
            Exit::Failed,
            format!(
                "error: deploy {deploy} of {app} could not be cancelled any more; see: handover logs {app} --deploy {deploy}"
            ),
        ),
        Cancelled::Nothing => (Exit::Failed, format!("error: no deploy of {app} runs")),
    };
    words(&said);
    Ok(exit)
}

pub(super) async fn logs(client: &Client, logs: Logs) -> Result<Exit, Failed> {
    if let Some(number) = logs.deploy {
        let path = format!(
            "/v1/apps/{}/deploys/{number}/events?follow={}",
            logs.app, logs.follow
        );
        // What was asked for is the record, and that is shown whatever the deploy came to.
        return told(client, Method::GET, &path, &(), logs.json)
            .await
            .map(|_| Exit::Done);
    }
    let path = format!(
        "/v1/apps/{}/logs?lines={}&follow={}",
        logs.app, logs.lines, logs.follow
    );
    let mut lines = client.lines(Method::GET, &path, &()).await?;
    while let Some(line) = lines.next().await? {
        if logs.json {
            data(&app_line(&line));
        } else {
            data(&line);
        }
    }
    Ok(Exit::Done)
}

/// One line of an app's log: `2026-11-23T05:40:00.123Z g57.0 out text`.
#[derive(Debug, Serialize)]
struct AppLine<'l> {
    at: &'l str,
    source: &'l str,
    stream: &'l str,
    text: &'l str,
}

fn app_line(line: &str) -> String {
    let mut words = line.splitn(4, ' ');
    let mut word = || words.next().unwrap_or_default();
    let line = AppLine {
        at: word(),
        source: word(),
        stream: word(),
        text: word(),
    };
    serde_json::to_string(&line).expect("its keys are strings")
}

/// Has something done and shows what happens: words on stderr, or with `--json` the events on stdout.
async fn told(
    client: &Client,
    method: Method,
    path: &str,
    body: &impl Serialize,
    as_json: bool,
) -> Result<Exit, Failed> {
    let lines = client.lines(method, path, body).await?;
    if as_json {
        told_as_json(lines).await
    } else {
        told_in_words(lines).await
    }
}

async fn told_in_words(lines: Lines) -> Result<Exit, Failed> {
    let mut viewer = Viewer::new(lines);
    while let Some(line) = viewer.next().await? {
        words(&line);
    }
    Ok(match viewer.outcome() {
        Outcome::Good => Exit::Done,
        Outcome::Bad => Exit::Failed,
        Outcome::Unknown => {
            words("error: the server has gone away before there was a verdict");
            Exit::Unreachable
        }
    })
}

async fn told_as_json(mut lines: Lines) -> Result<Exit, Failed> {
    let mut exit = Exit::Done;
    while let Some(line) = lines.next().await? {
        match serde_json::from_str::<Line>(&line) {
            Ok(Line::Refused { .. }) => exit = Exit::Failed,
            Ok(Line::Event(event)) => match event.verdict() {
                Some(Verdict::Failed | Verdict::Cancelled | Verdict::Superseded) => {
                    exit = Exit::Failed;
                }
                Some(Verdict::Live) => exit = Exit::Done,
                None => {}
            },
            Ok(Line::Note { .. } | Line::AlreadyLive { .. }) | Err(_) => {}
        }
        data(&line);
    }
    Ok(exit)
}
