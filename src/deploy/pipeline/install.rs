//! The dependencies of a release: as they are stored, or by an install.

use std::sync::Arc;
use std::time::Instant;

use super::{shown, tell_line};
use crate::build::{self, Fresh, Inputs, InstallRequest, Installed, Listing, Toolchain};
use crate::deploy::launch::Startable;
use crate::deploy::room;
use crate::deploy::stage::Stage;
use crate::deploy::tools;
use crate::ids::ReleaseNumber;
use crate::process::blocking;
use crate::process::rig::kill_point;
use crate::push::Verbosity;
use crate::report::{EventKind, Failure, Phase, with_causes};
use crate::store::{Entry, Found, StoreError};
use crate::time::Took;

/// Puts the dependencies into a release that is checked out.
pub(super) async fn dependencies(
    stage: &mut Stage,
    checked_out: &Startable,
    toolchain: &Toolchain,
    listing: Listing,
) -> Result<(), Failure> {
    let (caches, mark) = (stage.paths.caches(), stage.paths.home().to_owned());
    if stage.order.options.no_cache {
        tools::empty_caches(stage).await?;
    }
    let environment = stage.site.environment.clone();
    let request = InstallRequest {
        release: &checked_out.dir,
        caches: &caches,
        mark: &mark,
        verbose: stage.order.options.verbosity == Verbosity::Verbose,
        env: &environment,
        toolchain,
        manager: &checked_out.files.manager,
        omit: &checked_out.files.config.install.omit,
        limit: InstallRequest::LIMIT,
    };
    let inputs = Arc::new(inputs(&request, listing).await);
    let why = match stored(stage, checked_out.release, &inputs).await {
        Ok(entry) => match lay_out(stage, checked_out, entry).await {
            Ok(()) => return Ok(()),
            Err(why) => why,
        },
        Err(why) => why,
    };
    run(stage, checked_out, &request, &inputs, why).await
}

async fn inputs(request: &InstallRequest<'_>, listing: Listing) -> Inputs {
    let (release, around) = (request.release.to_owned(), request.surroundings());
    blocking(move || Inputs::gather(&release, listing, &around)).await
}

/// The stored tree that stands for this install; or why there is none, in words.
async fn stored(
    stage: &Stage,
    release: ReleaseNumber,
    inputs: &Arc<Inputs>,
) -> Result<Box<Entry>, String> {
    if stage.order.options.no_cache {
        return Err("nothing stored is used: `no-cache`".to_owned());
    }
    if stage.site.settings.borrow().store.max_bytes == 0 {
        return Err("the server stores nothing: `store.max_bytes` is 0".to_owned());
    }
    if let Some(why) = inputs.unstorable() {
        return Err(why);
    }
    let (store, asked) = (Arc::clone(&stage.order.store), Arc::clone(inputs));
    let found = blocking(move || store.find(&asked.key(), |about| asked.holds(about))).await;
    match found {
        Ok(Found::Tree(entry)) => Ok(entry),
        Ok(Found::Nothing(nearest)) => Err(match stage.order.store.not_stored(&inputs.key()) {
            Some(why) => format!("the last tree could not be stored: {why}"),
            None => inputs.difference(nearest.as_deref(), release),
        }),
        Err(error) => Err(with_causes(&error)),
    }
}

/// Whatever goes wrong with it, the install can run.
async fn lay_out(
    stage: &mut Stage,
    checked_out: &Startable,
    entry: Box<Entry>,
) -> Result<(), String> {
    let began = Instant::now();
    let (id, about) = (entry.id.clone(), entry.about.clone());
    let (store, release) = (Arc::clone(&stage.order.store), checked_out.dir.clone());
    let laid = blocking(move || {
        let laid = store.lay_out(&entry, &release);
        if matches!(laid, Err(StoreError::Damaged { .. })) {
            store.remove(&entry.id)?;
        }
        laid
    });
    if let Err(error) = laid.await {
        let why = with_causes(&error);
        tracing::warn!(app = %stage.app(), tree = %id, error = why, "stored tree can't be laid out");
        return Err(why);
    }
    kill_point("install.done");
    stage.used_tree(id);
    told(
        stage,
        &Installed {
            packages: about.packages,
            took: began.elapsed(),
            warnings: about.warnings.clone(),
        },
        &format!(", as {} installed them", about.maker(checked_out.release)),
    );
    Ok(())
}

/// `npm ci`, whose tree is stored when the deploy has ended.
async fn run(
    stage: &mut Stage,
    checked_out: &Startable,
    request: &InstallRequest<'_>,
    inputs: &Arc<Inputs>,
    why: String,
) -> Result<(), Failure> {
    stage.tell(EventKind::Began {
        phase: Phase::Install,
        command: Some(format!(
            "{}  ({why})",
            tools::with_names(request.words(), request.toolchain)
        )),
    });
    room::of_stored_trees(stage).await;
    let keep = stage.site.settings.borrow().store.max_bytes > 0;
    let store = keep.then(|| Arc::clone(&stage.order.store));
    let began = Instant::now();
    let mut tell = |line| tell_line(stage, line);
    let install = async {
        let release = checked_out.release;
        let fresh = build::install_to_store(request, release, inputs, store, &mut tell).await;
        fresh.map_err(shown)
    };
    let Fresh {
        mut installed,
        tree,
    } = stage.unless_given_up(install).await?;
    installed.took = began.elapsed();
    kill_point("install.done");
    let note = match tree {
        Ok(pending) => {
            stage.made_tree(pending);
            String::new()
        }
        Err(not) => {
            tracing::info!(app = %stage.app(), why = not, "tree of an install is not stored");
            // What is known before has been told as the reason of this install.
            let is_news = keep && not != why;
            if is_news {
                format!(", not stored: {not}")
            } else {
                String::new()
            }
        }
    };
    told(stage, &installed, &note);
    Ok(())
}

fn told(stage: &Stage, installed: &Installed, note: &str) {
    for text in &installed.warnings {
        stage.tell(EventKind::Warned { text: text.clone() });
    }
    let plural = if installed.packages == 1 { "" } else { "s" };
    stage.tell(EventKind::Done {
        phase: Phase::Install,
        detail: format!("{} package{plural}{note}", installed.packages),
        took_ms: Took(installed.took),
    });
}
