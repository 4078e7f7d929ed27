//! All verbs × all kinds of keys.

use std::process::{Output, Stdio};

use crate::support::invariants::branch;
use crate::support::sshd::Key;
use crate::{Place, words};

/// Who may do something to `shop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// Nobody over ssh, whatever the key.
    Nobody,
    /// Only a key that has everything.
    Admin,
    /// A key that may push to the app.
    Pusher,
    /// A key that may only read the app.
    Reader,
    /// Every key that is let in.
    AnyKey,
}

use Who::{Admin, AnyKey, Nobody, Pusher, Reader};

/// What can be asked for, and who is answered. What changes something comes last.
const MATRIX: &[(&str, Who)] = &[
    ("", AnyKey),
    ("app list", AnyKey),
    ("app list --json", AnyKey),
    ("status", AnyKey),
    ("status --json", AnyKey),
    ("status shop", Reader),
    ("status shop --json", Reader),
    ("releases shop", Reader),
    ("logs shop", Reader),
    ("logs -n 5 shop", Reader),
    ("logs shop --deploy 1", Reader),
    ("logs shop --deploy 1 -f", Reader),
    ("follow shop", Reader),
    ("domains shop", Reader),
    ("nginx shop", Reader),
    ("git-upload-pack 'shop'", Reader),
    ("git-receive-pack 'shop'", Pusher),
    ("keys", Admin),
    ("keys list --json", Admin),
    ("keys authorized", Nobody),
    ("app destroy shop --yes", Nobody),
    ("app create other", Nobody),
    ("doctor", Nobody),
    ("completions bash", Nobody),
    ("hooks remove /tmp", Nobody),
    ("serve --no-front", Nobody),
    ("hook post-receive", Nobody),
    ("keep --dir /tmp", Nobody),
    ("front --control /tmp/x --listen-fd 3", Nobody),
    ("ssh --control /tmp/x root", Nobody),
    ("--home /tmp status", Nobody),
    ("status --home=/tmp", Nobody),
    ("git-upload-archive 'shop'", Nobody),
    ("git-shell", Nobody),
    ("sh", Nobody),
    ("scp -t /tmp", Nobody),
    ("cancel shop", Pusher),
    ("app set shop", Admin),
    ("app set shop webhook", Admin),
    ("app set shop force on", Admin),
    ("app set shop force off", Admin),
    ("domains shop add x.test", Admin),
    ("domains shop remove x.test", Admin),
    ("keys remove spare", Admin),
    ("scale shop web=1", Pusher),
    ("restart shop", Pusher),
    ("deploy shop", Pusher),
    ("rollback shop", Pusher),
];

#[test]
fn each_verb_does_what_the_key_may_and_nothing_else() {
    let Some(place) = Place::new() else { return };
    let sshd = &place.sshd;
    let spare = sshd.stranger("spare");
    let keys = [
        (sshd.stranger("stranger"), None),
        (sshd.key("other", &["--app", "blog"]), Some(AnyKey)),
        (
            sshd.key("reader", &["--app", "shop", "--read"]),
            Some(Reader),
        ),
        (sshd.key("own", &["--app", "shop"]), Some(Pusher)),
        (sshd.key("root", &[]), Some(Admin)),
    ];
    for (command, who) in MATRIX {
        if command.contains("spare") {
            sshd.add(&spare, &["--app", "blog"]);
        }
        let may = |is: Option<Who>| is.is_some_and(|is| is <= *who);
        let before = state_of(&place);
        std::thread::scope(|scope| {
            for (key, is) in keys.iter().filter(|(_, is)| !may(*is)) {
                scope.spawn(move || {
                    let output = sshd.ssh(key, command);
                    let what = format!("`{command}` by {}: {}", key.name, words(&output));
                    assert!(!was_answered(command, &output), "{what}");
                    assert_eq!(is.is_none(), what.contains("Permission denied"), "{what}");
                });
            }
        });
        assert_eq!(
            state_of(&place),
            before,
            "`{command}` was refused, but not without effect"
        );
        for (key, is) in keys.iter().filter(|(_, is)| may(*is)) {
            let output = sshd.ssh(key, command);
            let what = format!("`{command}` by {}: {}", key.name, words(&output));
            assert!(was_answered(command, &output), "{what}");
            assert!(
                *is != Some(AnyKey) || !words(&output).contains("shop"),
                "it is not shown: {what}"
            );
            if command.contains("spare") {
                sshd.add(&spare, &["--app", "blog"]);
            }
        }
    }
}

/// git's server programs are content to see their client go; whether they ran shows in what they said first.
fn was_answered(command: &str, output: &Output) -> bool {
    if command.starts_with("git-receive-pack") || command.starts_with("git-upload-pack") {
        return words(output).contains("refs/heads/main");
    }
    if command.starts_with("cancel") {
        return words(output).contains("no deploy of shop runs");
    }
    output.status.success()
}

/// Everything that a verb could change.
fn state_of(place: &Place) -> Vec<String> {
    let server = &place.server;
    let mut all: Vec<String> = ["shop", "blog"]
        .into_iter()
        .flat_map(|app| {
            let status = server.status(app);
            let live = &status["live"];
            [
                format!(
                    "{} {} {}",
                    status["state"],
                    live["generation"],
                    live["instances"].as_array().unwrap().len()
                ),
                server.ok(&["domains", app]),
                server.ok(&["releases", app]),
                branch(&server.app_dir(app).join("repo.git")),
            ]
        })
        .collect();
    let keys = server.json(&["keys", "list"]);
    let names = keys["keys"].as_array().unwrap().iter();
    all.extend(names.map(|key| format!("{} {} {}", key["name"], key["admin"], key["apps"])));
    all.push(server.ok(&["app", "list"]));
    all
}

#[test]
fn an_app_that_a_key_may_not_touch_looks_like_one_that_does_not_exist() {
    let Some(place) = Place::new() else { return };
    let other = place.sshd.key("other", &["--app", "blog"]);
    for command in [
        "status",
        "logs",
        "deploy",
        "git-upload-pack",
        "git-receive-pack",
        "nginx",
    ] {
        let ask = |app: &str| place.sshd.ssh(&other, &format!("{command} {app}"));
        let (there, not_there) = (ask("shop"), ask("shup"));
        assert_eq!(there.status.code(), not_there.status.code(), "{command}");
        assert_eq!(
            words(&there),
            words(&not_there).replace("shup", "shop"),
            "{command}"
        );
    }
}

#[test]
fn an_admin_adds_and_removes_keys_from_afar_and_nobody_else_does() {
    let Some(place) = Place::new() else { return };
    let sshd = &place.sshd;
    let (root, own) = (sshd.key("root", &[]), sshd.key("own", &["--app", "shop"]));
    let bob = sshd.stranger("bob");
    let add = |by: &Key, command: &str| {
        let mut asked = sshd.ssh_command(by, command);
        asked.stdin(Stdio::from(
            std::fs::File::open(bob.path.with_extension("pub")).unwrap(),
        ));
        asked.output().unwrap()
    };
    for command in ["keys add bob", "keys add bob --app shop"] {
        let refused = add(&own, command);
        assert!(
            words(&refused).contains("the key `own` may not see or change keys"),
            "{}",
            words(&refused)
        );
    }
    assert!(words(&sshd.ssh(&bob, "")).contains("Permission denied"));
    let added = add(&root, "keys add bob --app shop");
    assert!(added.status.success(), "{}", words(&added));
    assert!(words(&sshd.ssh(&bob, "")).contains("hello bob"));
    assert!(sshd.ssh(&root, "keys remove bob").status.success());
    assert!(words(&sshd.ssh(&bob, "")).contains("Permission denied"));
}

#[test]
fn nothing_is_forwarded() {
    let Some(place) = Place::new() else { return };
    let root = place.sshd.key("root", &[]);
    let front = place.server.address().to_string();
    let mut asked = place.sshd.ssh_with(&root, &["-W", &front], "");
    let output = asked.stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success());
    assert!(
        words(&output).contains("stdio forwarding failed"),
        "{}",
        words(&output)
    );
}
