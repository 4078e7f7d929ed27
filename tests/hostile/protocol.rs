//! The line itself: lengths, ids, capabilities, and what ends too early.

use crate::case::{Case, Expect};
use crate::ground::{Ground, MAIN};
use crate::support::pack::Id;
use crate::support::raw_push::{CAPABILITIES, Command, FLUSH, Request, command, packet};

use Expect::{Live, Nothing, Refused};

pub fn cases() -> Vec<Case> {
    let mut cases = lengths();
    cases.extend(ids());
    cases.extend(capabilities());
    cases.extend(sections());
    cases.extend(truncated());
    cases
}

/// The line of a push that has nothing wrong in it, without its length.
fn good_line(ground: &Ground, new: &str, rest: &str) -> Vec<u8> {
    format!("{} {new} {MAIN}\0{CAPABILITIES}{rest}", ground.live).into_bytes()
}

/// A packet's length, wrong.
fn lengths() -> Vec<Case> {
    let with = |digits: &'static str, expect: Expect| {
        Case::raw(format!("the length {digits:?}"), expect, move |ground| {
            let mut bytes = ground.harmless().bytes();
            bytes.splice(..4, digits.bytes());
            bytes
        })
    };
    let words = [
        ("0003", "bad line length 3"),
        ("0004", "expected old/new/ref, got ''"),
        ("0005", "expected old/new/ref"),
        ("fff0", "hung up"),
        ("fff1", "hung up"),
        ("fffe", "bad line length 65530"),
        ("ffff", "bad line length 65531"),
        ("FFFF", "bad line length 65531"),
        ("-001", "bad line length character"),
        ("+0ff", "bad line length character"),
        ("0x1f", "bad line length character"),
        (" 100", "bad line length character"),
        ("zzzz", "bad line length character"),
        ("....", "bad line length character"),
        ("\0\0\0\0", "bad line length character"),
        ("00ff", "bad line length character"),
    ];
    let mut cases: Vec<_> = words
        .into_iter()
        .map(|(digits, says)| with(digits, Refused(says)))
        .collect();
    // Lengths that mean the end of a section, and end it here.
    cases.extend(["0000", "0001", "0002"].map(|digits| with(digits, Nothing)));
    cases.push(Case::raw(
        "a packet of 65,519 bytes, most of them capabilities",
        Live,
        |ground| {
            let mut request = ground.harmless();
            let room = 65_515 - request.bytes().iter().position(|&b| b == b'P').unwrap_or(0);
            request.capabilities.extend(vec![b'x'; room]);
            request.bytes()
        },
    ));
    cases
}

/// Ids that are none.
fn ids() -> Vec<Case> {
    let with = |name: &str, id: String| {
        let (old, new) = (id.clone(), id);
        let old_too = Case::new(
            format!("old: {name}"),
            Refused("expected old/new/ref"),
            move |ground| {
                let mut request = ground.harmless();
                request.commands[0]
                    .old
                    .clone_from(&old.clone().into_bytes());
                request
            },
        );
        let new_too = Case::new(
            format!("new: {name}"),
            Refused("expected old/new/ref"),
            move |ground| {
                let mut request = ground.harmless();
                request.commands[0]
                    .new
                    .clone_from(&new.clone().into_bytes());
                request
            },
        );
        [old_too, new_too]
    };
    [
        with("39 digits", "a".repeat(39)),
        with("41 digits", "a".repeat(41)),
        with("64 digits", "a".repeat(64)),
        with("no digits", "g".repeat(40)),
        with("nothing", String::new()),
        with(
            "a path",
            "../../../../../../../../etc/passwd/././.".to_owned(),
        ),
        with("an option", format!("--{}", "a".repeat(38))),
        with("control bytes", "\u{1b}[31m".repeat(8)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What the pusher says it can.
fn capabilities() -> Vec<Case> {
    let with = |name: &str, expect: Expect, words: &'static [u8]| {
        Case::new(format!("capabilities: {name}"), expect, move |ground| {
            ground.harmless().capabilities(words)
        })
    };
    vec![
        with(
            "sha256",
            Refused("object format"),
            b"report-status side-band-64k object-format=sha256",
        ),
        with(
            "an unknown format",
            Refused("object format"),
            b"report-status side-band-64k object-format=../../etc",
        ),
        Case::new("capabilities: garbage", Live, |ground| {
            ground
                .harmless()
                .capabilities(b"report-status side-band-64k quiet agent=\x1b[31m;$(id) session-id=`id` \xff\xfe unknown=../..")
        }),
        Case::new(
            "capabilities on the second line",
            Refused("object format"),
            |ground| {
                let mut request = ground.harmless();
                let evil = b"refs/heads/x\0 push-options object-format=sha256";
                request.commands.push(command(Id::NULL, ground.live, evil));
                request
            },
        ),
        Case::raw(
            "options that were not announced",
            Refused("pack signature mismatch"),
            |ground| {
                let request = ground.harmless();
                let mut bytes = Request {
                    pack: Vec::new(),
                    ..request.clone()
                }
                .bytes();
                bytes.extend(packet(b"force"));
                bytes.extend(FLUSH);
                bytes.extend(request.pack);
                bytes
            },
        ),
        Case::raw(
            "announced options that don't come",
            Refused("bad line length character: PACK"),
            |ground| {
                let mut request = ground.harmless();
                request.capabilities.extend(b" push-options");
                request.bytes()
            },
        ),
    ]
}

/// Sections that nobody expects.
fn sections() -> Vec<Case> {
    vec![
        Case::raw("a shallow line", Live, |ground| {
            let shallow = packet(format!("shallow {}", Id::NOBODYS).as_bytes());
            [shallow, ground.harmless().bytes()].concat()
        }),
        Case::raw(
            "a shallow line that is no id",
            Refused("expected shallow sha"),
            |ground| {
                [
                    packet(b"shallow ../../../../etc/passwd"),
                    ground.harmless().bytes(),
                ]
                .concat()
            },
        ),
        Case::raw(
            "the new commit as shallow",
            Refused("shallow update not allowed"),
            |ground| {
                let request = ground.harmless();
                let new = String::from_utf8(request.commands[0].new.clone()).unwrap();
                [packet(format!("shallow {new}").as_bytes()), request.bytes()].concat()
            },
        ),
        Case::raw("a signed push that nobody asked for", Nothing, |ground| {
            let request = ground.harmless();
            let lines = [
                &b"push-cert\0report-status side-band-64k"[..],
                b"certificate version 0.1\n",
                b"pusher Mallory <m@example.com> 1 +0000\n",
                b"nonce $(id)\n",
                b"\n",
                b"push-cert-end\n",
            ];
            let mut bytes: Vec<u8> = lines.iter().flat_map(|line| packet(line)).collect();
            bytes.extend(FLUSH);
            bytes.extend(request.pack);
            bytes
        }),
        Case::raw("a signed push without an end", Refused("hung up"), |_| {
            let mut bytes = packet(b"push-cert\0report-status side-band-64k");
            for _ in 0..100 {
                bytes.extend(packet(&[b'x'; 60_000]));
            }
            bytes
        }),
        Case::raw(
            "no flush",
            Refused("bad line length character: PACK"),
            |ground| {
                let request = ground.harmless();
                let line = Request {
                    pack: Vec::new(),
                    ..request.clone()
                }
                .bytes();
                [&line[..line.len() - FLUSH.len()], &request.pack[..]].concat()
            },
        ),
        Case::raw(
            "a line without a name",
            Refused("expected old/new/ref"),
            |ground| packet(format!("{} {}", ground.live, ground.live).as_bytes()),
        ),
        Case::raw("a line of words", Refused("expected old/new/ref"), |_| {
            [packet(b"GET / HTTP/1.1\r\n"), FLUSH.to_vec()].concat()
        }),
        Case::raw(
            "no packets at all",
            Refused("bad line length character: GET"),
            |_| b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ),
        Case::raw(
            "a megabyte of zeros",
            Refused("bad line length character"),
            |_| vec![0; 1 << 20],
        ),
        Case::raw(
            "two names on a line",
            Refused("eof before pack header"),
            |ground| {
                let new = String::from_utf8(ground.harmless().commands[0].new.clone()).unwrap();
                let line = good_line(ground, &new, "");
                let line = [&line[..], b" refs/heads/other"].concat();
                [packet(&line), FLUSH.to_vec(), b"PACK".to_vec()].concat()
            },
        ),
        Case::new(
            "without asking for a report",
            Refused("git does not allow"),
            |ground| {
                let commands = vec![Command {
                    name: b"refs/heads/../x".into(),
                    ..command(Id::NULL, ground.live, "")
                }];
                Request::of(commands).capabilities("side-band-64k")
            },
        ),
    ]
}

/// A line that goes dead, at each boundary and inside of each part.
fn truncated() -> Vec<Case> {
    let cut = |name: &'static str, says: &'static str, at: fn(&Request) -> usize| {
        Case::raw(format!("the end {name}"), Refused(says), move |ground| {
            let request = ground.harmless().options(["quiet", "message=x"]);
            let mut bytes = request.bytes();
            bytes.truncate(at(&request));
            bytes
        })
    };
    vec![
        cut("within the first length", "hung up", |_| 2),
        cut("after the first length", "hung up", |_| 4),
        cut("within the first line", "hung up", |_| 60),
        cut("after the first line", "hung up", |request| {
            before_options(request) - FLUSH.len()
        }),
        cut("within the flush", "hung up", |request| {
            before_options(request) - 2
        }),
        cut("after the flush", "hung up", before_options),
        cut("within an option", "hung up", |request| {
            before_options(request) + 6
        }),
        cut("after an option", "hung up", |request| {
            before_options(request) + packet(b"quiet").len()
        }),
        cut("before the pack", "eof before pack header", before_pack),
        cut(
            "within the pack's name",
            "eof before pack header",
            |request| before_pack(request) + 2,
        ),
        cut(
            "within the pack's head",
            "eof before pack header",
            |request| before_pack(request) + 10,
        ),
        cut("after the pack's head", "early EOF", |request| {
            before_pack(request) + 12
        }),
        cut("within the first object", "early EOF", |request| {
            before_pack(request) + 20
        }),
        cut("in the middle of the pack", "early EOF", |request| {
            before_pack(request) + request.pack.len() / 2
        }),
        cut("before the checksum", "early EOF", |request| {
            request.bytes().len() - 20
        }),
        cut("within the checksum", "early EOF", |request| {
            request.bytes().len() - 1
        }),
    ]
}

fn before_pack(request: &Request) -> usize {
    request.bytes().len() - request.pack.len()
}

fn before_options(request: &Request) -> usize {
    let without = Request {
        options: Some(Vec::new()),
        pack: Vec::new(),
        ..request.clone()
    };
    without.bytes().len() - FLUSH.len()
}
