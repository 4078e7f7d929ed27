//! What a push says: refs, options, and what is to be done about each. Pure, but for the stream that git's
//! `proc-receive` talks over.

mod names;
mod options;
mod proc_receive;
mod refs;
mod stage;

pub use names::{NameError, REFS_MAX, check_name, name_in_line};
pub use options::{OptionError, PushOptions, Verbosity};
pub use proc_receive::{Answer, Conversation, ProtocolError};
pub use refs::{RefError, RefUpdate, Sorted, named_twice, sort};
pub use stage::PushStage;
