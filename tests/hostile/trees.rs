//! Trees: names, modes, symlinks.

use crate::case::{Case, Expect};
use crate::ground::Ground;
use crate::support::pack::{Entry, Id, Pack, entry, in_gits_order};

use Expect::{Live, Refused};

const FILE: &str = "100644";
const LINK: &str = "120000";
const DIR: &str = "40000";

/// Who looks at what comes in before it is kept.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Judge {
    /// git, as in every repository that handover has made; then handover.
    Git,
    /// handover alone.
    Handover,
}

impl Judge {
    /// The words of whoever refuses it: git's, where it looks at all.
    fn refuses(self, gits: &'static str, ours: &'static str) -> Expect {
        match self {
            Self::Git => Refused(gits),
            Self::Handover => Refused(ours),
        }
    }
}

/// Names that lead elsewhere, or break a line: with git's word for it and ours.
const NAMES: &[(&[u8], &str, &str)] = &[
    (b".git", "hasDotgit", "git's own directory"),
    (b".GIT", "hasDotgit", "git's own directory"),
    (b".Git", "hasDotgit", "git's own directory"),
    (b"git~1", "hasDotgit", "git's own directory"),
    (b"GIT~1", "hasDotgit", "git's own directory"),
    (b".", "hasDot:", "exists already"),
    (b"..", "hasDotdot", "exists already"),
    (b"", "empty filename", "empty filename"),
    (b"a/b", "full pathnames", "a slash"),
    (b"../evil", "full pathnames", "a slash"),
    (b"/etc/evil", "full pathnames", "a slash"),
    (
        b"../../../../../../../../tmp/evil",
        "full pathnames",
        "a slash",
    ),
    (b"a\nb", "control character", "control character"),
    (b"\r", "control character", "control character"),
    (b"\x1b[31mred", "control character", "control character"),
    (
        b"\x1b]0;title\x07",
        "control character",
        "control character",
    ),
    (b"\x01", "control character", "control character"),
    (b"\x7f", "control character", "control character"),
];

/// Names of git's own directory on other systems: git refuses them where it looks. On this one they mean nothing.
const GIT_ELSEWHERE: &[&[u8]] = &[
    b".git ",
    b".git.",
    b".git\\hooks",
    b".git::$INDEX_ALLOCATION",
    b".g\xe2\x80\x8cit",
];

/// Where symlinks must not lead.
const TARGETS: &[&str] = &[
    "/etc/passwd",
    "/",
    "..",
    "../..",
    "../../../../../../../../etc/passwd",
    "./../x",
    "a/../../x",
    "server.js/../../x",
    "//etc/passwd",
    "/proc/self/environ",
    "/proc/self/root",
    "/dev/zero",
];

pub fn cases(judge: Judge) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, gits, ours) in NAMES {
        cases.push(file_named(name, judge.refuses(gits, ours)));
        cases.push(directory_named(name, judge.refuses(gits, ours)));
    }
    let elsewhere = match judge {
        Judge::Git => Refused("hasDotgit"),
        Judge::Handover => Live,
    };
    cases.extend(GIT_ELSEWHERE.iter().map(|name| file_named(name, elsewhere)));
    cases.extend(TARGETS.iter().map(|target| link_to(target)));
    cases.extend(names(judge));
    cases.extend(modes(judge));
    cases.extend(twice(judge));
    cases.extend(links());
    cases.extend(harmless());
    cases
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).escape_debug().to_string()
}

/// A push of the live tree with these entries more.
fn more(
    name: impl Into<String>,
    expect: Expect,
    make: impl Fn(&Ground, &mut Pack) -> Vec<Entry> + 'static,
) -> Case {
    Case::new(name, expect, move |ground| {
        let mut pack = Pack::new();
        let entries = make(ground, &mut pack);
        let tree = ground.tree_with(&mut pack, &entries);
        ground.push_tree(pack, tree)
    })
}

fn file_named(name: &'static [u8], expect: Expect) -> Case {
    more(format!("a file {}", shown(name)), expect, move |_, pack| {
        vec![entry(FILE, name, pack.blob("evil"))]
    })
}

/// With what git would run, if it took it for its own.
fn directory_named(name: &'static [u8], expect: Expect) -> Case {
    more(
        format!("a directory {}", shown(name)),
        expect,
        move |_, pack| {
            let hook = pack.blob("#!/bin/sh\nid\n");
            let hooks = pack.tree(&[entry("100755", "post-checkout", hook)]);
            let config = pack.blob("[core]\n\tfsmonitor = id\n");
            let inner = pack.tree(&[entry(FILE, "config", config), entry(DIR, "hooks", hooks)]);
            vec![entry(DIR, name, inner)]
        },
    )
}

fn link_to(target: &'static str) -> Case {
    more(
        format!("a symlink to {target}"),
        Refused("outside of the repository"),
        move |_, pack| vec![entry(LINK, "link", pack.blob(target))],
    )
}

fn names(judge: Judge) -> Vec<Case> {
    let below = |name: &'static str, times: usize| {
        more(
            format!("{times} directories named {name} within each other"),
            Refused("more than"),
            move |_, pack| {
                let mut tree = pack.tree(&[]);
                for _ in 0..times {
                    tree = pack.tree(&[entry(DIR, name, tree)]);
                }
                vec![entry(DIR, name, tree)]
            },
        )
    };
    let mut cases = vec![
        below("d", 250),
        more("a name of 256 bytes", Refused("255 bytes"), |_, pack| {
            vec![entry(FILE, "x".repeat(256), pack.blob("x"))]
        }),
        more("a name of 300 bytes", Refused("255 bytes"), |_, pack| {
            vec![entry(FILE, "x".repeat(300), pack.blob("x"))]
        }),
        more(
            "a name of 100,000 bytes",
            judge.refuses("largePathname", "255 bytes|was not written by git"),
            |_, pack| vec![entry(FILE, "x".repeat(100_000), pack.blob("x"))],
        ),
        more("a path of 4,000 bytes", Refused("3500"), |_, pack| {
            let name = "x".repeat(250);
            let file = pack.blob("x");
            let mut tree = pack.tree(&[entry(FILE, &name, file)]);
            for _ in 0..15 {
                tree = pack.tree(&[entry(DIR, &name, tree)]);
            }
            vec![entry(DIR, &name, tree)]
        }),
        more(
            ".git three directories down",
            judge.refuses("hasDotgit", "`d/d/d/d/.git`"),
            |_, pack| {
                let file = pack.blob("x");
                let mut tree = pack.tree(&[entry(FILE, ".git", file)]);
                for _ in 0..3 {
                    tree = pack.tree(&[entry(DIR, "d", tree)]);
                }
                vec![entry(DIR, "d", tree)]
            },
        ),
    ];
    for command_line in ["$(touch BAIT)", "`touch BAIT`", ";touch BAIT;"] {
        cases.push(more(
            format!("a file {command_line}"),
            judge.refuses("full pathnames", "a slash"),
            move |ground, pack| {
                let name = command_line.replace("BAIT", &ground.bait());
                vec![entry(FILE, name, pack.blob("x"))]
            },
        ));
    }
    cases
}

/// What git does not write: FIFOs, devices, sockets, and bits that run as somebody else.
fn modes(judge: Judge) -> Vec<Case> {
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
fn twice(judge: Judge) -> Vec<Case> {
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

/// Symlinks that lead out by way of others, or nowhere.
fn links() -> Vec<Case> {
    vec![
        more(
            "a symlink to a secret",
            Refused("outside of the repository"),
            |ground, pack| {
                let target = ground.secret();
                vec![entry(LINK, "link", pack.blob(target.to_str().unwrap()))]
            },
        ),
        more(
            "two symlinks that lead out together",
            Refused("outside of the repository"),
            |_, pack| {
                let up = pack.blob("../top");
                let deep = pack.tree(&[entry(LINK, "x", up)]);
                let out = pack.blob("deep/x/../..");
                vec![entry(DIR, "deep", deep), entry(LINK, "y", out)]
            },
        ),
        more("an empty symlink", Refused("empty"), |_, pack| {
            vec![entry(LINK, "link", pack.blob(""))]
        }),
        more("a symlink with a NUL", Refused("not a path"), |_, pack| {
            vec![entry(LINK, "link", pack.blob("a\0b"))]
        }),
        more(
            "a symlink of 5,000 bytes",
            Refused("4095 bytes"),
            |_, pack| vec![entry(LINK, "link", pack.blob("x/".repeat(2_500)))],
        ),
        more(
            "a symlink with escapes that leads out",
            Refused("outside of the repository"),
            |_, pack| vec![entry(LINK, "link", pack.blob("/\x1b[31m\x07\n\r/etc"))],
        ),
        more("a maze of symlinks", Refused("too many ways"), |_, pack| {
            // Each leads to the next, and on along a path that nobody comes to walk.
            let rest = "/x/..".repeat(800);
            let link = |n| {
                entry(
                    LINK,
                    format!("l{n:04}"),
                    pack.blob(format!("l{:04}{rest}", n + 1)),
                )
            };
            (0..3_000).map(link).collect()
        }),
        more("a symlink of 64 MiB", Refused("4095 bytes"), |_, pack| {
            vec![entry(LINK, "link", pack.zeros(64 << 20))]
        }),
    ]
}

/// What looks dangerous and is not. It is deployed, and nothing comes of it.
fn harmless() -> Vec<Case> {
    vec![
        more("filters, hooks and attributes", Live, |ground, pack| {
            let evil = format!(
                "* filter=evil diff=evil merge=evil ident text eol=crlf working-tree-encoding=UTF-16 # {}\n",
                ground.bait()
            );
            let attributes = pack.blob(evil);
            let config = pack.blob(format!(
                "[filter \"evil\"]\n\tsmudge = touch {0}\n\tclean = touch {0}\n",
                ground.bait()
            ));
            vec![
                entry(FILE, ".gitattributes", attributes),
                entry(FILE, ".gitconfig", config),
            ]
        }),
        more("a symlink to itself", Live, |_, pack| {
            vec![entry(LINK, "loop", pack.blob("loop"))]
        }),
        more("symlinks that stay inside", Live, |_, pack| {
            let up = pack.blob("../server.js");
            let inner = pack.tree(&[entry(LINK, "up", up)]);
            vec![entry(DIR, "d", inner), entry(LINK, "e", pack.blob("d"))]
        }),
        more("names with blanks, quotes and stars", Live, |_, pack| {
            let names = [
                "-rf", "--", "*", "$(id)", "`id`", ";id", "a b", "'", "\"", "\\", "|", "&", "~",
                "%s",
            ];
            names
                .into_iter()
                .map(|name| entry(FILE, name, pack.blob("x")))
                .collect()
        }),
        more("a name that is no text", Live, |_, pack| {
            vec![entry(FILE, b"\xff\xfe", pack.blob("x"))]
        }),
        more("a name of 255 bytes", Live, |_, pack| {
            vec![entry(FILE, "x".repeat(255), pack.blob("x"))]
        }),
    ]
}
