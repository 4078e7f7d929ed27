//! From a commit to a directory that can be started: checkout, install, build; and away with it again.
//!
//! Everything that fails here because of the app is a value ([`StepFailure`]) with the words that its author needs.
//! Nothing of the repository runs before `npm ci`: no filter, no attribute, no hook.

mod checkout;
mod failure;
mod inspect;
mod install;
mod links;
mod npm_advice;
mod npm_manual;
mod program;
mod remove;
mod required;
mod script;
mod step;
mod strays;
mod tree_rules;
mod walk;

pub use checkout::{Checkout, CheckoutError, checkout, sync_release};
pub use failure::{DISK_HINT, StepFailure};
pub use inspect::{InspectError, Inspected, inspect};
pub use install::{InstallRequest, Installed, install};
pub use program::{Programs, ProgramsError};
pub use remove::{RemoveError, remove_release, sweep};
pub use required::{RequiredError, read_app_files};
pub use script::{BuildRequest, Built, build};
pub use step::{Line, Lines};
pub use strays::end_strays;
pub use tree_rules::{Limits, Refusal};
