//! Packs that lie about themselves, or stand for much more than they are.

use crate::case::{Case, Expect};
use crate::ground::Ground;
use crate::support::pack::{
    BLOB, COMMIT, Entry, Id, Pack, TAG, TREE, delta_of_copies, entry, varint,
};
use crate::support::raw_push::Request;

use Expect::{Live, Refused};

pub fn cases() -> Vec<Case> {
    let mut cases = heads();
    cases.extend(contents());
    cases.extend(deltas());
    cases.extend(bombs());
    cases
}

/// A push whose pack is that of a harmless one, changed.
fn changed(name: &str, expect: Expect, change: impl Fn(&mut Vec<u8>) + 'static) -> Case {
    Case::new(name, expect, move |ground| {
        let mut request = ground.harmless();
        change(&mut request.pack);
        request
    })
}

/// A push of a good commit whose pack has something else in it too.
fn with(name: &str, expect: Expect, fill: impl Fn(&Ground, &mut Pack) + 'static) -> Case {
    Case::new(name, expect, move |ground| {
        let mut pack = Pack::new();
        fill(ground, &mut pack);
        good_commit(ground, pack)
    })
}

fn good_commit(ground: &Ground, mut pack: Pack) -> Request {
    let version = pack.blob("v1\n");
    let tree = ground.tree_with(&mut pack, &[entry("100644", "VERSION", version)]);
    ground.push_tree(pack, tree)
}

/// Head and tail.
fn heads() -> Vec<Case> {
    let count = |count: u32, says: &'static str| {
        Case::new(
            format!("a pack of {count} objects, it says"),
            Refused(says),
            move |ground| {
                let mut pack = Pack::new();
                let tree = ground.tree_with(&mut pack, &[]);
                let commit = ground.commit(&mut pack, tree);
                let request = ground.push_commit(Pack::new(), commit);
                request.pack(pack.finish_as(2, count))
            },
        )
    };
    let version = |version: u32| {
        Case::new(
            format!("version {version}"),
            Refused("version"),
            move |ground| {
                let request = ground.harmless();
                request.pack(Pack::new().finish_as(version, 0))
            },
        )
    };
    vec![
        count(0, "final sha1"),
        count(1, "final sha1"),
        // What git then takes for an object is the checksum: any bytes.
        count(3, "abnormal exit"),
        count(100, "abnormal exit"),
        count(1_000_000, "abnormal exit"),
        count(u32::MAX, "overflow"),
        version(0),
        version(1),
        version(4),
        version(u32::MAX),
        changed("no pack", Refused("eof before pack header"), Vec::clear),
        changed("an empty pack", Refused("bad object"), |pack| {
            *pack = Pack::new().finish();
        }),
        changed(
            "another magic word",
            Refused("signature mismatch"),
            |pack| pack[..4].copy_from_slice(b"KCAP"),
        ),
        changed("a wrong checksum", Refused("final sha1"), |pack| {
            let last = pack.len() - 1;
            pack[last] ^= 1;
        }),
        changed("a checksum of zeros", Refused("final sha1"), |pack| {
            let from = pack.len() - 20;
            pack[from..].fill(0);
        }),
        changed(
            "a flipped bit",
            Refused("inflate|bad object type|final sha1"),
            |pack| {
                let middle = pack.len() / 2;
                pack[middle] ^= 0x10;
            },
        ),
        changed(
            "a megabyte of zeros as pack",
            Refused("signature mismatch"),
            |pack| *pack = vec![0; 1 << 20],
        ),
        changed("text as pack", Refused("version unsupported"), |pack| {
            *pack = b"PACKAGE.JSON\n".repeat(100);
        }),
        changed("garbage after the pack", Live, |pack| {
            pack.extend(b"garbage\x1b[31m\0".repeat(1000));
        }),
    ]
}

/// Objects whose header and content disagree.
fn contents() -> Vec<Case> {
    let claims = |size: u64| {
        with(
            &format!("a file of {size} bytes, it says"),
            Refused("inflate|write stream object"),
            move |_, pack| {
                pack.claiming(BLOB, size, b"three");
            },
        )
    };
    vec![
        claims(0),
        claims(4),
        claims(6),
        claims(1 << 20),
        claims(600 << 20),
        claims(1 << 40),
        claims(1 << 59),
        claims(u64::MAX),
        with(
            "a kind that there is not: 0",
            Refused("bad object type 0"),
            |_, pack| pack.claiming(0, 5, b"three"),
        ),
        with(
            "a kind that there is not: 5",
            Refused("bad object type 5"),
            |_, pack| pack.claiming(5, 5, b"three"),
        ),
        with("no zlib", Refused("inflate"), |_, pack| {
            pack.undeflated(BLOB, 5, b"not what zlib writes");
        }),
        with("zlib that ends too early", Refused("inflate"), |_, pack| {
            pack.undeflated(BLOB, 5, &[0x78, 0x01]);
        }),
        with(
            "zlib that asks for a dictionary",
            Refused("abnormal exit"),
            |_, pack| {
                pack.undeflated(BLOB, 5, &[0x78, 0x20, 0, 0, 0, 1, 0, 0]);
            },
        ),
        with("a size that never ends", Refused("inflate"), |_, pack| {
            pack.undeflated(BLOB, u64::MAX, &[0xff; 64]);
        }),
        with(
            "a tree that is none",
            Refused("too-short tree"),
            |_, pack| {
                pack.object(TREE, b"not a tree");
            },
        ),
        with(
            "a commit that is none",
            Refused("bogus commit"),
            |_, pack| {
                pack.object(COMMIT, b"not a commit");
            },
        ),
        with("a tag that is none", Refused("invalid tag"), |_, pack| {
            pack.object(TAG, b"not a tag");
        }),
        with("an empty commit", Refused("bogus commit"), |_, pack| {
            pack.object(COMMIT, b"");
        }),
        with("one object twice", Live, |_, pack| {
            pack.blob("twice");
            pack.blob("twice");
        }),
        with("5,000 objects that nobody needs", Live, |_, pack| {
            for n in 0..5_000 {
                pack.blob(format!("{n}"));
            }
        }),
    ]
}

/// Deltas that lead nowhere.
fn deltas() -> Vec<Case> {
    let on_three = |name: &str, delta: Vec<u8>| {
        with(
            name,
            Refused("failed to apply delta|malloc failed"),
            move |_, pack| {
                let base = pack.blob("three");
                pack.ref_delta(base, &delta);
            },
        )
    };
    let sizes = |base: u64, result: u64, rest: &[u8]| {
        let mut delta = Vec::new();
        varint(&mut delta, base);
        varint(&mut delta, result);
        delta.extend_from_slice(rest);
        delta
    };
    vec![
        with(
            "a delta to what nobody has",
            Refused("unresolved deltas"),
            |_, pack| {
                pack.ref_delta(Id::NOBODYS, &delta_of_copies(5, 5, 1));
            },
        ),
        with(
            "deltas to each other",
            Refused("unresolved deltas"),
            |_, pack| {
                // Neither name can be that of a result, so that neither is ever resolved.
                pack.ref_delta(Id([1; 20]), &delta_of_copies(5, 5, 1));
                pack.ref_delta(Id([2; 20]), &delta_of_copies(5, 5, 1));
            },
        ),
        with("a delta to itself", Refused("out of bound"), |_, pack| {
            pack.ofs_delta(0, &delta_of_copies(5, 5, 1));
        }),
        with(
            "a delta to before the pack",
            Refused("out of bound"),
            |_, pack| pack.ofs_delta(1 << 40, &delta_of_copies(5, 5, 1)),
        ),
        with(
            "a delta into the middle of an object",
            Refused("unresolved deltas"),
            |_, pack| {
                let from = pack.position();
                pack.blob("some text that is long enough to be begun in its middle");
                let back = pack.position() - from - 3;
                pack.ofs_delta(back, &delta_of_copies(5, 5, 1));
            },
        ),
        with(
            "a delta with an endless offset",
            Refused("overflow"),
            |_, pack| pack.undeflated(6, 5, &[0xff; 64]),
        ),
        on_three("a delta that is empty", Vec::new()),
        on_three("a delta for another size", sizes(6, 5, &[0x90, 5])),
        on_three(
            "a delta that copies from beyond",
            sizes(5, 5, &[0x91, 200, 5]),
        ),
        on_three(
            "a delta that copies too much",
            sizes(5, 500, &[0xb0, 0xf4, 1]),
        ),
        on_three(
            "a delta that inserts what it has not",
            sizes(5, 100, &[100, b'x']),
        ),
        on_three("a delta with the reserved instruction", sizes(5, 5, &[0])),
        on_three(
            "a delta that makes less than it says",
            sizes(5, 500, &[0x90, 5]),
        ),
        on_three("a delta to a terabyte", sizes(5, 1 << 40, &[0x90, 5])),
        with("a chain of 5,000 deltas", Live, |_, pack| {
            let mut last = pack.position();
            pack.blob("three");
            for n in 0..5_000 {
                let here = pack.position();
                let literal = [&[5, 5, 5][..], format!("{n:05}").as_bytes()].concat();
                pack.ofs_delta(here - last, &literal);
                last = here;
            }
        }),
    ]
}

/// Little on the line, much on the server.
fn bombs() -> Vec<Case> {
    vec![
        with("a delta that makes 256 MiB of 1 MiB", Live, |_, pack| {
            let base = pack.zeros(1 << 20);
            pack.ref_delta(base, &delta_of_copies(1 << 20, 1 << 20, 256));
        }),
        Case::new("a gigabyte that the tree does not name", Live, |ground| {
            let mut pack = Pack::new();
            pack.zeros(1 << 30);
            good_commit(ground, pack)
        }),
        Case::new(
            "a tree that stands for a billion files",
            Refused("more than"),
            |ground| {
                let mut pack = Pack::new();
                let file = pack.blob("x");
                let mut tree = pack.tree(&[entry("100644", "f", file)]);
                for _ in 0..9 {
                    let ten: Vec<Entry> = ('0'..='9')
                        .map(|name| entry("40000", name.to_string(), tree))
                        .collect();
                    tree = pack.tree(&ten);
                }
                let top = ground.tree_with(&mut pack, &[entry("40000", "bomb", tree)]);
                ground.push_tree(pack, top)
            },
        ),
        Case::new(
            "a tree of a million entries",
            Refused("more than"),
            |ground| {
                let mut pack = Pack::new();
                let file = pack.blob("x");
                let many: Vec<Entry> = (0..1_000_000)
                    .map(|n| entry("100644", format!("f{n:07}"), file))
                    .collect();
                let tree = pack.tree(&many);
                let top = ground.tree_with(&mut pack, &[entry("40000", "many", tree)]);
                ground.push_tree(pack, top)
            },
        ),
        Case::new(
            "3,000 directories within each other",
            Refused("tree depth"),
            |ground| {
                let mut pack = Pack::new();
                let file = pack.blob("x");
                let mut tree = pack.tree(&[entry("100644", "f", file)]);
                for _ in 0..3_000 {
                    tree = pack.tree(&[entry("40000", "d", tree)]);
                }
                let top = ground.tree_with(&mut pack, &[entry("40000", "deep", tree)]);
                ground.push_tree(pack, top)
            },
        ),
        Case::new(
            "one file of 64 MiB in forty places",
            Refused("more than"),
            |ground| {
                let mut pack = Pack::new();
                let file = pack.zeros(64 << 20);
                let many: Vec<Entry> = (0..40)
                    .map(|n| entry("100644", format!("f{n:02}"), file))
                    .collect();
                let top = ground.tree_with(&mut pack, &many);
                ground.push_tree(pack, top)
            },
        ),
    ]
}
