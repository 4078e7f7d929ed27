//! An install whose tree is to be stored: it is watched while it runs, and what it has made is noted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::failure::StepFailure;
use super::inputs::Inputs;
use super::install::{InstallRequest, Installed, install};
use super::step::Lines;
use crate::ids::ReleaseNumber;
use crate::process::blocking;
use crate::process::opened::OpenedFiles;
use crate::report::with_causes;
use crate::store::{About, PackError, Pending, Snapshot, Store, StoreError};
use crate::time;

/// How often it is looked at what has been opened: the kernel keeps only so much.
const NOTE_EVERY: Duration = Duration::from_millis(50);

/// What an install came to.
#[derive(Debug)]
pub struct Fresh {
    /// What was installed.
    pub installed: Installed,
    /// Its tree, to be stored; or why it is not, in words.
    pub tree: Result<Pending, String>,
}

/// Installs, and notes what that has made for the store, if there is one. Only the install can fail.
pub async fn install_to_store(
    request: &InstallRequest<'_>,
    release: ReleaseNumber,
    inputs: &Arc<Inputs>,
    store: Option<Arc<Store>>,
    lines: Lines<'_>,
) -> Result<Fresh, StepFailure> {
    let unstorable = inputs.unstorable();
    let store = match (store, unstorable) {
        (Some(store), None) => store,
        (_, why) => {
            let installed = install(request, lines).await?;
            let tree = Err(why.unwrap_or_else(|| "nothing is to be stored".to_owned()));
            return Ok(Fresh { installed, tree });
        }
    };
    let before = snapshot(request.release).await;
    let mut opened = OpenedFiles::watch(request.release, inputs.directories()).ok();
    let installed = {
        let installing = install(request, lines);
        tokio::pin!(installing);
        loop {
            tokio::select! {
                installed = &mut installing => break installed?,
                () = tokio::time::sleep(NOTE_EVERY) => take_note(&mut opened),
            }
        }
    };
    let opened = opened.and_then(|opened| opened.finish().ok().flatten());
    let about = About {
        made: time::now(),
        release,
        // As what npm starts sees it: so it stands in files.
        directory: request
            .release
            .canonicalize()
            .unwrap_or_else(|_| request.release.to_owned()),
        parts: inputs.parts().clone(),
        reads: BTreeMap::new(),
        modes: BTreeMap::new(),
        packages: installed.packages,
        warnings: installed.warnings.clone(),
        took_ms: u64::try_from(installed.took.as_millis()).unwrap_or(u64::MAX),
    };
    let (left_out, inputs) = (request.left_out(inputs), Arc::clone(inputs));
    let tree = match before {
        Ok(before) => {
            let noted = move || match left_out() {
                Some(why) => Err(why),
                None => note(&store, &inputs, &before, opened, about)
                    .map_err(|error| with_causes(&error)),
            };
            blocking(noted).await
        }
        Err(error) => Err(with_causes(&error)),
    };
    Ok(Fresh { installed, tree })
}

async fn snapshot(release: &Path) -> Result<Snapshot, StoreError> {
    let release = release.to_owned();
    blocking(move || Snapshot::take(&release)).await
}

/// Where not all can be known, everything counts as read.
fn take_note(opened: &mut Option<OpenedFiles>) {
    if opened
        .as_mut()
        .is_some_and(|opened| opened.take_note().is_err())
    {
        *opened = None;
    }
}

fn note(
    store: &Arc<Store>,
    inputs: &Inputs,
    before: &Snapshot,
    opened: Option<BTreeSet<PathBuf>>,
    mut about: About,
) -> Result<Pending, PackError> {
    let release = about.directory.clone();
    let made =
        Snapshot::take(&release)?.made_since(before, |path| inputs.has_content(&release, path))?;
    // Whoever writes a file need not open it.
    let read = opened.map(|mut opened| {
        opened.extend(made.touched.keys().map(PathBuf::from));
        opened
    });
    about.reads = inputs.reads(read.as_ref(), |path| made.is_directory(path));
    about.modes.clone_from(&made.touched);
    let mut pending = store.expect(inputs.key(), made, about)?;
    if store.is_raced() {
        pending.write()?;
    }
    Ok(pending)
}
