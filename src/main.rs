//! The one binary: every role and every verb.

use handover::cli::{self, Exit};

fn main() -> Exit {
    cli::main()
}
