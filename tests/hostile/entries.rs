//! Entries of trees: their modes, and two of one name.

use crate::case::{Case, Expect};
use crate::support::pack::{Entry, Id, Pack, entry, in_gits_order};
use crate::trees::{DIR, FILE, Judge, LINK, more};

use Expect::{Live, Refused};

/// What git does not write: FIFOs, devices, sockets, and bits that run as somebody else.
pub fn modes(judge: Judge) -> Vec<Case> {
    let odd = |mode: &'static str, gits: &'static str, ours: &'static str| {
        more(
            format!("the mode {mode}"),
            judge.refuses(gits, ours),
            move |_, pack| vec![entry(mode, "odd", pack.blob("x"))],
        )
    };
    // What git finds fault with, and what it lets pass with a warning.
    let padded = ["010644", "0", "00"]
        .map(|mode| odd(mode, "zeroPadded", "has the mode|was not written by git"));
    let unreadable =
        ["100648", "-100644", "x", ""].map(|mode| odd(mode, "malformed mode", "malformed mode"));
    let strange = [
        "10644",
        "20644",
        "60000",
        "140000",
        "100664",
        "100777",
        "104755",
        "102755",
        "101777",
        "107777",
        "777777",
        "37777777777",
        "777777777777777777777777",
    ]
    .map(|mode| {
        odd(
            mode,
            "has the mode|was not written by git",
            "has the mode|was not written by git",
        )
    });
    let mut cases = [
        &mut padded.into_iter() as &mut dyn Iterator<Item = Case>,
        &mut unreadable.into_iter(),
        &mut strange.into_iter(),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>();
    // Nought before a mode that is right: read as a number, it is that mode.
    for mode in ["0100644", "00100644"] {
        let expect = if judge == Judge::Git {
            Refused("zeroPadded")
        } else {
            Live
        };
        cases.push(more(format!("the mode {mode}"), expect, move |_, pack| {
            vec![entry(mode, "odd", pack.blob("x"))]
        }));
    }
    cases.push(more("a submodule", Refused("submodule"), |ground, _| {
        vec![entry("160000", "lib", ground.live)]
    }));
    cases.push(more(
        "a submodule that nobody has",
        Refused("submodule"),
        |_, _| vec![entry("160000", "lib", Id::NOBODYS)],
    ));
    cases.push(more(
        "a submodule with a command as address",
        Refused("submodule"),
        |ground, pack| {
            let text = format!(
                "[submodule \"lib\"]\n\tpath = lib\n\turl = \"ext::sh -c touch% {}\"\n",
                ground.bait()
            );
            let modules = pack.blob(text);
            vec![
                entry(FILE, ".gitmodules", modules),
                entry("160000", "lib", Id::NOBODYS),
            ]
        },
    ));
    cases.push(more(
        "a directory that counts as 40755",
        Refused("has the mode|was not written by git"),
        |_, pack| {
            let tree = pack.tree(&[]);
            vec![entry("40755", "d", tree)]
        },
    ));
    let padded = if judge == Judge::Git {
        Refused("zeroPadded")
    } else {
        Live
    };
    cases.push(more("a directory with a padded mode", padded, |_, pack| {
        let tree = pack.tree(&[]);
        vec![entry("040000", "d", tree)]
    }));
    cases
}

/// One name for two things.
pub fn twice(judge: Judge) -> Vec<Case> {
    let pair = |name: &str, make: fn(&mut Pack) -> [Entry; 2]| {
        more(name, judge.refuses("duplicate", "twice"), move |_, pack| {
            make(pack).to_vec()
        })
    };
    vec![
        pair("a file twice", |pack| {
            let (one, two) = (pack.blob("one"), pack.blob("two"));
            [entry(FILE, "a", one), entry(FILE, "a", two)]
        }),
        pair("a symlink and a directory of one name", |pack| {
            let link = pack.blob("/tmp");
            let file = pack.blob("evil");
            let inside = pack.tree(&[entry(FILE, "evil", file)]);
            [entry(LINK, "a", link), entry(DIR, "a", inside)]
        }),
        pair("a harmless symlink and a directory of one name", |pack| {
            let link = pack.blob("b");
            let file = pack.blob("evil");
            let inside = pack.tree(&[entry(FILE, "evil", file)]);
            [entry(LINK, "a", link), entry(DIR, "a", inside)]
        }),
        pair("a file and a directory of one name", |pack| {
            let file = pack.blob("x");
            let inside = pack.tree(&[]);
            [entry(FILE, "a", file), entry(DIR, "a", inside)]
        }),
        Case::new(
            "a file twice, far apart",
            judge.refuses("not properly sorted", "twice"),
            |ground| {
                let mut pack = Pack::new();
                let file = pack.blob("x");
                let mut entries = ground.entries.clone();
                entries.insert(0, entry(FILE, "server.js", file));
                let tree = pack.tree(&entries);
                ground.push_tree(pack, tree)
            },
        ),
        Case::new(
            "entries in no order",
            judge.refuses("not properly sorted", "outside of the repository"),
            |ground| {
                let mut pack = Pack::new();
                let file = pack.blob("x");
                let mut entries = in_gits_order(ground.entries.clone());
                entries.reverse();
                entries.push(entry(LINK, "0", pack.blob("/etc/passwd")));
                entries.push(entry(FILE, "a", file));
                let tree = pack.tree(&entries);
                ground.push_tree(pack, tree)
            },
        ),
    ]
}
