//! The one binary: every role and every verb.

fn main() {}
