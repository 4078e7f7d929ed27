//! Whose repositories may be opened.
//!
//! git refuses a repository that belongs to another user, because its configuration could name programs that git would
//! then run as the wrong user. `serve` opens only repositories that an administrator has named, often ones that a `git`
//! user owns while `serve` is somebody else; and libgit2 runs nothing. So the check is off in this process. It stays on
//! in the `git receive-pack` of every push, which runs as the pusher.

use std::sync::Once;

static ONCE: Once = Once::new();

/// Turns libgit2's ownership check off, once and before any repository is opened.
#[allow(unsafe_code)]
pub(super) fn trust_named_repositories() {
    ONCE.call_once(|| {
        // SAFETY: sets one global of libgit2. All of this module's opens come after this call (`Once` orders them), and
        // no other module links to libgit2, so nobody reads the global while it is written.
        let set = unsafe { git2::opts::set_verify_owner_validation(false) };
        set.expect("setting a flag of libgit2 can't fail");
    });
}
