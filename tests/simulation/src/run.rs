//! One run: a plan goes in, what became of it comes out.

use std::panic::{AssertUnwindSafe, catch_unwind};

use campanile_proto::planted::{Fault, plant};

use crate::checker::{Invariant, Violation};
use crate::plan::Plan;
use crate::world::World;

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// What broke first, if anything did.
    pub violation: Option<Violation>,
    /// Equal for equal runs.
    pub hash: u64,
    /// Messages that clients wanted published.
    pub published: usize,
    /// Those that were acknowledged.
    pub acknowledged: usize,
    /// Events that clients got.
    pub delivered: u64,
    /// Lives of topics.
    pub lives: usize,
    /// Topics for which rule H4 let two servers accept.
    pub overlaps: usize,
    /// The longest that a publish took until its answer, in microseconds.
    pub longest: u64,
    /// Simulated events.
    pub events: u64,
    /// What happened, line by line, if that was asked for.
    pub trace: Vec<String>,
}

/// Runs a plan.
pub fn run(plan: &Plan, tracing: bool) -> Report {
    run_with(plan, tracing, None)
}

/// Runs a plan with a fault planted into the rules.
pub fn run_with(plan: &Plan, tracing: bool, fault: Option<Fault>) -> Report {
    let mut world = World::new(plan.clone(), tracing);
    plant(fault);
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    plant(None);
    if let Err(panic) = ended {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        world.checker.fail(Invariant::Panic, text.unwrap_or_default());
    }
    Report {
        violation: world.checker.violation.take(),
        hash: world.hash(),
        published: world.checker.published(),
        acknowledged: world.checker.acknowledged(),
        delivered: world.delivered,
        lives: world.checker.lives(),
        overlaps: world.checker.overlaps(),
        longest: world.checker.longest,
        events: world.events,
        trace: std::mem::take(&mut world.trace),
    }
}

/// What to say of a run in which something broke.
pub fn explain(plan: &Plan, violation: &Violation) -> String {
    format!("{violation}\n{plan}replay with: scripts/simulate --seed {} --kind {:?}", plan.seed, plan.kind)
}
