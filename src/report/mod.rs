//! What is told: one vocabulary of events, and the views of it.
//!
//! The push, `handover logs --deploy`, the control API and the deploy's own log file all show the same
//! [`Event`] stream and so can't disagree. Everything that a build prints passes [`clean_line`] once, where it enters.

mod causes;
mod clean;
mod event;
mod render;
mod size;

pub use causes::with_causes;
pub use clean::{LineSplitter, clean_line};
pub use event::{Event, EventKind, Failure, Origin, Phase, Stream, Verdict};
pub use render::Renderer;
pub use size::size_text;
