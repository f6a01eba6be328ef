//! Faults planted into the rules on purpose, one per rule, so that the simulation can show that it finds them. Without
//! the feature `planted-faults`, which only the simulation turns on, [`planted`] is always false and costs nothing.

/// A rule that is broken on purpose. The names of the rules are those of docs/link.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// L2: what an older link of a gateway has set up is not undone when a newer one comes.
    OlderLinkLives,
    /// L3: a gateway takes deliveries of any generation.
    AnyGeneration,
    /// L3: a gateway takes a delivery whatever its offset.
    AnyOffset,
    /// L4: the effects of a publish leave the topic's lock before they are queued.
    EffectsLeaveTheLock,
    /// L5: a re-send is a new message.
    ForgetNumbers,
    /// L5: a re-send under another epoch is run.
    AnyEpoch,
    /// L5: a publish runs after its time is up.
    RunLate,
    /// L6: a listener goes live before its cursor meets the topic's last offset.
    LiveTooEarly,
    /// L6: every position counts as one that can be continued.
    AnyPosition,
    /// R1: a ring of a lower version is adopted.
    AdoptOlder,
    /// R2: a process that starts opens topics without asking who held them.
    StartBlind,
    /// H1: a holder forgets a topic as soon as a newer ring gives it to another.
    DropAtOnce,
    /// H1: a holder goes on serving a topic whose state it gives away.
    ServeWhileGiving,
    /// H2: the owner opens a topic without an answer to its claim.
    OpenUnasked,
    /// H2: `Nothing` is answered under a ring older than the asker's.
    NothingAtOlderRing,
    /// H2: idempotency keys stay behind.
    ForgetKeys,
    /// H2: publish windows stay behind.
    ForgetWindows,
    /// H2: the history stays behind.
    ForgetHistory,
    /// H2: requests that waited are run in another order.
    ShuffleParked,
    /// H3: the giver takes the epoch back when the link breaks after the last piece.
    TakeEpochBack,
    /// H3: the copy of a taker that is gone goes on under its old epoch.
    KeepEpochOfTheGone,
    /// H4: the owner opens a topic while the asking gateway still sees its holder.
    IgnoreSees,
    /// H5: state that comes again is opened again.
    OpenTwice,
    /// H6: a state whose topic the newest ring gives to another is opened.
    OpenForeign,
    /// H7: a member is its name alone.
    NameIsEnough,
    /// H8: a gateway leaves a topic's holder as soon as its ring names another.
    LeaveBeforeMoved,
    /// H9: a gateway sends to the new owner while the old one still has publishes to answer.
    TwoTargets,
    /// H10: a claim of somebody who is not the owner is answered with the state.
    GiveToStrangers,
}

/// Every fault.
pub const FAULTS: &[Fault] = &[
    Fault::OlderLinkLives,
    Fault::AnyGeneration,
    Fault::AnyOffset,
    Fault::EffectsLeaveTheLock,
    Fault::ForgetNumbers,
    Fault::AnyEpoch,
    Fault::RunLate,
    Fault::LiveTooEarly,
    Fault::AnyPosition,
    Fault::AdoptOlder,
    Fault::StartBlind,
    Fault::DropAtOnce,
    Fault::ServeWhileGiving,
    Fault::OpenUnasked,
    Fault::NothingAtOlderRing,
    Fault::ForgetKeys,
    Fault::ForgetWindows,
    Fault::ForgetHistory,
    Fault::ShuffleParked,
    Fault::TakeEpochBack,
    Fault::KeepEpochOfTheGone,
    Fault::IgnoreSees,
    Fault::OpenTwice,
    Fault::OpenForeign,
    Fault::NameIsEnough,
    Fault::LeaveBeforeMoved,
    Fault::TwoTargets,
    Fault::GiveToStrangers,
];

#[cfg(feature = "planted-faults")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}

/// Whether this fault is planted in this thread.
#[cfg(feature = "planted-faults")]
pub fn planted(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// Whether this fault is planted: never.
#[cfg(not(feature = "planted-faults"))]
#[inline(always)]
pub const fn planted(_: Fault) -> bool {
    false
}

/// Plants a fault in this thread, or takes it out again.
#[cfg(feature = "planted-faults")]
pub fn plant(fault: Option<Fault>) {
    PLANTED.set(fault);
}
