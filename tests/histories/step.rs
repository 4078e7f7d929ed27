//! What can happen in a history.

use std::fmt;

use proptest::prelude::*;

/// How a version that is pushed behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It builds, starts and is well.
    Good,
    /// Its build fails.
    Unbuildable,
    /// It ends at its start.
    Crashes,
    /// It answers with 500.
    Unwell,
    /// It goes live, and then ends again and again.
    Falls,
}

/// A kind of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is started again by whoever kills it.
    Serve,
    /// Those of all generations.
    Keepers,
    Front,
    /// The instances of the live generation.
    App,
}

/// Processes that are killed together with SIGKILL, as close in time as can be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    const ALL: [Role; 4] = [Role::Serve, Role::Keepers, Role::Front, Role::App];

    /// One alone.
    pub const fn only(role: Role) -> Self {
        Self(1 << role as u8)
    }

    pub const fn has(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = Self::ALL.into_iter().filter(|role| self.has(*role));
        f.debug_list().entries(there).finish()
    }
}

/// What happens while the build of a push waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meanwhile {
    /// These die.
    Die(Roles),
    /// `serve` is ended with SIGTERM and started again.
    Restart,
    /// `handover cancel`.
    Cancel,
    /// A newer version is pushed, and waits for its turn.
    Overtake,
    /// Everybody who took part in the push is killed: git here, git there, the hook.
    LoseAll,
    /// Only the hook is killed.
    LoseHook,
    /// Only git's `receive-pack` is killed.
    LoseReceiver,
    /// What builds is killed.
    KillBuild,
    /// The disk has no more room than this, in KiB, until the push has ended.
    Full(u16),
    /// The same, and `serve` dies and is started again while there is no room.
    FullAndKilled(u16),
}

/// What somebody does, or what befalls the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A version that contains what is live.
    Push(Kind),
    /// The newest commit once more.
    PushAgain,
    /// A version that does not contain what is live; with `-o force`, or without.
    Rewrite {
        forced: bool,
    },
    Rollback,
    Restart,
    /// `handover deploy`: the live commit is built again.
    Rebuild,
    Kill(Roles),
    /// `serve` is ended with SIGTERM and started again.
    Terminate,
    /// A good version, and something that happens while it is built.
    During(Meanwhile),
    /// Somebody begins to listen to the live version, and goes on until the end.
    Listen,
}

/// One step of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub action: Action,
    /// Where one of the server's processes dies meanwhile, if one comes past it.
    pub dies_at: Option<&'static str>,
}

/// Places of `src/process/rig.rs` that are passed in the middle of something.
const POINTS: &[&str] = &[
    "push.received",
    "deploy.added",
    "deploy.accepted",
    "deploy.running",
    "release.numbered",
    "checkout.begun",
    "checkout.renamed",
    "step.started",
    "install.done",
    "build.strays_ended",
    "generation.announced",
    "keeper.specified",
    "keeper.spawned",
    "keeper.ready",
    "start.listening",
    "health.known",
    "release.synced",
    "release.remembered",
    "branch.probed",
    "swap.intended",
    "publish.previous_led",
    "publish.linked",
    "swap.published",
    "swap.committed",
    "swap.recorded",
    "swap.drain_told",
    "branch.locked",
    "branch.renamed",
    "swap.branch_moved",
    "deploy.ended",
    "deploy.told",
    "retire.ended",
    "retire.cleared",
    "undo.keeper_stopped",
    "undo.generation_forgotten",
    "undo.release_forgotten",
    "deploy.failed",
    "prune.forgotten",
    "remove.begun",
    "keep.bound",
    "keep.ready_said",
    "keep.instance_started",
    "keep.recording",
    "keep.committed",
    "keep.drain_begun",
    "keep.drained",
    "keep.stop_begun",
    "keep.emptied",
    "front.told_of_swap",
];

/// Whole histories.
pub fn histories() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 3..=5)
}

fn step() -> impl Strategy<Value = Step> {
    let disturbed = prop_oneof![
        3 => Just(None),
        2 => prop::sample::select(POINTS).prop_map(Some),
    ];
    (action(), disturbed).prop_map(|(action, dies_at)| Step {
        action,
        dies_at: dies_at.filter(|_| action.may_be_disturbed()),
    })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => kind().prop_map(Action::Push),
        1 => Just(Action::PushAgain),
        1 => any::<bool>().prop_map(|forced| Action::Rewrite { forced }),
        3 => Just(Action::Rollback),
        2 => Just(Action::Restart),
        1 => Just(Action::Rebuild),
        3 => roles().prop_map(Action::Kill),
        1 => Just(Action::Terminate),
        5 => meanwhile().prop_map(Action::During),
        1 => Just(Action::Listen),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        8 => Just(Kind::Good),
        1 => Just(Kind::Unbuildable),
        2 => Just(Kind::Crashes),
        1 => Just(Kind::Unwell),
        1 => Just(Kind::Falls),
    ]
}

fn roles() -> impl Strategy<Value = Roles> {
    (1_u8..16).prop_map(Roles)
}

fn meanwhile() -> impl Strategy<Value = Meanwhile> {
    prop_oneof![
        4 => roles().prop_map(Meanwhile::Die),
        1 => Just(Meanwhile::Restart),
        1 => Just(Meanwhile::Cancel),
        1 => Just(Meanwhile::Overtake),
        1 => Just(Meanwhile::LoseAll),
        1 => Just(Meanwhile::LoseHook),
        1 => Just(Meanwhile::LoseReceiver),
        1 => Just(Meanwhile::KillBuild),
        2 => (0_u16..400).prop_map(Meanwhile::Full),
        1 => (0_u16..400).prop_map(Meanwhile::FullAndKilled),
    ]
}

impl Action {
    /// Whether what is done can be followed to its end while somebody dies. The others have deaths of their own.
    fn may_be_disturbed(self) -> bool {
        match self {
            Self::Push(_)
            | Self::PushAgain
            | Self::Rewrite { .. }
            | Self::Rollback
            | Self::Restart
            | Self::Rebuild => true,
            Self::Kill(_) | Self::Terminate | Self::During(_) | Self::Listen => false,
        }
    }
}
