//! Verbs about deploys and releases.

use hyper::Method;
use serde::Serialize;

use super::args::{Deploy, Logs, OneApp, Rollback};
use super::exit::Exit;
use super::say::{Failed, data, json, words};
use super::table::table;
use super::told::Told;
use crate::control::Client;
use crate::control::types::{Cancelled, DeployCommit, Releases, RollBack};
use crate::ids::AppName;

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
    let body = DeployCommit {
        revision: deploy.commit,
    };
    told(&deploy.app, deploy.json)
        .until_verdict(client, Method::POST, "deploys", &body)
        .await
}

pub(super) async fn roll_back(client: &Client, rollback: Rollback) -> Result<Exit, Failed> {
    let wanted = RollBack {
        release: rollback.release,
    };
    told(&rollback.app, rollback.json)
        .until_verdict(client, Method::POST, "rollback", &wanted)
        .await
}

pub(super) async fn restart(client: &Client, which: OneApp) -> Result<Exit, Failed> {
    told(&which.app, which.json)
        .until_verdict(client, Method::POST, "restart", &())
        .await
}

pub(super) async fn follow(client: &Client, which: OneApp) -> Result<Exit, Failed> {
    told(&which.app, which.json)
        .until_verdict(client, Method::GET, "follow", &())
        .await
}

fn told(app: &AppName, as_json: bool) -> Told<'_> {
    Told { app, as_json }
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
        let what = format!("deploys/{number}/events?follow={}", logs.follow);
        return told(&logs.app, logs.json).as_recorded(client, &what).await;
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
