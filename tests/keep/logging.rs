use handover::keep::LogLimits;

use super::load::Load;
use super::support::*;

#[tokio::test]
async fn lines_carry_time_generation_instance_and_output() {
    let server = format!("console.log('\\x1b[32mgreen\\x1b[0m'); console.error('red');{SERVER}");
    let app = App::new(&[("server.js", &server)]);
    let generation = app.serving(1).await;
    generation.stopped().await;
    let log = app.log();
    let line = log.lines().find(|line| line.contains("green")).unwrap();
    let (time, rest) = line.split_once(' ').unwrap();
    assert!(
        time.parse::<handover::time::Timestamp>().is_ok() && time.len() == 24,
        "{time}"
    );
    assert_eq!(rest, "g1.0 out green");
    assert!(log.contains(" g1.0 err red\n"));
}

#[tokio::test]
async fn two_keepers_rotate_one_log_and_no_line_is_lost_or_torn() {
    const LINES: usize = 3000;
    let printer = r"
const label = process.env.HANDOVER_RELEASE + '-' + process.argv[2];
for (let i = 0; i < 3000; i++) console.log('line', label, i, 'x'.repeat(60));
require('./server.js');";
    let app = App::new(&[("server.js", SERVER), ("printer.js", printer)]);
    let mut generations = Vec::new();
    for number in [1, 2] {
        let mut spec = app.spec(number, &format!("node printer.js {number}"));
        spec.log_limits = LogLimits {
            file_bytes: 40_000,
            files: 40,
        };
        generations.push(app.start(spec).await);
    }
    for generation in generations {
        generation.ready().await.stopped().await;
    }
    let mut all = String::new();
    for entry in std::fs::read_dir(app.paths.logs()).unwrap() {
        let path = entry.unwrap().path();
        assert!(std::fs::metadata(&path).unwrap().len() < 40_000 + 2 * 66_000);
        all.push_str(&std::fs::read_to_string(path).unwrap());
    }
    for number in 1..=2 {
        let own = format!("g{number}.0 out line 4-{number} ");
        let lines = all.lines().filter(|line| line.contains(&own));
        assert_eq!(lines.count(), LINES);
    }
    assert!(app.paths.logs().join("app.log.1").exists());
    assert!(all.lines().all(|line| line.starts_with("20")));
}

#[tokio::test]
async fn a_full_disk_never_holds_up_the_app() {
    let app = App::server();
    let mut spec = app.spec(1, "node server.js");
    spec.log = "/dev/full".into();
    let generation = app.start(spec).await.ready().await;
    // Far more than the pipe and the queue hold together.
    let load = Load::start(generation.socket(), 4);
    load.go_on_for(50).await;
    for _ in 0..200 {
        generation.get("/print").await;
    }
    let (_, bad) = load.finish().await;
    assert!(bad.is_empty(), "{bad:?}");
    let tail = generation.keeper.tail().await.unwrap();
    assert!(tail.len() == 50 && tail[49].starts_with("printed "));
    generation.stopped().await;
}

#[tokio::test]
async fn a_disk_that_hangs_never_holds_up_the_app_and_dropped_lines_are_told() {
    let printer =
        "for (let i = 0; i < 60000; i++) console.log('x'.repeat(80));\nrequire('./server.js');";
    let app = App::new(&[("server.js", SERVER), ("printer.js", printer)]);
    // A FIFO that nobody reads: opening it for writing hangs until somebody does.
    let fifo = app.paths.logs().join("hanging.log");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let mut spec = app.spec(1, "node printer.js");
    spec.log = fifo.clone();
    let generation = app.start(spec).await.ready().await;
    assert_eq!(generation.get("/").await, "instance 0");
    let reader = std::thread::spawn(move || {
        use std::io::{BufRead as _, BufReader};
        let lines = BufReader::new(std::fs::File::open(fifo).unwrap()).lines();
        lines
            .map(Result::unwrap)
            .find(|line| line.contains("lines were dropped"))
    });
    until("the note", async || {
        let _ = generation.get("/print").await;
        reader.is_finished().then_some(())
    })
    .await;
    assert!(reader.join().unwrap().is_some());
    generation.stopped().await;
}
