//! Everything that handover's processes say to each other as JSON, and the app to its keeper: understood or refused, and
//! what is understood survives being written. The client's lines are the same however the bytes come.

#![no_main]

use std::time::Duration;

use handover::control::LineBuffer;
use handover::control::types::{
    Cancelled, CreateApp, CreatedApp, DeployCommit, Domain, Domains, Line, Nginx, Push, Refusal,
    Releases, RemoveHooks, Scale, ServerStatus, Status,
};
use handover::report::{Event, Renderer};
use handover::{front, keep};
use handover_fuzz::{numbered, round_trip};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((at_most, text)) = numbered(data) else {
        return;
    };
    let lines = lines(std::iter::once(text));
    assert_eq!(lines, self::lines(text.chunks(at_most)));
    let whole: Vec<_> = text.split(|&byte| byte == b'\n').collect();
    assert_eq!(lines.len(), whole.len() - 1);
    let mut renderer = Renderer::default();
    for line in whole {
        control(line);
        data_plane(line);
        if let Some(event) = round_trip::<Event>(line) {
            shown(&mut renderer, &event);
        }
    }
});

fn lines<'d>(pieces: impl Iterator<Item = &'d [u8]>) -> Vec<String> {
    let mut buffer = LineBuffer::default();
    pieces.for_each(|piece| buffer.take(piece));
    std::iter::from_fn(|| buffer.next_line()).collect()
}

fn control(json: &[u8]) {
    round_trip::<CreateApp>(json);
    round_trip::<CreatedApp>(json);
    round_trip::<Push>(json);
    round_trip::<DeployCommit>(json);
    round_trip::<Scale>(json);
    round_trip::<Domain>(json);
    round_trip::<Domains>(json);
    round_trip::<Nginx>(json);
    round_trip::<RemoveHooks>(json);
    round_trip::<Cancelled>(json);
    round_trip::<Status>(json);
    round_trip::<ServerStatus>(json);
    round_trip::<Releases>(json);
    round_trip::<Refusal>(json);
    round_trip::<Line>(json);
}

fn data_plane(json: &[u8]) {
    round_trip::<keep::Request>(json);
    round_trip::<keep::Reply>(json);
    round_trip::<keep::KeepEvent>(json);
    round_trip::<keep::Spec>(json);
    round_trip::<front::Request>(json);
    round_trip::<front::Reply>(json);
    // Only read here: the app is what writes it.
    let _ = serde_json::from_slice::<keep::FromProcess>(json);
}

/// Whatever an event says, it can be told.
fn shown(renderer: &mut Renderer, event: &Event) {
    renderer.lines(event);
    renderer.still_at_it(Duration::MAX);
    let _ = (event.verdict(), event.reason(), event.is_important());
}
