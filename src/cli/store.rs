//! Verbs about what installs have made.

use hyper::Method;

use super::args::{OneApp, PruneTrees, StoreVerb};
use super::exit::Exit;
use super::say::{Failed, data, json, words};
use super::table::table;
use crate::control::Client;
use crate::control::types::{PruneStore, PrunedStore, StoreList, StoredTree, VerifiedTree};
use crate::report::size_text;

pub(super) async fn ask(client: &Client, verb: StoreVerb) -> Result<Exit, Failed> {
    let path = |which: &OneApp, verb: &str| format!("/v1/apps/{}/store{verb}", which.app);
    match verb {
        StoreVerb::List(which) => {
            let list: StoreList = client.get(&path(&which, "")).await?;
            list_shown(&list, which.json);
            Ok(Exit::Done)
        }
        StoreVerb::Prune(PruneTrees { which, all }) => {
            let path = path(&which, "/prune");
            let pruned: PrunedStore = client
                .call(Method::POST, &path, &PruneStore { all })
                .await?;
            pruned_shown(&pruned, which.json);
            Ok(Exit::Done)
        }
        StoreVerb::Verify(which) => {
            let path = path(&which, "/verify");
            let verified: Vec<VerifiedTree> = client.call(Method::POST, &path, &()).await?;
            Ok(verified_shown(&verified, which.json))
        }
    }
}

fn pruned_shown(pruned: &PrunedStore, as_json: bool) {
    if as_json {
        json(pruned);
        return;
    }
    let plural = if pruned.trees == 1 { "" } else { "s" };
    let size = size_text(pruned.bytes);
    words(&format!("removed {} tree{plural}, {size}", pruned.trees));
}

fn list_shown(list: &StoreList, as_json: bool) {
    if as_json {
        json(list);
        return;
    }
    let heading = ["TREE", "", "RELEASE", "PACKAGES", "FILES", "SIZE", "USED"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(list.trees.iter().map(row));
    data(&table(&rows));
}

fn row(tree: &StoredTree) -> Vec<String> {
    let short = tree.tree.get(..12).unwrap_or(&tree.tree);
    let or_damaged = |known: Option<String>| known.unwrap_or_else(|| "damaged".to_owned());
    vec![
        short.to_owned(),
        if tree.ready {
            "ready".to_owned()
        } else {
            String::new()
        },
        or_damaged(tree.release.map(|release| release.to_string())),
        or_damaged(tree.packages.map(|count| count.to_string())),
        tree.items.to_string(),
        size_text(tree.bytes),
        tree.used_at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    ]
}

/// Fails where something was wrong, though it is mended: whoever asks regularly wants to know.
fn verified_shown(verified: &[VerifiedTree], as_json: bool) -> Exit {
    let wrong = verified.iter().filter_map(|tree| tree.removed.as_ref());
    let wrong: Vec<_> = wrong.collect();
    if as_json {
        json(&verified);
    } else {
        for why in &wrong {
            words(&format!("removed: {why}"));
        }
        let right = verified.len() - wrong.len();
        let plural = if right == 1 { " is" } else { "s are" };
        words(&format!(
            "{right} tree{plural} what was stored, to the byte"
        ));
    }
    if wrong.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    }
}
