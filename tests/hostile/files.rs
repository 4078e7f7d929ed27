//! The files that decide how an app is built, as something else than files.

use crate::case::{Case, Expect};
use crate::ground::Ground;
use crate::support::pack::{Entry, Id, Pack, entry};

use Expect::{Live, Refused};

const FILE: &str = "100644";
const LINK: &str = "120000";
const DIR: &str = "40000";
const FILES: [&str; 5] = [
    "package.json",
    "package-lock.json",
    ".npmrc",
    "Procfile",
    "handover.toml",
];

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = FILES.iter().flat_map(|file| no_files(file)).collect();
    cases.extend(FILES.iter().flat_map(|file| contents(file)));
    cases.extend(gigabytes());
    cases.extend(others());
    cases
}

/// A push of the live tree with this in the place of a file.
fn in_place_of(
    file: &'static str,
    what: &str,
    expect: Expect,
    make: impl Fn(&Ground, &mut Pack) -> (&'static str, Id) + 'static,
) -> Case {
    Case::new(format!("{file}: {what}"), expect, move |ground| {
        let mut pack = Pack::new();
        let (mode, id) = make(ground, &mut pack);
        let tree = ground.tree_with(&mut pack, &[entry(mode, file, id)]);
        ground.push_tree(pack, tree)
    })
}

/// Symlinks, directories, and what only has the mode of a file system's other things.
fn no_files(file: &'static str) -> Vec<Case> {
    let odd = |mode: &'static str| {
        in_place_of(
            file,
            &format!("the mode {mode}"),
            Refused("has the mode|zeroPadded"),
            move |_, pack| (mode, pack.blob("{}")),
        )
    };
    let link = |target: &'static str| {
        in_place_of(
            file,
            &format!("a symlink to {target}"),
            Refused(file),
            move |_, pack| (LINK, pack.blob(target)),
        )
    };
    vec![
        link("/etc/shadow"),
        link("../../../../../../../../etc/shadow"),
        link("/dev/zero"),
        link("server.js"),
        link(file),
        in_place_of(
            file,
            "a symlink to a secret",
            Refused(file),
            |ground, pack| (LINK, pack.blob(ground.secret().to_str().unwrap())),
        ),
        in_place_of(file, "a directory", Refused(file), |_, pack| {
            let file = pack.blob("x");
            (DIR, pack.tree(&[entry(FILE, "x", file)]))
        }),
        in_place_of(file, "a submodule", Refused(file), |ground, _| {
            ("160000", ground.live)
        }),
        odd("10644"),
        odd("20644"),
        odd("60000"),
        odd("140000"),
        odd("0"),
    ]
}

/// Files with nothing in them that can be read, or too much.
fn contents(file: &'static str) -> Vec<Case> {
    // npm reads `.npmrc` as it likes, and without it or with nothing in it everything has its default.
    let lenient = file == ".npmrc";
    let optional = lenient || file == "Procfile" || file == "handover.toml";
    let of = |expected: bool| if expected { Live } else { Refused(file) };
    vec![
        in_place_of(file, "nothing in it", of(optional), |_, pack| {
            (FILE, pack.blob(""))
        }),
        in_place_of(file, "no text", of(lenient), |_, pack| {
            (FILE, pack.blob(b"\xff\xfe\x00\xd8{}"))
        }),
        in_place_of(file, "NULs", of(lenient), |_, pack| {
            (FILE, pack.blob(b"\0\0\0\0"))
        }),
        in_place_of(file, "escapes", of(lenient), |_, pack| {
            (FILE, pack.blob(b"\x1b[31mred\x07\r\n"))
        }),
        in_place_of(file, "100,000 brackets", of(lenient), move |_, pack| {
            let key = if file == "handover.toml" { "a = " } else { "" };
            (FILE, pack.blob(key.to_owned() + &"[".repeat(100_000)))
        }),
        in_place_of(
            file,
            "100,000 braces within each other",
            of(lenient),
            |_, pack| (FILE, pack.blob("{\"a\":".repeat(100_000))),
        ),
        in_place_of(file, "a line of 900,000 bytes", of(lenient), |_, pack| {
            (FILE, pack.blob("x".repeat(900_000)))
        }),
        in_place_of(file, "70 MB", Refused(file), |_, pack| {
            (FILE, pack.zeros(70 << 20))
        }),
    ]
}

/// A gigabyte: it comes once over the line, and is in the repository for the others.
fn gigabytes() -> Vec<Case> {
    FILES
        .into_iter()
        .map(|file| {
            in_place_of(file, "a gigabyte", Refused(file), move |ground, pack| {
                (
                    FILE,
                    if file == FILES[0] {
                        pack.zeros(1 << 30)
                    } else {
                        ground.gigabyte()
                    },
                )
            })
        })
        .collect()
}

fn others() -> Vec<Case> {
    let more = |name: &str, expect: Expect, make: fn(&mut Pack) -> Vec<Entry>| {
        Case::new(name, expect, move |ground| {
            let mut pack = Pack::new();
            let entries = make(&mut pack);
            let tree = ground.tree_with(&mut pack, &entries);
            ground.push_tree(pack, tree)
        })
    };
    let without = |file: &'static str| {
        Case::new(format!("no {file}"), Refused(file), move |ground| {
            let mut pack = Pack::new();
            let kept: Vec<_> = ground
                .entries
                .iter()
                .filter(|entry| entry.name != file.as_bytes())
                .cloned()
                .collect();
            let tree = pack.tree(&kept);
            ground.push_tree(pack, tree)
        })
    };
    vec![
        without("package.json"),
        without("package-lock.json"),
        Case::new(
            "a tree with nothing in it",
            Refused("package.json"),
            |ground| {
                let mut pack = Pack::new();
                let tree = pack.tree(&[]);
                ground.push_tree(pack, tree)
            },
        ),
        more(
            "another lockfile that is a symlink to a secret",
            Refused("npm-shrinkwrap.json"),
            |pack| vec![entry(LINK, "npm-shrinkwrap.json", pack.blob("/etc/shadow"))],
        ),
        more(
            "another lockfile that is a directory",
            Refused("npm-shrinkwrap.json"),
            |pack| {
                let tree = pack.tree(&[]);
                vec![entry(DIR, "npm-shrinkwrap.json", tree)]
            },
        ),
        more(
            "a symlink to a directory of the system's",
            Refused("outside of the repository"),
            |pack| vec![entry(LINK, "conf", pack.blob("/etc"))],
        ),
        more(
            "node_modules as symlink to the system's",
            Refused("outside of the repository"),
            |pack| {
                vec![entry(
                    LINK,
                    "node_modules",
                    pack.blob("/usr/lib/node_modules"),
                )]
            },
        ),
        more("package.json by another case", Live, |pack| {
            vec![entry(LINK, "PACKAGE.JSON", pack.blob("package.json"))]
        }),
    ]
}
