//! Which app a host name leads to. Pure: the table is built from what `serve` said and then only read.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::gauge::{Gauge, Gauges};
use super::live::LiveGeneration;
use super::protocol::{Route, RouteState};
use crate::ids::AppName;

/// One app as the request path sees it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) app: AppName,
    /// Its `live.sock`.
    pub(super) socket: PathBuf,
    pub(super) state: RouteState,
    /// Counts the open connections to the app.
    pub(super) connections: Arc<Gauge>,
}

impl Target {
    /// What is live now; `None` where there is no socket.
    pub(super) fn live(&self) -> Option<LiveGeneration> {
        LiveGeneration::look(&self.socket).ok()
    }
}

/// Where a request goes.
#[derive(Debug)]
pub(super) enum Choice<'a> {
    /// To this app.
    To(&'a Arc<Target>),
    /// There are apps, but none has this host name.
    UnknownHost,
    /// There is no app at all.
    NoApps,
}

/// The routing table.
#[derive(Debug, Default)]
pub(super) struct RouteTable {
    targets: Vec<Arc<Target>>,
    by_host: HashMap<String, Arc<Target>>,
}

impl RouteTable {
    /// Builds the table. Of two apps with the same host the first has it: `serve` lets no second one claim it.
    pub(super) fn new(routes: Vec<Route>, gauges: &Gauges) -> Self {
        let mut table = Self::default();
        for route in routes {
            let target = Arc::new(Target {
                connections: gauges.upstream(&route.app),
                app: route.app,
                socket: route.socket,
                state: route.state,
            });
            for host in route.hosts {
                let host = String::from(host);
                table
                    .by_host
                    .entry(host)
                    .or_insert_with(|| Arc::clone(&target));
            }
            table.targets.push(target);
        }
        table
    }

    /// Chooses by host name (lower-case, without port). One app alone takes everything, so that a new server works by
    /// its address before any name leads to it.
    pub(super) fn choose(&self, host: &str) -> Choice<'_> {
        match (self.targets.as_slice(), self.by_host.get(host)) {
            ([], _) => Choice::NoApps,
            ([only], _) | (_, Some(only)) => Choice::To(only),
            _ => Choice::UnknownHost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(apps: &[(&str, &[&str])]) -> RouteTable {
        let route = |(app, hosts): &(&str, &[&str])| Route {
            app: app.parse().unwrap(),
            socket: format!("/run/{app}/live.sock").into(),
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            state: RouteState::Live,
        };
        RouteTable::new(apps.iter().map(route).collect(), &Gauges::default())
    }

    fn chosen(table: &RouteTable, host: &str) -> String {
        match table.choose(host) {
            Choice::To(target) => target.app.to_string(),
            Choice::UnknownHost => "unknown host".to_owned(),
            Choice::NoApps => "no apps".to_owned(),
        }
    }

    #[test]
    fn each_host_leads_to_its_app_and_others_nowhere() {
        let table = table(&[("shop", &["shop.test", "www.shop.test"]), ("blog", &[])]);
        assert_eq!(chosen(&table, "www.shop.test"), "shop");
        assert_eq!(chosen(&table, "blog.test"), "unknown host");
        assert_eq!(chosen(&table, "x.shop.test"), "unknown host");
        assert_eq!(chosen(&table, ""), "unknown host");
    }

    #[test]
    fn one_app_alone_takes_everything() {
        let table = table(&[("shop", &["shop.test"])]);
        assert_eq!(chosen(&table, "203.0.113.9"), "shop");
        assert_eq!(chosen(&table, ""), "shop");
    }

    #[test]
    fn the_first_of_two_apps_keeps_a_host_that_both_claim() {
        let table = table(&[("shop", &["a.test"]), ("blog", &["a.test"])]);
        assert_eq!(chosen(&table, "a.test"), "shop");
    }

    #[test]
    fn without_apps_there_is_nothing_to_choose() {
        assert_eq!(chosen(&table(&[]), "a.test"), "no apps");
    }
}
