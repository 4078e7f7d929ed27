//! What is shown while something is done: words on stderr, or with `--json` the events on stdout.

use hyper::Method;
use serde::Serialize;

use super::exit::Exit;
use super::say::{Failed, data, words};
use crate::control::{Client, ClientError, GONE_AWAY, Lines, Outcome, Shown, Viewer};
use crate::ids::AppName;

/// How many times a deploy is taken up again when the server goes away meanwhile.
const TAKEN_UP_AT_MOST: usize = 5;

/// Something that a verb has done by the server.
#[derive(Debug)]
pub(super) struct Told<'a> {
    pub(super) app: &'a AppName,
    pub(super) as_json: bool,
}

impl Told<'_> {
    /// Has it done and shows what happens until the verdict, over a restart of the server too.
    pub(super) async fn until_verdict(
        &self,
        client: &Client,
        method: Method,
        what: &str,
        body: &impl Serialize,
    ) -> Result<Exit, Failed> {
        let path = format!("/v1/apps/{}/{what}", self.app);
        let mut viewer = self.viewer(client.lines(method, &path, body).await?);
        for _ in 0..TAKEN_UP_AT_MOST {
            self.show(&mut viewer).await?;
            match viewer.outcome() {
                Outcome::Good => return Ok(Exit::Done),
                Outcome::Bad => return Ok(Exit::Failed),
                Outcome::Unknown => {}
            }
            words(GONE_AWAY);
            let Some(deploy) = viewer.deploy() else { break };
            if !client.is_back(words).await {
                break;
            }
            let record = format!("deploys/{deploy}/events?follow=true");
            viewer.go_on_with(self.record(client, &record).await?);
        }
        words("error: the server has gone away before there was a verdict");
        Ok(Exit::Unreachable)
    }

    /// Shows what is recorded, whatever it came to.
    pub(super) async fn as_recorded(&self, client: &Client, what: &str) -> Result<Exit, Failed> {
        let mut viewer = self.viewer(self.record(client, what).await?);
        while let Some(line) = viewer.next().await? {
            self.print(&line);
        }
        Ok(Exit::Done)
    }

    /// Shows what comes until it ends or breaks off.
    async fn show(&self, viewer: &mut Viewer) -> Result<(), Failed> {
        loop {
            match viewer.next().await {
                Ok(Some(line)) => self.print(&line),
                Ok(None) | Err(ClientError::Broken(_)) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn record(&self, client: &Client, what: &str) -> Result<Lines, ClientError> {
        let path = format!("/v1/apps/{}/{what}", self.app);
        client.lines(Method::GET, &path, &()).await
    }

    fn viewer(&self, lines: Lines) -> Viewer {
        let shown = if self.as_json {
            Shown::Json
        } else {
            Shown::Everything
        };
        Viewer::new(lines, shown)
    }

    fn print(&self, line: &str) {
        if self.as_json {
            data(line);
        } else {
            words(line);
        }
    }
}
