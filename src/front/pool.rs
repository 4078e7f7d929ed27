//! Idle connections to apps, kept for the next request; one pool in each thread.
//!
//! All idle connections of an app lead to one generation, the one that was live at the last look. Whoever looks and
//! sees another one closes them at once: the next request, a `published` from `serve`, a connection that comes back,
//! or the tick that runs while anything is idle. What is in use ends its exchange and is then closed, not kept.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::live::LiveGeneration;
use super::routes::Target;
use super::upstream::Upstream;
use crate::ids::AppName;

/// How long a connection stays idle. node closes idle connections after 5 s if nobody told it otherwise (the preload
/// does, but apps may be without it), and a request on its way to a connection that closes is lost: so the front
/// closes first, at the latest one [`TICK`] after this.
const IDLE_MAX: Duration = Duration::from_secs(3);
/// How often idle connections are looked at.
const TICK: Duration = Duration::from_secs(1);
/// The most idle connections per app and thread.
const IDLE_PER_APP: usize = 256;

/// The idle connections of one thread.
#[derive(Debug, Default)]
pub(super) struct Pool {
    apps: RefCell<HashMap<AppName, IdleApp>>,
    ticking: Cell<bool>,
}

#[derive(Debug)]
struct IdleApp {
    target: Arc<Target>,
    generation: LiveGeneration,
    /// The one used last is taken first, so that what is not needed ages and is closed.
    idle: Vec<Idle>,
}

#[derive(Debug)]
struct Idle {
    upstream: Upstream,
    since: Instant,
}

impl Pool {
    /// Takes an idle connection to the generation that is live now, if there is one.
    pub(super) fn take(&self, target: &Target) -> Option<Upstream> {
        let mut apps = self.apps.borrow_mut();
        let app = apps.get_mut(&target.app)?;
        if target.live() != Some(app.generation) {
            apps.remove(&target.app);
            return None;
        }
        while let Some(idle) = app.idle.pop() {
            if idle.is_usable() {
                return Some(idle.upstream);
            }
        }
        None
    }

    /// Keeps a connection that has ended an exchange, if it leads to what is live now.
    pub(super) fn keep(self: &Rc<Self>, upstream: Upstream) {
        let Some(generation) = upstream.generation.filter(|_| upstream.is_live()) else {
            return;
        };
        let mut apps = self.apps.borrow_mut();
        let app = apps
            .entry(upstream.target.app.clone())
            .or_insert_with(|| IdleApp {
                target: Arc::clone(&upstream.target),
                generation,
                idle: Vec::new(),
            });
        if app.generation != generation {
            app.generation = generation;
            app.idle.clear();
        }
        app.target = Arc::clone(&upstream.target);
        if app.idle.len() < IDLE_PER_APP {
            app.idle.push(Idle {
                upstream,
                since: Instant::now(),
            });
        }
        drop(apps);
        self.tick_while_idle();
    }

    /// Closes what is idle to an app and does not lead to what is live now.
    pub(super) fn look_again(&self, app: &AppName) {
        let mut apps = self.apps.borrow_mut();
        if apps.get(app).is_some_and(IdleApp::is_stale) {
            apps.remove(app);
        }
    }

    /// Closes what is old or stale; gives whether anything is left.
    fn sweep(&self) -> bool {
        let mut apps = self.apps.borrow_mut();
        apps.retain(|_, app| {
            app.idle.retain(Idle::is_usable);
            !app.idle.is_empty() && !app.is_stale()
        });
        !apps.is_empty()
    }

    fn tick_while_idle(self: &Rc<Self>) {
        if self.ticking.replace(true) {
            return;
        }
        let pool = Rc::clone(self);
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(TICK).await;
                if !pool.sweep() {
                    pool.ticking.set(false);
                    return;
                }
            }
        });
    }
}

impl IdleApp {
    fn is_stale(&self) -> bool {
        self.target.live() != Some(self.generation)
    }
}

impl Idle {
    fn is_usable(&self) -> bool {
        self.since.elapsed() < IDLE_MAX
            && self.upstream.sender.is_ready()
            && !self.upstream.has_ended()
    }
}
