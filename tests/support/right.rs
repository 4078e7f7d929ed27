//! Whether an installation is in a state that it may be in: what holds at any moment at which nothing is being deployed,
//! whatever has been killed, has failed or was full before.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::Server;
use super::invariants::branch;
use super::wait::patience;

/// How long what was promised for 5 s after the end may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

impl Server {
    /// Panics with all that is not as it may be, if that lasts.
    #[track_caller]
    pub fn assert_right(&self) {
        let wrong = self.lastingly_wrong();
        assert!(
            wrong.is_empty(),
            "not as it may be: {wrong:#?}\nserver's log:\n{}",
            self.log()
        );
    }

    /// All that is not as it may be, and stays so.
    pub fn lastingly_wrong(&self) -> Vec<String> {
        let deadline = Instant::now() + patience(PATIENCE);
        loop {
            let wrong = wrong(self);
            if wrong.is_empty() || Instant::now() > deadline {
                return wrong;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// All that is not as it may be just now, a line each.
pub fn wrong(server: &Server) -> Vec<String> {
    let status = server.json(&["status"]);
    let database = match open(server.home()) {
        Ok(database) => database,
        Err(error) => return vec![format!("the database can't be opened: {error}")],
    };
    let mut wrong = Vec::new();
    let found: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    if found != "ok" {
        wrong.push(format!("integrity_check says: {found}"));
    }
    let apps = status["apps"].as_array().unwrap();
    for app in apps {
        let name = app["name"].as_str().unwrap();
        let one = One {
            name,
            status: app,
            database: &database,
            run: server.run_dir(name),
            dir: server.app_dir(name),
        };
        let found = [
            one.deploys(),
            one.records(),
            one.releases(),
            one.live(),
            one.generations(),
            one.directories(),
            one.store(),
        ]
        .concat();
        wrong.extend(found.into_iter().map(|text| format!("{name}: {text}")));
    }
    wrong.extend(processes(server.home()));
    wrong
}

fn open(home: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(home.join("handover.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// One app, from all sides.
struct One<'a> {
    name: &'a str,
    status: &'a Value,
    database: &'a Connection,
    run: PathBuf,
    dir: PathBuf,
}

impl One<'_> {
    fn rows(&self, sql: &str) -> Vec<String> {
        let mut statement = self.database.prepare(sql).unwrap();
        let rows = statement.query_map([self.name], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Every deploy has ended. (Whoever asks has waited for what he has begun.)
    fn deploys(&self) -> Vec<String> {
        let open = self.rows(
            "SELECT number || ' is ' || state FROM deploys
             WHERE app = ?1 AND (state IN ('waiting', 'running') OR ended_at IS NULL)",
        );
        open.iter().map(|text| format!("deploy {text}")).collect()
    }

    /// Whoever reads the record of a deploy learns how it has ended.
    fn records(&self) -> Vec<String> {
        let ended = self.rows(
            "SELECT CAST(number AS TEXT) FROM deploys WHERE app = ?1 AND ended_at IS NOT NULL",
        );
        let untold = ended.iter().filter(|number| {
            let record = self.dir.join(format!("logs/deploy-{number}.jsonl"));
            std::fs::read_to_string(record).is_ok_and(|text| !text.lines().any(is_end))
        });
        untold
            .map(|number| format!("the record of deploy {number} has no end"))
            .collect()
    }

    /// Every release was live once: of a deploy that came to nothing there is none.
    fn releases(&self) -> Vec<String> {
        let vain = self.rows(
            "SELECT releases.number || ' is of a deploy that is ' || state FROM releases
             JOIN deploys ON deploys.app = releases.app AND deploys.number = releases.deploy
             WHERE releases.app = ?1 AND state IN ('failed', 'superseded', 'interrupted')",
        );
        vain.iter().map(|text| format!("release {text}")).collect()
    }

    /// One release is live, the branch names it, and `live.sock` leads to an app that answers.
    fn live(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let live = &self.status["live"];
        let rows = self
            .rows("SELECT CAST(number AS TEXT) FROM generations WHERE app = ?1 AND state = 'live'");
        let Some(generation) = live["generation"].as_u64() else {
            if !rows.is_empty() {
                wrong.push(format!(
                    "generation {rows:?} is remembered as live, and nothing is"
                ));
            }
            return wrong;
        };
        if rows != [generation.to_string()] {
            wrong.push(format!(
                "generation {generation} is live, and {rows:?} is remembered so"
            ));
        }
        let names = branch(Path::new(self.status["repo"].as_str().unwrap()));
        if live["commit"] != names {
            wrong.push(format!(
                "the branch names {names}, and {} is live",
                live["commit"]
            ));
        }
        let (live_sock, own) = (
            self.run.join("live.sock"),
            self.run.join(format!("g{generation}.sock")),
        );
        if inode(&live_sock).is_none() || inode(&live_sock) != inode(&own) {
            wrong.push(format!(
                "live.sock does not lead to generation {generation}"
            ));
        }
        if let Err(reason) = answers(&live_sock) {
            wrong.push(format!("live.sock: {reason}"));
        }
        wrong
    }

    /// What is remembered of generations is what serves and what drains.
    fn generations(&self) -> Vec<String> {
        let draining = self.status["draining"].as_array().unwrap();
        let told: BTreeSet<String> = draining
            .iter()
            .chain([&self.status["live"]])
            .filter_map(|one| Some(one["generation"].as_u64()?.to_string()))
            .collect();
        let rows = self.rows("SELECT CAST(number AS TEXT) FROM generations WHERE app = ?1");
        let rows: BTreeSet<String> = rows.into_iter().collect();
        if rows == told {
            Vec::new()
        } else {
            vec![format!(
                "generations {rows:?} are remembered, and {told:?} serve or drain"
            )]
        }
    }

    /// There are the releases and sockets that are remembered, and nothing else.
    fn directories(&self) -> Vec<String> {
        let releases = self.rows("SELECT CAST(number AS TEXT) FROM releases WHERE app = ?1");
        let releases: BTreeSet<String> = releases.into_iter().collect();
        let generations = self.rows("SELECT CAST(number AS TEXT) FROM generations WHERE app = ?1");
        let mut names: BTreeSet<String> = ["live.sock", "previous.sock"].map(str::to_owned).into();
        for number in generations {
            names.extend([format!("g{number}"), format!("g{number}.sock")]);
        }
        let there = names_in(&self.dir.join("releases"));
        let mut wrong = Vec::new();
        if there != releases {
            wrong.push(format!(
                "releases {releases:?} are remembered, and {there:?} are there"
            ));
        }
        let strange: Vec<_> = names_in(&self.run).difference(&names).cloned().collect();
        if !strange.is_empty() {
            wrong.push(format!("{strange:?} are in the run directory"));
        }
        wrong
    }

    /// There are whole trees, and at most one in readiness. What becomes one may wait for its time; what is written or taken
    /// is so for a deploy or after it.
    fn store(&self) -> Vec<String> {
        let there = names_in(&self.dir.join("store"));
        let (ready, others): (Vec<_>, Vec<_>) =
            there.iter().partition(|name| name.starts_with("spare-"));
        let is_tree = |name: &str| Path::new(name).extension().is_some_and(|end| end == "tree");
        let strange: Vec<_> = others
            .into_iter()
            .filter(|name| !is_tree(name) && *name != ".spare")
            .collect();
        let mut wrong = Vec::new();
        if !strange.is_empty() {
            wrong.push(format!("{strange:?} are in the store"));
        }
        if ready.len() > 1 {
            wrong.push(format!("{ready:?} are in readiness"));
        }
        wrong
    }
}

fn is_end(line: &str) -> bool {
    let event = serde_json::from_str::<Value>(line).unwrap_or_default();
    ["live", "failed", "superseded"].contains(&event["event"].as_str().unwrap_or_default())
}

fn names_in(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|meta| meta.ino())
}

/// An answer below 500, as the health check of an app that sets nothing else wants it.
fn answers(socket: &Path) -> Result<(), String> {
    let ask = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok::<_, std::io::Error>(head)
    };
    let head = ask().map_err(|error| error.to_string())?;
    let status = String::from_utf8_lossy(&head[9..]).into_owned();
    match status.parse::<u16>() {
        Ok(status) if status < 500 => Ok(()),
        _ => Err(format!("it answers {status}")),
    }
}

/// Whatever works in the directories of apps belongs to a keeper that is remembered.
fn processes(home: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for pid in pids() {
        let Ok(cwd) = std::fs::read_link(format!("/proc/{pid}/cwd")) else {
            continue;
        };
        if !cwd.starts_with(home.join("apps"))
            || state_of(pid).is_none_or(|(state, _)| state == 'Z')
        {
            continue;
        }
        if !ancestors(pid).any(|above| is_keeper(above, home)) {
            wrong.push(format!(
                "process {pid} ({}) belongs to nobody",
                cmdline(pid)
            ));
        }
    }
    wrong
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn cmdline(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// State and parent (`proc_pid_stat(5)`).
fn state_of(pid: u32) -> Option<(char, u32)> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut rest = line.rsplit_once(')')?.1.split_whitespace();
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

fn ancestors(pid: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(pid), |&pid| {
        Some(state_of(pid)?.1).filter(|&parent| parent > 1)
    })
}

fn is_keeper(pid: u32, home: &Path) -> bool {
    let line = cmdline(pid);
    line.split(' ').any(|word| word == "keep") && line.contains(home.to_str().unwrap())
}
