//! Push options, with a push that would be deployed without them.

use crate::case::{Case, Expect};

use Expect::Refused;

const UNKNOWN: &str = "there is no push option";
const REFUSED: &str =
    "there is no push option|takes no value|control character|has no words|not allowed";

/// Options that are none, or pretend to be more than one.
const OPTIONS: &[&[u8]] = &[
    b"",
    b"=",
    b"unknown",
    b"admin",
    b"x=1;admin=true",
    b"force;no-cache",
    b"force=yes",
    b"FORCE",
    b" force",
    b"force ",
    b"--force",
    b"-x",
    b"force\nno-cache",
    b"force\0no-cache\0",
    b"message=a\nok refs/heads/main",
    b"message=\x1b[31mred",
    b"message=\x07",
    b"message=\r\nerror: all is lost",
    b"no-cache\x1b]0;title\x07",
    b"unknown\xff\xfe",
    b"../../../etc/passwd",
    b"GIT_DIR=/tmp",
    b"LD_PRELOAD=/tmp/evil.so",
    b"HANDOVER_HOME=/tmp",
    b"unknown=%s%n",
];

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = OPTIONS.iter().map(|option| one(option)).collect();
    for option in [
        "$(touch BAIT)",
        "`touch BAIT`",
        ";touch BAIT",
        "|touch BAIT",
        "x='$(touch BAIT)'",
    ] {
        cases.push(Case::new(
            format!("option {option}"),
            Refused(UNKNOWN),
            move |ground| {
                ground
                    .harmless()
                    .options([option.replace("BAIT", &ground.bait())])
            },
        ));
    }
    cases.extend([
        // git itself hands on what stands before a NUL.
        Case::new("option quiet\\0", Expect::Live, |ground| {
            ground.harmless().options([b"quiet\0"])
        }),
        Case::new("option message=a\\0b", Expect::Live, |ground| {
            ground.harmless().options([b"message=a\0b"])
        }),
        Case::new(
            "60 options of 60 KB",
            Refused("Argument list too long"),
            |ground| {
                ground
                    .harmless()
                    .options((0..60).map(|_| vec![b'x'; 60_000]))
            },
        ),
        Case::new(
            "one option of 65,000 bytes",
            Refused("1000 are allowed"),
            |ground| ground.harmless().options(["x".repeat(65_000)]),
        ),
        Case::new(
            "a message of 65,000 bytes",
            Refused("1000 are allowed"),
            |ground| {
                ground
                    .harmless()
                    .options([format!("message={}", "x".repeat(60_000))])
            },
        ),
        Case::new("10,000 options", Refused("16 are allowed"), |ground| {
            ground
                .harmless()
                .options((0..10_000).map(|n| format!("message={n}")))
        }),
        Case::new("one option twice", Refused("message"), |ground| {
            ground.harmless().options(["message=one", "message=two"])
        }),
        Case::new(
            "verbose and quiet",
            Refused("exclude each other"),
            |ground| ground.harmless().options(["verbose", "quiet"]),
        ),
        Case::new(
            "an option that is known, and one that is not",
            Refused("admin"),
            |ground| ground.harmless().options(["quiet", "admin=true"]),
        ),
    ]);
    cases
}

fn one(option: &'static [u8]) -> Case {
    let shown = String::from_utf8_lossy(option).escape_debug().to_string();
    Case::new(format!("option {shown}"), Refused(REFUSED), move |ground| {
        ground.harmless().options([option])
    })
}
