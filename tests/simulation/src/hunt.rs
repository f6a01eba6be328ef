//! Shows that the checker can fail: a fault is planted into the rules, and seeds are run until a promise breaks.

use campanile_proto::planted::Fault;

use crate::checker::Violation;
use crate::plan::{Kind, Plan};
use crate::run::{run, run_with};

/// A run in which a fault broke a promise.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its seed.
    pub seed: u64,
    /// What it was about.
    pub kind: Kind,
    /// What broke.
    pub violation: Violation,
}

/// The kind of run that has the interleaving that the rule is for. The others are found anywhere.
fn aim(fault: Fault) -> Option<Kind> {
    Some(match fault {
        Fault::AnyGeneration => Kind::Reused,
        Fault::AnyOffset => Kind::Links,
        Fault::AnyEpoch => Kind::Forgotten,
        Fault::ForgetWindows => Kind::TakenBack,
        Fault::StartBlind => Kind::Newcomer,
        Fault::NothingAtOlderRing => Kind::Laggard,
        Fault::ShuffleParked | Fault::TwoTargets | Fault::GiveToStrangers => Kind::Planned,
        Fault::OpenForeign | Fault::AdoptOlder => Kind::Doubled,
        Fault::TakeEpochBack | Fault::KeepEpochOfTheGone | Fault::OpenTwice => Kind::TornHandoff,
        Fault::IgnoreSees => Kind::Split,
        Fault::RunLate | Fault::ForgetKeys | Fault::LiveTooEarly => Kind::Everything,
        _ => return None,
    })
}

/// The first of `seeds` in which this fault breaks a promise, and which one.
pub fn hunt(fault: Fault, seeds: impl IntoIterator<Item = u64>) -> Option<Found> {
    seeds.into_iter().find_map(|seed| {
        let plan = aim(fault).map_or_else(|| Plan::of(seed), |kind| Plan::of_kind(seed, kind));
        let violation = run_with(&plan, false, Some(fault)).violation?;
        // A seed that breaks something anyway says nothing of the fault.
        let is_new = run(&plan, false).violation.is_none();
        is_new.then_some(Found { seed, kind: plan.kind, violation })
    })
}
