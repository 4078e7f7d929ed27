//! From a commit to a directory that can be started: checkout, install, build; and away with it again.
//!
//! Everything that fails here because of the app is a value ([`StepFailure`]) with the words that its author needs.
//! Nothing of the repository runs before the install: no filter, no attribute, no hook.

mod carry;
mod checkout;
mod failure;
mod inputs;
mod inspect;
mod install;
mod links;
mod listing;
mod npm_left_out;
mod npm_lock;
mod npm_manual;
mod other_locks;
mod remove;
mod remover;
mod required;
mod script;
mod step;
mod stored;
mod strays;
mod surroundings;
mod toolchain;
mod tree_rules;
mod walk;

pub use carry::{Carried, CarryRequest, Copies, LeftOut};
pub use checkout::{Checkout, CheckoutError, checkout, sync_release};
pub use failure::{DISK_HINT, StepFailure};
pub use inputs::Inputs;
pub use inspect::{InspectError, Inspected, inspect};
pub use install::{InstallRequest, Installed, install};
pub use listing::Listing;
pub use remove::{Aside, is_trash, put_aside};
pub use remover::{Pause, Remover};
pub use required::{RequiredError, read_app_files, read_built_files};
pub use script::{BuildRequest, Built, build};
pub use step::{Line, Lines};
pub use stored::{Fresh, install_to_store};
pub use strays::end_strays;
pub use surroundings::Surroundings;
pub use toolchain::{
    Ask, Libc, ManagerProgram, NODE_QUESTION, NodeProgram, Origin, Runtime, Tell, Toolbox,
    Toolchain, ToolsError,
};
pub use tree_rules::{Limits, Refusal};
