//! The one function that decides whether a key may do something.

use super::grant::{Grant, Level};
use crate::ids::AppName;

/// Each thing that can be done in the name of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Be greeted, and told what the key may do.
    Greet,
    /// List the apps. What is listed is only what the key may see.
    ListApps,
    /// See how an app is.
    See,
    /// See its releases.
    Releases,
    /// Read its logs, and the records of its deploys.
    Logs,
    /// Watch its deploy.
    Follow,
    /// See its host names.
    Domains,
    /// See how nginx is set up for it.
    Nginx,
    /// Read its repository (`git fetch`, `git clone`).
    Fetch,
    /// Push to its repository.
    Push,
    /// Deploy a commit that it has.
    Deploy,
    /// Start it afresh.
    Restart,
    /// Give up the deploy that runs.
    Cancel,
    /// Go back to a release.
    RollBack,
    /// Change how many instances it has.
    Scale,
    /// Change its host names. Names are common ground: who takes one keeps it from all other apps, and learns whose it is.
    ChangeDomains,
    /// Create an app.
    CreateApp,
    /// Stop an app and delete all of it.
    DestroyApp,
    /// See and change its settings: the gate, whether force is allowed, the webhook and its secret.
    Settings,
    /// Take the hooks out of a repository.
    ChangeHooks,
    /// See and change the keys.
    Keys,
    /// See the server itself.
    SeeServer,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 22] = [
        Self::Greet,
        Self::ListApps,
        Self::See,
        Self::Releases,
        Self::Logs,
        Self::Follow,
        Self::Domains,
        Self::Nginx,
        Self::Fetch,
        Self::Push,
        Self::Deploy,
        Self::Restart,
        Self::Cancel,
        Self::RollBack,
        Self::Scale,
        Self::ChangeDomains,
        Self::CreateApp,
        Self::DestroyApp,
        Self::Settings,
        Self::ChangeHooks,
        Self::Keys,
        Self::SeeServer,
    ];

    /// What is wanted of an app, in words that come after "may": `push to`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Greet => "be greeted",
            Self::ListApps => "list",
            Self::See | Self::Releases | Self::Domains | Self::Nginx => "see",
            Self::Logs => "read the logs of",
            Self::Follow => "follow",
            Self::Fetch => "read",
            Self::Push => "push to",
            Self::Deploy => "deploy",
            Self::Restart => "restart",
            Self::Cancel => "cancel",
            Self::RollBack => "roll back",
            Self::Scale => "scale",
            Self::ChangeDomains => "change the host names of",
            Self::CreateApp => "create",
            Self::DestroyApp => "destroy",
            Self::Settings => "see or change the settings of",
            Self::ChangeHooks => "change the hooks of",
            Self::Keys => "see or change keys",
            Self::SeeServer => "see the server",
        }
    }

    fn needs(self) -> Need {
        match self {
            Self::Greet | Self::ListApps => Need::AnyKey,
            Self::See
            | Self::Releases
            | Self::Logs
            | Self::Follow
            | Self::Domains
            | Self::Nginx
            | Self::Fetch => Need::App(Level::Read),
            Self::Push
            | Self::Deploy
            | Self::Restart
            | Self::Cancel
            | Self::RollBack
            | Self::Scale => Need::App(Level::Push),
            Self::ChangeDomains
            | Self::CreateApp
            | Self::DestroyApp
            | Self::Settings
            | Self::ChangeHooks
            | Self::Keys
            | Self::SeeServer => Need::Admin,
        }
    }
}

/// What an action needs of whoever takes it.
enum Need {
    AnyKey,
    App(Level),
    Admin,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// It may be done.
    Allowed,
    /// It may not.
    Denied,
}

/// Decides whether a key that is granted this may take this action, on this app where the action is about one.
/// Whatever is not granted is denied.
pub fn authorise(grant: &Grant, action: Action, app: Option<&AppName>) -> Decision {
    let allowed = match (action.needs(), app) {
        (Need::AnyKey, _) => true,
        (Need::App(least), Some(app)) => grant.level(app).is_some_and(|level| level >= least),
        (Need::App(_), None) => false,
        (Need::Admin, _) => *grant == Grant::Admin,
    };
    if allowed {
        Decision::Allowed
    } else {
        Decision::Denied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(app: &str, level: Level) -> Grant {
        Grant::Apps([(app.parse().unwrap(), level)].into())
    }

    fn allowed(grant: &Grant) -> Vec<Action> {
        let shop: AppName = "shop".parse().unwrap();
        let may = |action: &Action| authorise(grant, *action, Some(&shop)) == Decision::Allowed;
        Action::ALL.into_iter().filter(may).collect()
    }

    #[test]
    fn a_key_of_another_app_may_do_nothing_to_this_one() {
        assert_eq!(
            allowed(&grants("blog", Level::Push)),
            [Action::Greet, Action::ListApps]
        );
        assert_eq!(
            allowed(&Grant::Apps([].into())),
            [Action::Greet, Action::ListApps]
        );
    }

    #[test]
    fn reading_changes_nothing() {
        let changing = [
            Action::Push,
            Action::Deploy,
            Action::Restart,
            Action::Cancel,
            Action::RollBack,
            Action::Scale,
            Action::ChangeDomains,
            Action::DestroyApp,
        ];
        let may = allowed(&grants("shop", Level::Read));
        assert!(may.contains(&Action::Fetch) && may.contains(&Action::Logs));
        assert!(changing.iter().all(|action| !may.contains(action)));
    }

    #[test]
    fn pushing_is_reading_and_running_but_nothing_of_the_server() {
        let may = allowed(&grants("shop", Level::Push));
        let read = allowed(&grants("shop", Level::Read));
        assert!(read.iter().all(|action| may.contains(action)));
        assert!(may.contains(&Action::Push) && may.contains(&Action::RollBack));
        for kept in [
            Action::ChangeDomains,
            Action::CreateApp,
            Action::DestroyApp,
            Action::Keys,
        ] {
            assert!(!may.contains(&kept), "{kept:?}");
        }
    }

    #[test]
    fn an_admin_may_do_everything() {
        assert_eq!(allowed(&Grant::Admin), Action::ALL);
    }

    #[test]
    fn what_is_about_an_app_is_denied_where_none_is_named() {
        for grant in [Grant::Admin, grants("shop", Level::Push)] {
            assert_eq!(authorise(&grant, Action::Push, None), Decision::Denied);
        }
    }
}
