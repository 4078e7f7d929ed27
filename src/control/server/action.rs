//! Which action a request is, for those who are not granted everything.

use crate::access::Action;

/// The action behind a method and a route. What has none here is denied to every key.
pub(super) fn action(method: &str, route: &str) -> Option<Action> {
    Some(match (method, route) {
        ("POST", "/v1/greeting") => Action::Greet,
        ("GET", "/v1/apps") => Action::ListApps,
        ("POST", "/v1/apps") => Action::CreateApp,
        ("GET", "/v1/apps/{app}") => Action::See,
        ("DELETE", "/v1/apps/{app}") => Action::DestroyApp,
        ("GET", "/v1/apps/{app}/settings") | ("PATCH", "/v1/apps/{app}") => Action::Settings,
        ("POST", "/v1/apps/{app}/scale") => Action::Scale,
        ("GET", "/v1/apps/{app}/domains") => Action::Domains,
        ("POST" | "DELETE", "/v1/apps/{app}/domains") => Action::ChangeDomains,
        ("GET", "/v1/apps/{app}/nginx") => Action::Nginx,
        ("GET", "/v1/apps/{app}/releases") => Action::Releases,
        ("GET", "/v1/apps/{app}/repository/push") | ("POST", "/v1/apps/{app}/push") => Action::Push,
        ("GET", "/v1/apps/{app}/repository/fetch") => Action::Fetch,
        ("POST", "/v1/apps/{app}/deploys") => Action::Deploy,
        ("POST", "/v1/apps/{app}/restart") => Action::Restart,
        ("POST", "/v1/apps/{app}/cancel") => Action::Cancel,
        ("POST", "/v1/apps/{app}/rollback") => Action::RollBack,
        ("GET", "/v1/apps/{app}/follow") => Action::Follow,
        ("GET", "/v1/apps/{app}/deploys/{number}/events" | "/v1/apps/{app}/logs") => Action::Logs,
        ("DELETE", "/v1/hooks") => Action::ChangeHooks,
        ("GET" | "POST", "/v1/keys")
        | ("GET" | "DELETE", "/v1/keys/{key}")
        | ("GET", "/v1/authorized-keys") => Action::Keys,
        ("GET", "/v1/server") => Action::SeeServer,
        _ => return None,
    })
}
