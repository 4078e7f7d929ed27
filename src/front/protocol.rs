//! What is said on the front's control socket: one JSON object a line, one reply to each request, in order.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ids::{AppName, HostName};
use crate::process::identity::Identity;

/// What `serve` (or an operator) asks of the front.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Replaces the whole routing table. The front accepts no connection before it has got the first.
    Routes {
        /// Every app that there is.
        routes: Vec<Route>,
    },
    /// A hint that an app's `live.sock` leads somewhere else now: idle connections to what was live before are closed
    /// before the reply. Without it the same happens at the next request, or within a second.
    Published {
        /// Whose.
        app: AppName,
    },
    /// Asks who the front is and how much it has open.
    Status,
    /// Asks for the listening sockets; their descriptors come with the reply.
    Listeners,
    /// Stops accepting, finishes what is in flight, and exits.
    Drain {
        /// How long WebSockets and slow answers may take, in milliseconds, before they are cut.
        limit_ms: u64,
    },
}

/// Where requests for an app go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The app.
    pub app: AppName,
    /// Its `live.sock`.
    pub socket: PathBuf,
    /// The host names that lead to it. An app that is the only one takes every host.
    #[serde(default)]
    pub hosts: Vec<HostName>,
    /// Whether anything was ever published.
    pub state: RouteState,
}

/// Whether an app has something that could answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteState {
    /// A generation is live: a socket that does not answer is waited for.
    Live,
    /// Nothing is deployed: a missing socket is an answer.
    Empty,
}

/// The front's answer to one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// What was asked has been done.
    Done,
    /// The answer to [`Request::Status`].
    Status(FrontStatus),
    /// The answer to [`Request::Listeners`]; so many descriptors come with it.
    Listeners {
        /// How many.
        count: usize,
    },
    /// The request was not understood.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Who the front is and how much it has open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrontStatus {
    /// The process.
    pub identity: Identity,
    /// Where it listens.
    pub listeners: Vec<SocketAddr>,
    /// Whether it has routes and accepts.
    pub state: FrontState,
    /// Open connections from clients, WebSockets included.
    pub client_connections: usize,
    /// Requests that have not got the whole of their answer, WebSockets included.
    pub in_flight: usize,
    /// Open connections to apps.
    pub upstream: Vec<UpstreamStatus>,
}

/// What the front is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrontState {
    /// It has no routes yet: connections wait in the listeners' queues.
    Waiting,
    /// It accepts and answers.
    Serving,
    /// It accepts no more and ends when what is in flight has ended.
    Draining,
}

/// Open connections to one app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpstreamStatus {
    /// The app.
    pub app: AppName,
    /// Connections, idle ones included.
    pub connections: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_on_the_wire_are_these() {
        let cases = [
            (
                r#"{"request":"published","app":"shop"}"#,
                Request::Published {
                    app: "shop".parse().unwrap(),
                },
            ),
            (r#"{"request":"status"}"#, Request::Status),
            (
                r#"{"request":"drain","limit_ms":500}"#,
                Request::Drain { limit_ms: 500 },
            ),
            (
                r#"{"request":"routes","routes":[{"app":"shop","socket":"/run/s","hosts":["a.b"],"state":"live"}]}"#,
                Request::Routes {
                    routes: vec![Route {
                        app: "shop".parse().unwrap(),
                        socket: "/run/s".into(),
                        hosts: vec!["a.b".parse().unwrap()],
                        state: RouteState::Live,
                    }],
                },
            ),
        ];
        for (line, request) in cases {
            assert_eq!(serde_json::from_str::<Request>(line).unwrap(), request);
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
        }
    }
}
