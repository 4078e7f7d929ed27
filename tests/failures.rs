//! A failed deploy changes nothing, whatever it failed of: the old version serves every request, the pusher reads
//! what failed, why, and what to do, nothing is left over, and the same commit can be pushed again.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::invariants::{Traces, branch, unchanged};
use support::steady::{TICKING_SERVER, Users};
use support::{Project, Server, Shop, http, until};

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

/// Answers, passes its health check, and crashes a second after its start, each time.
fn crashing_server() -> String {
    TICKING_SERVER.to_owned()
        + "setTimeout(() => { throw new Error('the queue is gone'); }, 1000);\n"
}

/// What was told of a deploy, as `handover logs` shows it.
fn told(server: &Server, deploy: u32) -> String {
    let output = server.run(&["logs", "shop", "--deploy", &deploy.to_string()]);
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_version_that_keeps_crashing_after_its_swap_is_swapped_back_by_itself() {
    let shop = Shop::open("v0");
    let first = shop.server.status("shop")["live"]["commit"].clone();
    let users = Users::of_any_version(shop.server.address());
    shop.project.write("server.js", &crashing_server());
    shop.project.version("v1");
    shop.project.push(&shop.repo).went_live();
    until("the first version serves again", || {
        let live = &shop.server.status("shop")["live"];
        (live["release"] == 1).then_some(())
    });
    shop.server.until_drained("shop");
    let body = http::get(shop.server.address(), "/").unwrap().body;
    assert_eq!(body, "version v0\n");

    let status = shop.server.status("shop");
    assert_eq!(status["state"], "live");
    assert_eq!(status["live"]["commit"], first);
    assert_eq!(branch(&shop.repo), first.as_str().unwrap());
    let told = told(&shop.server, 2);
    for words in [
        "success: release 2 is live",
        "error: watch: instance 0 keeps crashing: at last it ran for ",
        "with exit code 1",
        "release 1 serves again in place of release 2",
        "hint: what it printed: handover logs shop",
    ] {
        assert!(told.contains(words), "{words:?} is not in:\n{told}");
    }
    assert!(!told.contains("gone away"), "{told}");
    assert!(
        shop.server
            .ok(&["logs", "shop"])
            .contains("Error: the queue is gone")
    );

    // One user waits for one answer at a time: each crash can take one request that the app had accepted, and none
    // that waited in its queue.
    let tally = users.finish();
    assert!(tally.failures.len() <= 2, "{:#?}", tally.failures);
    assert!(tally.answers > 500, "{}", tally.answers);

    // The same commit can be pushed again, and comes to the same end.
    shop.project.push(&shop.repo).went_live();
    until("the first version serves again", || {
        let live = &shop.server.status("shop")["live"];
        (live["release"] == 1).then_some(())
    });
}

#[test]
fn swapping_back_returns_to_the_generation_that_still_drains() {
    let shop = Shop::open("v0");
    let before = shop.server.instance_pids("shop");
    let generation = shop.server.status("shop")["live"]["generation"].clone();
    // One who listens to the old version keeps it from ending, and hears it on through both swaps.
    let users = Users::listening(shop.server.address());
    shop.project.write("server.js", &crashing_server());
    shop.project.version("v1");
    shop.project.push(&shop.repo).went_live();
    until("the first generation serves again", || {
        let live = &shop.server.status("shop")["live"];
        (live["generation"] == generation).then_some(())
    });
    assert_eq!(shop.server.instance_pids("shop"), before);
    shop.server.until_drained("shop");
    assert_eq!(
        http::get(shop.server.address(), "/").unwrap().body,
        "version v0\n"
    );
    users.finish().all_answered();
}

#[test]
fn one_end_of_an_instance_is_an_accident_and_swaps_nothing_back() {
    let shop = Shop::open("v0");
    shop.project
        .write("handover.toml", "[watch]\nfor = \"3s\"\n");
    shop.project.version("v1");
    shop.project.push(&shop.repo).went_live();
    let killed = shop.server.instance_pids("shop");
    for pid in &killed {
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
    }
    until("the trial is over", || {
        shop.server
            .log()
            .contains("new version has stayed up")
            .then_some(())
    });
    let status = shop.server.status("shop");
    assert_eq!(status["live"]["release"], 2);
    assert_eq!(status["live"]["instances"][0]["restarts"], 1);
}

#[test]
fn a_way_back_that_is_due_waits_for_the_deploy_that_runs_and_comes_before_those_that_wait() {
    let shop = Shop::open("v0");
    let first = branch(&shop.repo);
    shop.project.write("server.js", &crashing_server());
    shop.project.version("v1");
    shop.project.push(&shop.repo).went_live();
    // A correction that does not even build, and takes longer than the crashes.
    shop.project.write(
        "package.json",
        &package(
            r#""scripts": {"start": "node server.js", "build": "until [ -e go ]; do sleep 0.05; done; exit 1"}"#,
        ),
    );
    shop.project.version("v2");
    let mut push = shop.project.push_command(&shop.repo, &["main"]);
    let push = push.stderr(std::process::Stdio::piped()).spawn().unwrap();
    until("the crashes are noticed", || {
        let noticed = shop.server.log().contains("new version does not stay up");
        noticed.then_some(())
    });
    assert_eq!(shop.server.status("shop")["live"]["release"], 2);
    let release = shop.server.app_dir("shop").join("releases/3");
    std::fs::write(release.join("go"), "").unwrap();
    let pushed = support::project::pushed(&push.wait_with_output().unwrap());
    pushed.says("error: build: ").says("release 2 serves on");
    until("the first version serves again", || {
        let status = shop.server.status("shop");
        (status["live"]["release"] == 1 && status["state"] == "live").then_some(())
    });
    assert_eq!(branch(&shop.repo), first);
}

#[test]
fn where_there_is_no_way_back_the_new_version_stays_and_it_is_told() {
    let shop = Shop::open("v0");
    // The version before can't be started any more: what it needs is gone.
    let needs = "if (require('node:fs').existsSync(`${__dirname}/../../gone`)) process.exit(9);\n";
    shop.project
        .write("server.js", &format!("{needs}{TICKING_SERVER}"));
    shop.project.version("v1");
    shop.project.push(&shop.repo).went_live();
    shop.project.write("server.js", &crashing_server());
    let bad = shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
    shop.server.until_drained("shop");
    std::fs::write(shop.server.app_dir("shop").join("gone"), "").unwrap();
    until("it is told", || {
        let told = told(&shop.server, 3);
        let words = "; and release 2 can't be brought back: start: instance 0 ended after ";
        (told.contains("warning: instance 0 keeps crashing") && told.contains(words)).then_some(())
    });
    assert_eq!(shop.server.status("shop")["live"]["release"], 3);
    assert_eq!(branch(&shop.repo), bad);
    // The next good version puts an end to it.
    shop.project.write("server.js", TICKING_SERVER);
    shop.project.version("v3");
    shop.project.push(&shop.repo).went_live();
    assert_eq!(
        http::get(shop.server.address(), "/").unwrap().body,
        "version v3\n"
    );
}

#[test]
fn a_trial_goes_on_when_the_server_is_started_again() {
    let mut shop = Shop::open("v0");
    shop.project.write("server.js", &crashing_server());
    shop.project.version("v1");
    shop.project.push(&shop.repo).went_live();
    shop.server.end(Signal::SIGKILL);
    let again = shop.server.same_address();
    shop.server.launch(&[&again[0], &again[1]]);
    until("the first version serves again", || {
        let live = &shop.server.status("shop")["live"];
        (live["release"] == 1).then_some(())
    });
    assert!(told(&shop.server, 2).contains("release 1 serves again in place of release 2"));
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
