//! The installation that deploys run in: what every worker and every phase shares.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use super::turns::Turns;
use crate::build::{Remover, Toolbox};
use crate::config::ServerSettings;
use crate::ids::{AppName, GenerationNumber, HostName};
use crate::paths::Layout;
use crate::process::reserve::Reserve;
use crate::state::Database;
use crate::webhook::Outbox;

/// How the front finds an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRoute {
    /// The socket that always leads to the app.
    pub socket: PathBuf,
    /// Its host names.
    pub hosts: Vec<HostName>,
    /// The generation that serves; none while nothing is deployed.
    pub live: Option<GenerationNumber>,
}

/// What is the same for all apps.
#[derive(Debug)]
pub struct Site {
    /// Where everything lies.
    pub layout: Layout,
    /// What is remembered.
    pub database: Database,
    /// Room that is kept back for the way back on a full disk.
    pub reserve: Arc<Reserve>,
    /// This very binary, which is also `keep`.
    pub executable: PathBuf,
    /// What the environment of every program begins with.
    pub environment: BTreeMap<String, String>,
    /// The server's settings, as they are now.
    pub settings: watch::Receiver<Arc<ServerSettings>>,
    /// Where the front listens; empty where there is none.
    pub listen: watch::Receiver<Vec<SocketAddr>>,
    /// How the front finds each app; workers keep their own entry true.
    pub routes: watch::Sender<BTreeMap<AppName, AppRoute>>,
    /// What waits to be told to webhooks.
    pub outbox: Outbox,
    /// The nodes and package managers of this server.
    pub toolbox: Toolbox,
    /// How many deploys may check out, install and build at once.
    pub builds: Arc<Turns>,
    /// Who makes a tree ready in the background holds it: one at a time, so that no others lack threads.
    pub making_ready: Semaphore,
    /// What nobody needs any more goes in the background.
    pub remover: Arc<Remover>,
}

impl Site {
    /// Where programs are looked for.
    pub fn path(&self) -> String {
        self.environment.get("PATH").cloned().unwrap_or_default()
    }

    /// Where an app with these host names is reached: what the settings say, else where the front serves it.
    pub fn urls(&self, hosts: &[HostName]) -> Vec<String> {
        let settings = self.settings.borrow();
        let public: Option<Vec<String>> = hosts.iter().map(|host| settings.url(host)).collect();
        match public {
            Some(public) if !public.is_empty() => public,
            _ => urls(hosts, &self.listen.borrow()),
        }
    }
}

/// Each host name with the port of the first listener (none for 80), or the listeners' own addresses.
fn urls(hosts: &[HostName], listen: &[SocketAddr]) -> Vec<String> {
    let port = match listen.first().map(SocketAddr::port) {
        None | Some(80) => String::new(),
        Some(port) => format!(":{port}"),
    };
    if hosts.is_empty() {
        return listen
            .iter()
            .map(|address| format!("http://{}", reachable(*address)))
            .collect();
    }
    hosts
        .iter()
        .map(|host| format!("http://{host}{port}"))
        .collect()
}

/// An address that a person on this machine can open: a listener on all addresses is shown as loopback.
fn reachable(address: SocketAddr) -> String {
    let shown = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            SocketAddr::from(([127, 0, 0, 1], v4.port()))
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v6.port()))
        }
        other => other,
    };
    if shown.port() == 80 {
        shown.ip().to_string()
    } else {
        shown.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_hosts_where_there_are_some_and_ports_where_they_matter() {
        let host: HostName = "shop.example.com".parse().unwrap();
        let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
        assert_eq!(
            urls(std::slice::from_ref(&host), &[any(80)]),
            ["http://shop.example.com"]
        );
        assert_eq!(
            urls(std::slice::from_ref(&host), &[any(8080)]),
            ["http://shop.example.com:8080"]
        );
        assert_eq!(urls(&[], &[any(8080)]), ["http://127.0.0.1:8080"]);
        assert_eq!(urls(&[host], &[]), ["http://shop.example.com"]);
        assert!(urls(&[], &[]).is_empty());
    }
}
