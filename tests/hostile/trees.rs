//! Trees: names, modes, symlinks.

use crate::case::{Case, Expect};
use crate::entries;
use crate::ground::Ground;
use crate::support::pack::{Entry, Pack, entry};

use Expect::{Live, Refused};

pub const FILE: &str = "100644";
pub const LINK: &str = "120000";
pub const DIR: &str = "40000";

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
    pub fn refuses(self, gits: &'static str, ours: &'static str) -> Expect {
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
    cases.extend(entries::modes(judge));
    cases.extend(entries::twice(judge));
    cases.extend(links());
    cases.extend(harmless());
    cases
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).escape_debug().to_string()
}

/// A push of the live tree with these entries more.
pub fn more(
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
