//! What git says to `proc-receive`, in any bytes: understood or refused, the same however it trickles in; and what git is
//! answered is always whole pkt-lines, one for each ref.

#![no_main]

use handover::push::{Answer, Conversation, REFS_MAX, sort};
use handover_fuzz::{Trickle, assert_one_line, numbered};
use libfuzzer_sys::fuzz_target;

/// The longest pkt-line, its length included (gitprotocol-common(5)).
const PACKET_MAX: usize = 65520;

fuzz_target!(|data: &[u8]| {
    let Some((at_most, said)) = numbered(data) else {
        return;
    };
    let mut greeted = Vec::new();
    let heard = Conversation::open(said, &mut greeted);
    same_in_pieces(&heard, said, at_most);
    match heard {
        Err(error) => assert_one_line(error),
        Ok(heard) => {
            assert!(heard.updates.len() <= REFS_MAX && heard.options.len() <= 100);
            assert!(packets(&greeted)[0].starts_with(b"version=1"));
            answer(&heard, &String::from_utf8_lossy(said));
            let sorted = sort(&heard.updates, "main");
            sorted.notes.iter().for_each(assert_one_line);
        }
    }
});

fn same_in_pieces(
    whole: &Result<Conversation, handover::push::ProtocolError>,
    said: &[u8],
    at_most: usize,
) {
    let trickle = Trickle {
        data: said,
        at_most,
    };
    match (whole, Conversation::open(trickle, Vec::new())) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(whole.updates, pieces.updates);
            assert_eq!(whole.options, pieces.options);
        }
        (Err(whole), Err(pieces)) => assert_eq!(whole.to_string(), pieces.to_string()),
        (whole, pieces) => panic!("whole: {whole:?}, in pieces: {pieces:?}"),
    }
}

fn answer(heard: &Conversation, reason: &str) {
    let refused = || Answer::Refused(reason.to_owned());
    let answers: Vec<_> = (0..heard.updates.len())
        .map(|n| if n % 2 == 0 { refused() } else { Answer::Ok })
        .collect();
    let longest = heard.updates.iter().map(|update| update.name.len()).max();
    let mut output = Vec::new();
    if heard.answer(&mut output, &answers).is_err() {
        // A name that leaves no room for a reason.
        assert!(longest.is_some_and(|longest| longest > PACKET_MAX - 1000));
        return;
    }
    let lines = packets(&output);
    assert_eq!(lines.len(), heard.updates.len());
    for (n, (line, update)) in lines.iter().zip(&heard.updates).enumerate() {
        if n % 2 == 0 {
            let reason = line.strip_prefix(format!("ng {} ", update.name).as_bytes());
            assert_one_line(String::from_utf8_lossy(
                reason.expect("it is about the ref"),
            ));
        } else {
            assert_eq!(*line, format!("ok {}", update.name).as_bytes());
        }
    }
}

/// The pkt-lines up to the one flush that ends them all.
fn packets(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    loop {
        let (length, rest) = bytes.split_at(4);
        let length = std::str::from_utf8(length).expect("a length in digits");
        let length = usize::from_str_radix(length, 16).expect("a length in digits");
        if length == 0 {
            assert!(rest.is_empty(), "nothing comes after the flush");
            return lines;
        }
        assert!((5..=PACKET_MAX).contains(&length));
        let (line, rest) = rest.split_at(length - 4);
        lines.push(line);
        bytes = rest;
    }
}
