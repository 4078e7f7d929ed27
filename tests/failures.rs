//! A failed deploy changes nothing, whatever it failed of: the old version serves every request, the pusher reads
//! what failed, why, and what to do, nothing is left over, and the same commit can be pushed again.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use support::invariants::{Traces, branch, unchanged};
use support::steady::{TICKING_SERVER, Users};
use support::{Project, Server, Shop, http};

impl Shop {
    /// Pushes a version that can't be deployed, once without the gate and twice with it, while the app is used. The
    /// pusher must read all of `words`.
    #[track_caller]
    fn refuses(&self, words: &[&str]) {
        let users = Users::of(self.server.address());
        let before = Traces::of(&self.server, "shop");
        self.project.version("v1");
        self.refuses_without_gate(&before, words);
        self.server.ok(&["app", "set", "shop", "gate", "on"]);
        for _ in 0..2 {
            let pushed = self.project.push(&self.repo);
            for word in words {
                pushed.says(word);
            }
            pushed.rejected();
            assert!(!pushed.text.contains("success:"), "{}", pushed.text);
            unchanged(&before, &self.server, "shop");
        }
        users.finish().all_answered();
    }

    /// Without the gate git can't be told, and the branch is put back; but what is refused early is.
    #[track_caller]
    fn refuses_without_gate(&self, before: &Traces, words: &[&str]) {
        self.server.ok(&["app", "set", "shop", "gate", "off"]);
        let pushed = self.project.push(&self.repo);
        for word in words {
            pushed.says(word);
        }
        if pushed.text.contains("(pre-receive hook declined)") {
            pushed.rejected();
        } else {
            assert_eq!(pushed.code, 0, "{}", pushed.text);
            pushed
                .says("main is back at ")
                .says("push the same commit again to try again")
                .says("release 1 serves on; nothing has changed");
        }
        unchanged(before, &self.server, "shop");
    }

    /// The same for an app that is broken by its own program.
    #[track_caller]
    fn refuses_server(&self, server_js: &str, words: &[&str]) {
        self.project.write("server.js", server_js);
        self.refuses(words);
    }

    /// The same for an app that answers its health check, at `/healthz` and with two seconds' time, in this way.
    #[track_caller]
    fn refuses_health(&self, answer: &str, words: &[&str]) {
        self.project.write(
            "handover.toml",
            "[health]\npath = \"/healthz\"\ntimeout = \"2s\"\n",
        );
        let server_js = format!(
            "require('node:http').createServer((req, res) => {{ {answer} }}).listen(process.env.PORT);"
        );
        self.refuses_server(&server_js, words);
    }
}

/// `package.json` with these scripts and whatever else.
fn package(more: &str) -> String {
    format!("{{\"name\": \"fixture-http-port\", \"version\": \"1.0.0\", {more}}}\n")
}

#[test]
fn no_package_json() {
    let shop = Shop::open("v0");
    shop.project.remove("package.json");
    shop.refuses(&[
        "error: checkout: there is no package.json at the top of the repository",
        "hint: handover deploys Node.js apps",
    ]);
}

#[test]
fn broken_package_json() {
    let shop = Shop::open("v0");
    shop.project
        .write("package.json", "{\"name\": \"shop\",\n  oops\n}\n");
    shop.refuses(&[
        "error: checkout: package.json:2:3: not valid JSON",
        "hint: correct it, commit and push again",
    ]);
}

#[test]
fn no_lockfile() {
    let shop = Shop::open("v0");
    shop.project.remove("package-lock.json");
    shop.refuses(&[
        "error: checkout: there is no package-lock.json",
        "hint: run `npm install`, commit package-lock.json",
    ]);
}

#[test]
fn lockfile_that_does_not_match() {
    let shop = Shop::open("v0");
    shop.project.write(
        "package.json",
        &package(r#""scripts": {"start": "node server.js"}, "dependencies": {"is-odd": "3.0.1"}"#),
    );
    shop.refuses(&[
        "error: install: package-lock.json does not match package.json",
        "Missing: is-odd@3.0.1",
        "hint: run `npm install`, commit package-lock.json and push again",
    ]);
}

#[test]
fn dependency_that_does_not_exist() {
    let shop = Shop::open("v0");
    // No such name can be registered, so that this holds for ever.
    let name = "@handover-fixture/does-not-exist";
    shop.project.write(
        "package.json",
        &package(&format!(
            r#""scripts": {{"start": "node server.js"}}, "dependencies": {{"{name}": "1.0.0"}}"#
        )),
    );
    shop.project.write(
        "package-lock.json",
        &package(&format!(
            r#""lockfileVersion": 3, "requires": true, "packages": {{
                "": {{"name": "fixture-http-port", "version": "1.0.0", "dependencies": {{"{name}": "1.0.0"}}}},
                "node_modules/{name}": {{"version": "1.0.0"}}
            }}"#
        )),
    );
    shop.refuses(&["error: install: ", "does-not-exist", "hint: "]);
}

#[test]
fn failing_postinstall() {
    let shop = Shop::open("v0");
    shop.project.write(
        "package.json",
        &package(
            r#""scripts": {"start": "node server.js", "postinstall": "echo no compiler here >&2; exit 3"}"#,
        ),
    );
    shop.refuses(&["error: install: ", "no compiler here", "hint: "]);
}

#[test]
fn failing_build() {
    let shop = Shop::open("v0");
    shop.project.write(
        "package.json",
        &package(
            r#""scripts": {"start": "node server.js", "build": "echo src/basket.ts:7 is wrong; exit 2"}"#,
        ),
    );
    shop.refuses(&[
        "build      npm run build",
        "src/basket.ts:7 is wrong",
        "error: build: `npm run build` ended with exit code 2",
        "hint: what it printed is above; in a fresh clone, after `npm ci`, it should fail in the same way",
    ]);
}

#[test]
fn missing_start_script() {
    let shop = Shop::open("v0");
    shop.project
        .write("app.js", &shop.project.read("server.js"));
    shop.project.remove("server.js");
    shop.project
        .write("package.json", &package(r#""scripts": {}"#));
    shop.refuses(&["error: start: ", "start", "hint: "]);
}

#[test]
fn exit_at_start() {
    Shop::open("v0").refuses_server(
        "console.error('DATABASE_URL is not set'); process.exit(7);",
        &[
            "error: start: instance 0 ended after ",
            "with exit code 7",
            "DATABASE_URL is not set",
            "hint: the app must keep running and listen on process.env.PORT",
        ],
    );
}

#[test]
fn crash_before_the_health_check_passes() {
    let shop = Shop::open("v0");
    shop.project.write(
        "handover.toml",
        "[health]\npath = \"/healthz\"\ntimeout = \"20s\"\n",
    );
    shop.refuses_server(
        "const began = Date.now();
         require('node:http').createServer((req, res) => {
           res.statusCode = Date.now() - began > 5000 ? 200 : 503;
           res.end();
         }).listen(process.env.PORT);
         setTimeout(() => { throw new Error('the queue is gone'); }, 1000);",
        &[
            "error: health: instance 0 ended after ",
            "with exit code 1",
            "Error: the queue is gone",
            "hint: ",
        ],
    );
}

#[test]
fn hangs_without_listening() {
    let shop = Shop::open("v0");
    shop.project
        .write("handover.toml", "[health]\ntimeout = \"2s\"\n");
    shop.refuses_server(
        "console.log('waiting for the database'); setInterval(() => {}, 1000);",
        &[
            "error: start: after 2 s the app does not listen yet",
            "waiting for the database",
            "hint: the app must listen on process.env.PORT",
            "hint: if it only needs longer: set [health] timeout in handover.toml",
        ],
    );
}

#[test]
fn listens_on_another_port() {
    let shop = Shop::open("v0");
    shop.project
        .write("handover.toml", "[health]\ntimeout = \"3s\"\n");
    // A number that people write, on an address that nothing else uses.
    shop.refuses_server(
        "require('node:http').createServer((req, res) => res.end('elsewhere')).listen(3000, '127.0.0.7');",
        &[
            "error: start: after 3 s the app listens on 127.0.0.7:3000, not on its PORT",
            "hint: listen on process.env.PORT",
        ],
    );
}

#[test]
fn health_path_answers_404() {
    Shop::open("v0").refuses_health(
        "console.log('asked', req.url); res.statusCode = 404; res.end();",
        &[
            "error: health: GET /healthz answered 404 when the time was up (2 s)",
            "asked /healthz",
            "hint: [health] path in handover.toml must answer with 2xx or 3xx",
        ],
    );
}

#[test]
fn health_path_answers_500() {
    Shop::open("v0").refuses_health(
        "console.error('no connection to the database'); res.statusCode = 500; res.end();",
        &[
            "error: health: GET /healthz answered 500 when the time was up (2 s)",
            "no connection to the database",
            "hint: ",
        ],
    );
}

#[test]
fn health_path_is_never_answered() {
    Shop::open("v0").refuses_health(
        "console.log('asked', req.url);",
        &[
            "error: health: GET /healthz was not answered when the time was up (2 s)",
            "asked /healthz",
            "hint: if the app only needs longer: set [health] timeout in handover.toml",
        ],
    );
}

#[test]
fn health_path_is_answered_after_the_deadline() {
    Shop::open("v0").refuses_health(
        "setTimeout(() => res.end('well'), 4000);",
        &[
            "error: health: GET /healthz was not answered when the time was up (2 s)",
            "hint: if the app only needs longer: set [health] timeout in handover.toml",
        ],
    );
}

#[test]
fn repository_without_a_commit() {
    let shop = Shop::open("v0");
    let users = Users::of(shop.server.address());
    let before = Traces::of(&shop.server, "shop");
    let pushed = Project::empty().push(&shop.repo);
    assert_ne!(pushed.code, 0);
    pushed.says("src refspec main does not match any");
    unchanged(&before, &shop.server, "shop");
    users.finish().all_answered();

    shop.server.create("empty");
    let asked = shop.server.run(&["deploy", "empty"]);
    let words = String::from_utf8_lossy(&asked.stderr);
    assert!(!asked.status.success(), "{words}");
    assert!(words.contains("main"), "{words}");
}

#[test]
fn delete_of_the_branch() {
    let shop = Shop::open("v0");
    let users = Users::of(shop.server.address());
    let before = Traces::of(&shop.server, "shop");
    let pushed = shop.project.push_with(&shop.repo, &[":main"]);
    assert_ne!(pushed.code, 0, "{}", pushed.text);
    pushed
        .says("error: receive: main is the branch that deploys, and can't be deleted")
        .says("[remote rejected] main (pre-receive hook declined)");
    unchanged(&before, &shop.server, "shop");
    users.finish().all_answered();
}

#[test]
fn push_to_another_branch_and_of_a_tag() {
    let shop = Shop::open("v0");
    let users = Users::of(shop.server.address());
    let before = Traces::of(&shop.server, "shop");
    shop.project.version("v1");
    shop.project.git(&["tag", "-a", "v1", "-m", "one"]);
    for (pushed, name) in [("main:dev", "refs/heads/dev"), ("v1", "refs/tags/v1")] {
        let pushed = shop.project.push_with(&shop.repo, &[pushed]);
        assert_eq!(pushed.code, 0, "{}", pushed.text);
        pushed
            .says(&format!("{name} is stored"))
            .says("hint: nothing was deployed; to deploy this: git push <remote> ");
        unchanged(&before, &shop.server, "shop");
    }
    users.finish().all_answered();
}

#[test]
fn a_first_deploy_that_fails_leaves_nothing_and_can_be_tried_again() {
    let server = Server::start();
    let repo = server.create("shop");
    let before = Traces::of(&server, "shop");
    let project = Project::tiny();
    project.write("server.js", "process.exit(1);");
    project.commit("broken");
    for _ in 0..2 {
        project
            .push(&repo)
            .rejected()
            .says("error: start: ")
            .says("nothing was live before, and nothing is now");
        unchanged(&before, &server, "shop");
        assert_eq!(branch(&repo), "");
    }
    assert_eq!(http::get(server.address(), "/").unwrap().status, 503);
    project.write("server.js", TICKING_SERVER);
    project.version("v1");
    project.push(&repo).went_live();
}
