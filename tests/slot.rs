//! Publishing and counting, on real sockets.
#![allow(clippy::unwrap_used)] // helpers of tests are not seen as tests

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use handover::ids::GenerationNumber;
use handover::paths::{AppPaths, Layout, Surroundings};
use handover::process::socket::bind_listener;
use handover::slot::{self, Connections, Published, SlotError};

struct Fixture {
    app: AppPaths,
    _home: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let home = tempfile::tempdir().unwrap();
    let layout = Layout::choose(Some(home.path()), &Surroundings::default()).unwrap();
    let app = layout.app(&"shop".parse().unwrap());
    slot::prepare(&app, None).unwrap();
    Fixture { app, _home: home }
}

impl Fixture {
    fn listen(&self, number: u32) -> UnixListener {
        let path = self.app.generation_socket(GenerationNumber(number));
        let listener = bind_listener(&path, 0o660, None, 4096).unwrap();
        listener.set_nonblocking(false).unwrap();
        listener
    }

    fn publish(&self, number: u32) -> Option<u32> {
        let Published { replaced } = slot::publish(&self.app, GenerationNumber(number)).unwrap();
        replaced.map(|generation| generation.0)
    }

    fn count(&self, number: u32) -> (u64, u64) {
        let socket = self.app.generation_socket(GenerationNumber(number));
        let Connections {
            established,
            queued,
        } = slot::connections(&socket).unwrap();
        (established, queued)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.app.run())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_publish_tells_what_it_replaced_and_leaves_a_way_back() {
    let f = fixture();
    let _listeners: Vec<_> = (1..=3).map(|n| f.listen(n)).collect();
    assert_eq!(f.publish(1), None);
    assert_eq!(f.publish(2), Some(1));
    assert_eq!(slot::live(&f.app), Some(GenerationNumber(2)));
    assert_eq!(slot::previous(&f.app), Some(GenerationNumber(1)));
    // Again: nothing changes, and the way back still leads to the one before.
    assert_eq!(f.publish(2), None);
    assert_eq!(slot::previous(&f.app), Some(GenerationNumber(1)));
    // Back.
    assert_eq!(f.publish(1), Some(2));
    assert_eq!(slot::live(&f.app), Some(GenerationNumber(1)));
    assert_eq!(
        f.names(),
        [
            "g1.sock",
            "g2.sock",
            "g3.sock",
            "live.sock",
            "previous.sock"
        ]
    );
}

#[test]
fn a_generation_that_is_not_there_leaves_the_live_one_alone() {
    let f = fixture();
    let _listener = f.listen(1);
    assert_eq!(f.publish(1), None);
    let error = slot::publish(&f.app, GenerationNumber(9)).unwrap_err();
    assert!(matches!(error, SlotError::Point { .. }), "{error}");
    assert_eq!(slot::live(&f.app), Some(GenerationNumber(1)));
    assert!(!f.names().iter().any(|name| name.starts_with('.')));
}

#[test]
fn names_that_lead_nowhere_are_swept_and_others_stay() {
    let f = fixture();
    let _listeners: Vec<_> = (1..=2).map(|n| f.listen(n)).collect();
    f.publish(1);
    f.publish(2);
    std::fs::write(f.app.run().join(".publish-1-1"), "").unwrap();
    slot::sweep(&f.app).unwrap();
    assert_eq!(
        f.names(),
        ["g1.sock", "g2.sock", "live.sock", "previous.sock"]
    );
    std::fs::create_dir(f.app.generation(GenerationNumber(1)).dir()).unwrap();
    slot::remove_generation(&f.app, GenerationNumber(1)).unwrap();
    slot::remove_generation(&f.app, GenerationNumber(1)).unwrap();
    slot::sweep(&f.app).unwrap();
    assert_eq!(f.names(), ["g2.sock", "live.sock"]);
    slot::unpublish(&f.app).unwrap();
    assert_eq!(slot::live(&f.app), None);
}

#[test]
fn whatever_is_named_after_a_generation_is_found_and_removed() {
    let f = fixture();
    let _listener = f.listen(2);
    for name in ["g1.retired.json", "g3.retired.json.new", "go"] {
        std::fs::write(f.app.run().join(name), "{").unwrap();
    }
    assert_eq!(slot::left_behind(&f.app), [1, 2, 3].map(GenerationNumber));
    for number in [1, 3] {
        slot::remove_generation(&f.app, GenerationNumber(number)).unwrap();
    }
    assert_eq!(f.names(), ["g2.sock", "go"]);
}

#[test]
fn the_fronts_group_may_pass_and_nobody_else() {
    let f = fixture();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(f.app.run()), 0o700);
    let own = std::fs::metadata(f.app.run()).unwrap().gid();
    let group = if handover::process::socket::is_root() {
        4242
    } else {
        own
    };
    slot::prepare(&f.app, Some(group)).unwrap();
    let meta = std::fs::metadata(f.app.run()).unwrap();
    assert_eq!((meta.gid(), mode(f.app.run())), (group, 0o710));
}

#[test]
fn connections_are_counted_by_generation_whatever_was_renamed_since() {
    let f = fixture();
    let old = f.listen(1);
    f.publish(1);
    let live = f.app.live_socket();
    let mut clients: Vec<_> = (0..5)
        .map(|_| UnixStream::connect(&live).unwrap())
        .collect();
    let accepted: Vec<_> = (0..3).map(|_| old.accept().unwrap().0).collect();
    assert_eq!(f.count(1), (3, 2));
    let _new = f.listen(2);
    f.publish(2);
    clients.push(UnixStream::connect(&live).unwrap());
    assert_eq!((f.count(1), f.count(2)), ((3, 2), (0, 1)));
    let inodes = slot::established_inodes(&f.app.generation_socket(GenerationNumber(1))).unwrap();
    assert_eq!(inodes.len(), 3);
    // A client that gives up still waits in the queue; one that was accepted counts until the app closes it.
    drop(clients);
    assert_eq!(f.count(1), (3, 2));
    drop(accepted);
    assert_eq!(f.count(1), (0, 2));
    drop(old);
    assert_eq!(f.count(1), (0, 0));
}

#[test]
fn thousands_are_counted_exactly() {
    const CLIENTS: u32 = 400;
    let f = fixture();
    let listener = f.listen(1);
    let socket = f.app.generation_socket(GenerationNumber(1));
    let mut held = Vec::new();
    for _ in 0..CLIENTS {
        held.push(UnixStream::connect(&socket).unwrap());
        held.push(listener.accept().unwrap().0);
    }
    assert_eq!(f.count(1), (u64::from(CLIENTS), 0));
}

#[test]
fn no_connect_fails_while_generations_are_swapped() {
    const SWAPS: u32 = 2000;
    let f = fixture();
    let listeners: Vec<_> = (1..=2).map(|n| f.listen(n)).collect();
    f.publish(1);
    let stop = AtomicBool::new(false);
    let served = AtomicU32::new(0);
    let live = f.app.live_socket();
    std::thread::scope(|scope| {
        for (number, listener) in (1u8..).zip(&listeners) {
            scope.spawn(move || {
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    let mut word = [0];
                    if stream.read_exact(&mut word).is_err() || word == *b"q" {
                        return;
                    }
                    stream.write_all(&[number]).unwrap();
                }
            });
        }
        let client = scope.spawn(|| {
            let mut seen = [0u32; 2];
            while !stop.load(Ordering::Relaxed) {
                let mut stream = UnixStream::connect(&live).unwrap();
                stream.write_all(b"?").unwrap();
                let mut number = [0];
                stream.read_exact(&mut number).unwrap();
                seen[usize::from(number[0]) - 1] += 1;
                served.fetch_add(1, Ordering::Relaxed);
            }
            seen
        });
        for swap in 0..SWAPS {
            let before = served.load(Ordering::Relaxed);
            f.publish(2 - swap % 2);
            while swap % 50 == 0 && served.load(Ordering::Relaxed) < before + 2 {
                std::thread::yield_now();
                assert!(!client.is_finished(), "a connect failed");
            }
        }
        stop.store(true, Ordering::Relaxed);
        let seen = client.join().unwrap();
        for number in 1..=2 {
            let socket = f.app.generation_socket(GenerationNumber(number));
            UnixStream::connect(socket)
                .unwrap()
                .write_all(b"q")
                .unwrap();
        }
        assert!(seen.iter().all(|&n| n > 0), "{seen:?}");
    });
}
