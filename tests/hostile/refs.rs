//! Names of refs.

use crate::case::{Case, Expect};
use crate::ground::{Ground, MAIN};
use crate::support::pack::Id;
use crate::support::raw_push::{Request, command};

use Expect::{Live, Nothing, Refused, Stored, StoredFirst};

/// Names that are no names, or mean something to git, to a shell, to a file system or to a terminal.
const NAMES: &[&[u8]] = &[
    b"refs/heads/../../../evil",
    b"refs/heads/../../../../../../../../tmp/evil",
    b"../evil",
    b"refs/heads/..",
    b"refs/heads/.",
    b"refs/heads/a/../b",
    b"/etc/evil",
    b"/refs/heads/a",
    b"refs/heads//a",
    b"refs//heads/a",
    b"refs/heads/a/",
    b"refs/heads/",
    b"refs/heads",
    b"refs/",
    b"refs",
    b"-rf",
    b"--upload-pack=touch",
    b"main",
    b"config",
    b"hooks/post-receive",
    b"objects/info/alternates",
    b"HEAD",
    b"FETCH_HEAD",
    b"ORIG_HEAD",
    b"@",
    b"refs/heads/@{1}",
    b"refs/heads/a@{0}",
    b"refs/heads/a..b",
    b"refs/heads/a~1",
    b"refs/heads/a^{}",
    b"refs/heads/a:b",
    b"refs/heads/a?",
    b"refs/heads/*",
    b"refs/heads/a[b]",
    b"refs/heads/a\\b",
    b"refs/heads/a b",
    b"refs/heads/main ",
    b" refs/heads/a",
    b"refs/heads/.hidden",
    b"refs/heads/a/.hidden",
    b"refs/heads/a.",
    b"refs/heads/x.lock",
    b"refs/heads/x.lock/y",
    b"refs/heads/main.lock",
    b"refs/heads/a\rb",
    b"refs/heads/a\tb",
    b"refs/heads/\x1b[31mred\x1b[0m",
    b"refs/heads/\x1b]0;title\x07",
    b"refs/heads/\x07",
    b"refs/heads/\x08\x08\x08",
    b"refs/heads/\x7f",
    b"refs/heads/\x01",
];

/// Names that git would keep, and that are no good.
const KEPT_BY_GIT: &[&[u8]] = &[
    b"refs/heads/-x",
    b"refs/heads/--force",
    b"refs/heads/a/-rf",
    b"refs/heads/$(id)",
    b"refs/heads/`id`",
    b"refs/heads/;id",
    b"refs/heads/a|id",
    b"refs/heads/a&&id",
    b"refs/heads/a>b",
    b"refs/heads/'",
    b"refs/heads/\"",
    b"refs/heads/${HOME}",
    b"refs/heads/\xff\xfe",
    b"refs/heads/\xc0\xae\xc0\xae",
    b"refs/heads/\xc2\x9b31m",
    "refs/heads/\u{202e}niam".as_bytes(),
    "refs/heads/ma\u{200b}in".as_bytes(),
    b"refs/heads/HEAD",
];

/// Where refs mean more than a name for a commit.
const PLACES: &[&[u8]] = &[
    b"refs/replace/main",
    b"refs/stash",
    b"refs/bisect/bad",
    b"refs/worktree/x",
    b"refs/rewritten/x",
    b"refs/handover/x",
    b"refs/remotes/origin/main",
    b"refs/main",
    b"refs/keep/x",
];

const NO_PLACE: &str = "is not a branch, a tag or notes";
const NO_NAME: &str = "git does not allow|is not a branch, a tag or notes|letters, digits";
const NO_GOOD: &str = "letters, digits|begins with `-`|is not UTF-8|git does not allow";

pub fn cases() -> Vec<Case> {
    let groups = [(NAMES, NO_NAME), (KEPT_BY_GIT, NO_GOOD), (PLACES, NO_PLACE)];
    let rows = groups
        .into_iter()
        .flat_map(|(names, says)| names.iter().map(move |name| (name, says)));
    let mut cases: Vec<_> = rows
        .map(|(name, says)| named(name.to_vec(), Refused(says)))
        .collect();
    cases.extend(more_names());
    cases.extend(several());
    cases.extend(moves());
    cases.extend(broken_lines());
    cases
}

/// A push of what is live to a new ref of this name.
fn named(name: Vec<u8>, expect: Expect) -> Case {
    let shown = String::from_utf8_lossy(&name)
        .escape_debug()
        .take(100)
        .collect::<String>();
    Case::new(format!("ref {shown}"), expect, move |ground| {
        Request::of(vec![command(Id::NULL, ground.live, &name)])
    })
}

fn more_names() -> Vec<Case> {
    let long = |part: &str, times: usize| format!("refs/heads/{}", part.repeat(times)).into_bytes();
    let mut cases: Vec<_> = [
        long("x", 300),
        long("x", 5_000),
        long("x", 60_000),
        long("abc/", 75),
        long("d/", 1_000),
        long("\u{e9}", 130),
    ]
    .into_iter()
    .map(|name| named(name, Refused("200 are allowed")))
    .collect();
    for command_line in [
        "$(touch BAIT)",
        "`touch BAIT`",
        ";touch BAIT;",
        "|touch BAIT",
        "$(touch${IFS}BAIT)",
    ] {
        cases.push(Case::new(
            format!("ref {command_line}"),
            Refused("letters, digits"),
            move |ground| {
                let name = format!(
                    "refs/heads/{}",
                    command_line.replace("BAIT", &ground.bait())
                );
                Request::of(vec![command(Id::NULL, ground.live, name)])
            },
        ));
    }
    cases.push(Case::new(
        "a replacement for what is live",
        Refused(NO_PLACE),
        |ground| {
            let name = format!("refs/replace/{}", ground.live);
            Request::of(vec![command(Id::NULL, ground.live, name)])
        },
    ));
    cases.push(Case::new("a hidden ref", Refused("hidden"), |ground| {
        Request::of(vec![command(Id::NULL, ground.live, "refs/heads/secret/x")])
    }));
    cases.push(named(b"refs/heads/fine".to_vec(), Stored));
    cases.push(named(b"refs/tags/v1.0".to_vec(), Stored));
    cases.push(named(b"refs/notes/commits".to_vec(), Stored));
    cases.push(named("refs/heads/f\u{fc}r-alle".into(), Stored));
    cases
}

/// More than one ref in a push.
fn several() -> Vec<Case> {
    let create = |ground: &Ground, name: &str| command(Id::NULL, ground.live, name);
    vec![
        Case::new(
            "5,000 refs",
            Refused("more than 1000 refs"),
            move |ground| {
                Request::of(
                    (0..5_000)
                        .map(|n| create(ground, &format!("refs/heads/many/{n}")))
                        .collect(),
                )
            },
        ),
        Case::new(
            "5,000 deletions of what is not there",
            Refused("more than 1000 refs"),
            |_| {
                Request::of(
                    (0..5_000)
                        .map(|n| command(Id::NOBODYS, Id::NULL, format!("refs/heads/many/{n}")))
                        .collect(),
                )
            },
        ),
        Case::new(
            "one name twice",
            Refused("names refs/heads/twice twice"),
            move |ground| {
                Request::of(vec![
                    create(ground, "refs/heads/twice"),
                    create(ground, "refs/heads/twice"),
                ])
            },
        ),
        Case::new(
            "a ref and one below it",
            StoredFirst("cannot lock ref 'refs/heads/d/f'"),
            move |ground| {
                Request::of(vec![
                    create(ground, "refs/heads/d"),
                    create(ground, "refs/heads/d/f"),
                ])
            },
        ),
        Case::new(
            "a ref below the deploy branch",
            Refused("nothing beneath it"),
            move |ground| Request::of(vec![create(ground, "refs/heads/main/evil")]),
        ),
        Case::new(
            "created and deleted",
            Refused("names refs/heads/both twice"),
            move |ground| {
                Request::of(vec![
                    create(ground, "refs/heads/both"),
                    command(ground.live, Id::NULL, "refs/heads/both"),
                ])
            },
        ),
        Case::new(
            "the deploy branch moved and deleted",
            Refused("names refs/heads/main twice"),
            |ground| {
                let mut request = ground.harmless();
                request.commands.push(command(ground.live, Id::NULL, MAIN));
                request
            },
        ),
        Case::new(
            "the deploy branch moved twice",
            Refused("names refs/heads/main twice"),
            |ground| {
                let mut request = ground.harmless();
                request.commands.push(request.commands[0].clone());
                request
            },
        ),
        Case::new(
            "the deploy branch, and a name that leads out",
            Refused("git does not allow"),
            |ground| {
                let mut request = ground.harmless();
                request
                    .commands
                    .push(command(Id::NULL, ground.live, "refs/heads/../../../evil"));
                request
            },
        ),
    ]
}

/// What is done to the deploy branch.
fn moves() -> Vec<Case> {
    vec![
        Case::new("the deploy branch deleted", Refused("delet"), |ground| {
            Request::of(vec![command(ground.live, Id::NULL, MAIN)])
        }),
        Case::new(
            "the deploy branch deleted with another old id",
            Refused("delet"),
            |_| Request::of(vec![command(Id::NOBODYS, Id::NULL, MAIN)]),
        ),
        Case::new("nothing to nothing", Refused("delet"), |_| {
            Request::of(vec![command(Id::NULL, Id::NULL, MAIN)])
        }),
        Case::new("a branch that is not there deleted", Nothing, |_| {
            Request::of(vec![command(Id::NULL, Id::NULL, "refs/heads/none")])
        }),
        Case::new(
            // It contains what the branch names: nothing is lost by it.
            "the deploy branch as if it were new",
            Live,
            |ground| {
                let mut request = ground.harmless();
                request.commands[0].old = Id::NULL.to_string().into();
                request
            },
        ),
        Case::new(
            "the deploy branch from what nobody has",
            Refused("as the push says"),
            |ground| {
                let mut request = ground.harmless();
                request.commands[0].old = Id::NOBODYS.to_string().into();
                request
            },
        ),
        Case::new(
            "the deploy branch from what it does not name",
            Refused("as the push says"),
            |ground| {
                let mut request = ground.harmless();
                let new = request.commands[0].new.clone();
                request.commands[0].old = new;
                request
            },
        ),
        Case::new(
            "the deploy branch to what does not contain it",
            Refused("not a fast-forward"),
            Ground::other_beginning,
        ),
        Case::new(
            "the same by force, which the app does not allow",
            Refused("force is not allowed"),
            |ground| ground.other_beginning().options(["force"]),
        ),
        Case::new(
            "a branch, and the deploy branch to what does not contain it",
            StoredFirst("not a fast-forward"),
            |ground| {
                let mut request = ground.other_beginning();
                let another = command(Id::NULL, ground.live, "refs/heads/another");
                request.commands.insert(0, another);
                request
            },
        ),
    ]
}

/// Names with a line break: git tells hooks of refs in lines, and these make two of one.
fn broken_lines() -> Vec<Case> {
    let with = |name: &str, says: &'static str, forged: fn(&Ground) -> String| {
        Case::new(name, Refused(says), move |ground| {
            let name = format!("refs/heads/a\n{}", forged(ground));
            Request::of(vec![command(Id::NULL, ground.live, name)])
        })
    };
    let named_main = |name: &str, ending: &'static str| {
        Case::new(name, Refused("line break"), move |ground| {
            let mut request = ground.harmless();
            request.commands[0].name = format!("{MAIN}{ending}").into();
            request
        })
    };
    vec![
        with("a name of two lines", "line break", |_| "b".to_owned()),
        with(
            "a name that ends in a line break",
            "line break|funny",
            |_| String::new(),
        ),
        with(
            "a name with a command on its own line",
            "line break",
            |ground| format!("$(touch {})", ground.bait()),
        ),
        with(
            "a name that forges a push of nobody's commit",
            "not a commit",
            |_| format!("{} {} {MAIN}", Id::NULL, Id::NOBODYS),
        ),
        // Two good lines to a hook; git itself looks at the name afterwards.
        with("a name that forges a branch", "funny ref", |ground| {
            format!("{} {} refs/heads/b", Id::NULL, ground.live)
        }),
        with("a name that forges a deploy", "funny ref", |ground| {
            format!("{0} {0} {MAIN}", ground.live)
        }),
        with(
            "a name that forges a deletion",
            "can't be deleted",
            |ground| format!("{} {} {MAIN}", ground.live, Id::NULL),
        ),
        named_main("the deploy branch with a line more", "\nx"),
        named_main(
            "a name below the deploy branch that forges a verdict",
            "/x\nok refs/heads/main",
        ),
    ]
}
