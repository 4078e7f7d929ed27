//! Commits, tags, and what is pushed in their place.

use crate::case::{Case, Expect};
use crate::ground::{Ground, commit_bytes};
use crate::support::pack::{COMMIT, Id, Pack, TAG, entry};
use crate::support::raw_push::{Request, command};

use Expect::{Live, Refused, Stored};

pub fn cases() -> Vec<Case> {
    let mut cases = no_commits();
    cases.extend(missing());
    cases.extend(strange_commits());
    cases.extend(strange_words());
    cases
}

/// A push of something to the deploy branch.
fn to_main(name: &str, expect: Expect, make: impl Fn(&Ground, &mut Pack) -> Id + 'static) -> Case {
    Case::new(name, expect, move |ground| {
        let mut pack = Pack::new();
        let id = make(ground, &mut pack);
        ground.push_commit(pack, id)
    })
}

/// Branches are for commits.
fn no_commits() -> Vec<Case> {
    let tag_of = |target: Id, kind: &str| {
        let text = format!(
            "object {target}\ntype {kind}\ntag v1\ntagger M <m@example.com> 1 +0000\n\nx\n"
        );
        text.into_bytes()
    };
    vec![
        to_main(
            "a file as deploy branch",
            Refused("is not a commit|non-commit"),
            |_, pack| pack.blob("x"),
        ),
        to_main(
            "a tree as deploy branch",
            Refused("is not a commit|non-commit"),
            |ground, pack| ground.tree_with(pack, &[]),
        ),
        to_main(
            "a tag as deploy branch",
            Refused("is not a commit|non-commit"),
            move |ground, pack| pack.object(TAG, &tag_of(ground.live, "commit")),
        ),
        to_main(
            "a file that is there as deploy branch",
            Refused("is not a commit|non-commit"),
            |ground, _| ground.entries[0].id,
        ),
        to_main(
            "a tag of a file that says it is a commit",
            Refused("unexpected type"),
            move |ground, pack| pack.object(TAG, &tag_of(ground.entries[0].id, "commit")),
        ),
        Case::new(
            "a file as another branch",
            Refused("is not a commit|non-commit"),
            |_| {
                let mut pack = Pack::new();
                let file = pack.blob("x");
                Request::of(vec![command(Id::NULL, file, "refs/heads/file")]).pack(pack.finish())
            },
        ),
        Case::new("a file as a tag", Stored, |_| {
            let mut pack = Pack::new();
            let file = pack.blob("x");
            Request::of(vec![command(Id::NULL, file, "refs/tags/file")]).pack(pack.finish())
        }),
    ]
}

/// What the pack does not bring, and the repository has not.
fn missing() -> Vec<Case> {
    vec![
        to_main("a commit that nobody has", Refused("bad object"), |_, _| {
            Id::NOBODYS
        }),
        to_main(
            "a commit whose tree nobody has",
            Refused("unexpected type"),
            |ground, pack| ground.commit(pack, Id::NOBODYS),
        ),
        to_main(
            "a commit whose parent nobody has",
            Refused("unexpected type"),
            |ground, pack| {
                let tree = ground.tree_with(pack, &[]);
                pack.object(
                    COMMIT,
                    &commit_bytes(tree, &[ground.live, Id::NOBODYS], b"x"),
                )
            },
        ),
        to_main(
            "a commit whose tree is a file",
            Refused("unexpected type"),
            |ground, pack| ground.commit(pack, ground.entries[0].id),
        ),
        to_main(
            "a commit whose tree is a commit",
            Refused("is a tree, not a commit"),
            |ground, pack| ground.commit(pack, ground.live),
        ),
        to_main(
            "a commit whose parent is a file",
            Refused("is a commit, not a blob"),
            |ground, pack| {
                let tree = ground.tree_with(pack, &[]);
                pack.object(
                    COMMIT,
                    &commit_bytes(tree, &[ground.live, ground.entries[0].id], b"x"),
                )
            },
        ),
        to_main(
            "a tree with a file that nobody has",
            Refused("unexpected type"),
            |ground, pack| {
                let tree = ground.tree_with(pack, &[entry("100644", "gone", Id::NOBODYS)]);
                ground.commit(pack, tree)
            },
        ),
        to_main(
            "a tree with a directory that nobody has",
            Refused("unexpected type"),
            |ground, pack| {
                let tree = ground.tree_with(pack, &[entry("40000", "gone", Id::NOBODYS)]);
                ground.commit(pack, tree)
            },
        ),
        to_main(
            "a tree with a file as directory",
            Refused("is a blob, not a tree"),
            |ground, pack| {
                let tree = ground.tree_with(pack, &[entry("40000", "odd", ground.entries[0].id)]);
                ground.commit(pack, tree)
            },
        ),
        to_main(
            "a tree with a directory as file",
            Refused("is a tree, not a blob"),
            |ground, pack| {
                let inner = ground.tree_with(pack, &[]);
                let tree = ground.tree_with(pack, &[entry("100644", "odd", inner)]);
                ground.commit(pack, tree)
            },
        ),
        to_main(
            "a tree with a commit as file",
            Refused("is a commit, not a blob"),
            |ground, pack| {
                let tree = ground.tree_with(pack, &[entry("100644", "odd", ground.live)]);
                ground.commit(pack, tree)
            },
        ),
    ]
}

/// Commits that git did not write.
fn strange_commits() -> Vec<Case> {
    let raw = |name: &str, expect: Expect, text: &'static str| {
        to_main(name, expect, move |ground, pack| {
            let tree = ground.tree_with(pack, &[]).to_string();
            let text = text
                .replace("TREE", &tree)
                .replace("LIVE", &ground.live.to_string());
            pack.object(COMMIT, text.as_bytes())
        })
    };
    vec![
        raw(
            "a commit without an author",
            Refused("missingAuthor"),
            "tree TREE\nparent LIVE\n\nx\n",
        ),
        raw(
            "a commit with two trees",
            Refused("missingAuthor"),
            "tree TREE\ntree TREE\nparent LIVE\nauthor M <m@x> 1 +0000\ncommitter M <m@x> 1 +0000\n\nx\n",
        ),
        raw(
            "a commit with a date beyond all time",
            Refused("badDateOverflow"),
            "tree TREE\nparent LIVE\nauthor M <m@x> 99999999999999999999 +0000\ncommitter M <m@x> 99999999999999999999 +0000\n\nx\n",
        ),
        raw(
            "a commit with a date before all time",
            Refused("badDate"),
            "tree TREE\nparent LIVE\nauthor M <m@x> -1 +0000\ncommitter M <m@x> -1 +0000\n\nx\n",
        ),
        raw(
            "a commit in a zone that is none",
            Refused("badTimezone"),
            "tree TREE\nparent LIVE\nauthor M <m@x> 1 +$(id)\ncommitter M <m@x> 1 +9999999\n\nx\n",
        ),
        raw(
            "a commit with an author that is none",
            Refused("missingEmail"),
            "tree TREE\nparent LIVE\nauthor $(id) 1 +0000\ncommitter `id`\n\nx\n",
        ),
        raw(
            "a commit with a NUL in its head",
            Refused("nulInHeader"),
            "tree TREE\nparent LIVE\nauthor M\0 <m@x> 1 +0000\ncommitter M <m@x> 1 +0000\n\nx\n",
        ),
        raw(
            "a commit whose date is the last of all",
            Live,
            "tree TREE\nparent LIVE\nauthor M <m@x> 4102444800 +0000\ncommitter M <m@x> 4102444800 -1200\n\nthe last\n",
        ),
        raw(
            "a commit without a word",
            Live,
            "tree TREE\nparent LIVE\nauthor M <m@x> 1 +0000\ncommitter M <m@x> 1 +0000\n\n",
        ),
        to_main("a commit with 10,000 parents", Live, |ground, pack| {
            let tree = ground.tree_with(pack, &[]);
            pack.object(
                COMMIT,
                &commit_bytes(tree, &vec![ground.live; 10_000], b"many"),
            )
        }),
        to_main(
            "a history that does not begin with what is live",
            Refused("not a fast-forward"),
            |ground, pack| {
                let tree = ground.tree_with(pack, &[]);
                pack.object(COMMIT, &commit_bytes(tree, &[], b"another beginning"))
            },
        ),
    ]
}

/// Commits with words that must not be taken for anything else. They are deployed, and their words told harmlessly.
fn strange_words() -> Vec<Case> {
    let saying = |name: &str, message: &'static [u8]| {
        to_main(name, Live, move |ground, pack| {
            let tree = ground.tree_with(pack, &[]);
            pack.object(COMMIT, &commit_bytes(tree, &[ground.live], message))
        })
    };
    vec![
        saying(
            "a subject with escapes",
            b"\x1b[31mred\x1b[0m \x1b]0;title\x07 \x08\x08\x7f\xc2\x9b31m",
        ),
        saying("a subject that is no text", b"\xff\xfe\xc0\xae\x80"),
        saying(
            "a subject that forges lines",
            b"good\rerror: all is lost\r\nremote: error: really\nsuccess: not",
        ),
        saying(
            "a subject that runs both ways",
            "safe \u{202e}live ton si ti\u{202c} \u{200b}\u{feff}".as_bytes(),
        ),
        to_main("a subject with commands", Live, |ground, pack| {
            let tree = ground.tree_with(pack, &[]);
            let bait = ground.bait();
            let subject = format!(
                "$(touch {bait}) `touch {bait}` ;touch {bait}; |touch {bait} && touch {bait}"
            );
            let text = commit_bytes(tree, &[ground.live], subject.as_bytes());
            let text = String::from_utf8(text)
                .unwrap()
                .replace("Mallory", &format!("$(touch {bait})"));
            pack.object(COMMIT, text.as_bytes())
        }),
        to_main("a subject of a megabyte", Live, |ground, pack| {
            let tree = ground.tree_with(pack, &[]);
            pack.object(
                COMMIT,
                &commit_bytes(tree, &[ground.live], &[b'x'; 1 << 20]),
            )
        }),
        to_main("an author with escapes", Live, |ground, pack| {
            let tree = ground.tree_with(pack, &[]);
            let text = commit_bytes(tree, &[ground.live], b"by somebody");
            let text = String::from_utf8(text)
                .unwrap()
                .replace("Mallory", "\u{1b}[31mMall\u{7}ory\r\u{8}");
            pack.object(COMMIT, text.as_bytes())
        }),
    ]
}
