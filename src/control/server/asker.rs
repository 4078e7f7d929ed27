//! On whose behalf a request is made, and whether that one may make it.
//!
//! The control socket is for the user that `serve` runs as, and for root. What sshd starts for a key runs as that user
//! too, and says on whose behalf in a header; from then on the request may do what the key may, and nothing else.

use std::sync::Arc;

use axum::extract::{ConnectInfo, MatchedPath, RawPathParams, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;

use super::Caller;
use super::action::action;
use super::answer::Refused;
use super::keyring::Keyring;
use crate::access::{Action, Decision, authorise};
use crate::control::KEY_HEADER;
use crate::ids::{AppName, KeyName};
use crate::process::blocking;
use crate::process::socket::effective_uid;
use crate::process::users::user_name;
use crate::state::Key;

/// On whose behalf a request is made.
#[derive(Debug, Clone)]
pub(super) enum Asker {
    /// A user of this machine, by number.
    User(u32),
    /// A key, over ssh.
    Key(Arc<Key>),
}

impl Asker {
    /// Who is said to have done it: the key's name, or the user's.
    pub(super) async fn name(&self) -> Option<String> {
        match self {
            Self::Key(key) => Some(key.name.to_string()),
            Self::User(uid) => {
                let uid = *uid;
                blocking(move || user_name(uid)).await
            }
        }
    }

    /// Whether it may take this action on this app.
    pub(super) fn may(&self, action: Action, app: &AppName) -> bool {
        match self {
            Self::User(_) => true,
            Self::Key(key) => authorise(&key.grant, action, Some(app)) == Decision::Allowed,
        }
    }
}

/// Lets a request through to its handler, or refuses it.
pub(super) async fn admit(
    State(keyring): State<Arc<Keyring>>,
    ConnectInfo(Caller(caller)): ConnectInfo<Caller>,
    route: Option<MatchedPath>,
    params: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refused> {
    // The socket's mode says the same; this holds where somebody has loosened it.
    let peer = caller
        .filter(|peer| peer.uid == effective_uid() || peer.uid == 0)
        .ok_or_else(Refused::stranger)?;
    let asker = match key_of(request.headers(), &keyring).await? {
        None => Asker::User(peer.uid),
        Some(key) => {
            let action = route.and_then(|route| action(request.method().as_str(), route.as_str()));
            check(&key, action, params.ok().as_ref())?;
            Asker::Key(Arc::new(key))
        }
    };
    request.extensions_mut().insert(asker);
    Ok(next.run(request).await)
}

/// The key on whose behalf a request is made. One that is not known (any more) may do nothing.
async fn key_of(headers: &HeaderMap, keyring: &Keyring) -> Result<Option<Key>, Refused> {
    let Some(value) = headers.get(KEY_HEADER) else {
        return Ok(None);
    };
    let name: Option<KeyName> = value.to_str().ok().and_then(|name| name.parse().ok());
    let name = name.ok_or_else(|| Refused::denied("do that: this is not the name of a key"))?;
    keyring.key(name).await.map(Some).map_err(Refused::from)
}

/// An app that the key may not touch and one that does not exist look the same.
fn check(key: &Key, action: Option<Action>, params: Option<&RawPathParams>) -> Result<(), Refused> {
    let named = params.and_then(|params| params.iter().find(|(name, _)| *name == "app"));
    let app: Option<AppName> = named.and_then(|(_, app)| app.parse().ok());
    let name = &key.name;
    let Some(action) = action else {
        return Err(Refused::denied(format!(
            "do that: no key may, and this is `{name}`"
        )));
    };
    match (authorise(&key.grant, action, app.as_ref()), app) {
        (Decision::Allowed, _) => Ok(()),
        (Decision::Denied, Some(app)) => Err(Refused::not_found(format!(
            "find an app `{app}` that the key `{name}` may {}",
            action.words()
        ))),
        (Decision::Denied, None) => Err(Refused::denied(format!(
            "do that: the key `{name}` may not {}",
            action.words()
        ))),
    }
}
