//! The whole cluster in one thread: many gateways, topic servers and clients with simulated time, over a network that
//! delays, reorders, cuts and heals, while processes die and rings change. The rules are the real ones; tasks and
//! sockets are not. A seed is a run, and equal seeds are equal runs.
//!
//! # Where things are
//!
//! [`plan`] is a scenario as data, [`run`](mod@run) runs one, [`checker`] holds what must always be true, [`hunt`] shows
//! that it can fail. `world` has the processes and the time, `network` the connections, `lines` what real tasks do with
//! them; `gateway` and `server` are the processes, `client` and `people` those who use them.
//!
//! # How to run it
//!
//! `cargo test -p campanile-simulation` runs three hundred seeds and hunts every planted fault;
//! `cargo test -p campanile-simulation --test faults -- --nocapture` prints which seed finds which fault, and by which
//! promise. `scripts/simulate 10000 --from 300` runs more, `scripts/simulate --seed 7 --kind Torn` prints one run line
//! by line, `scripts/simulate 300 --fault OpenTwice` hunts one fault, `ALL` each of them.
//!
//! # A run
//!
//! Things happen for 12 to 30 s of simulated time, as the plan says. Then everything heals and every process soon has the
//! newest ring (`Calm`); somebody publishes to each topic once more (`LastWords`); whoever wants a topic must have all of
//! it (`Rest`); all leave, and nothing may be left over (`End`).
//!
//! # To add a rule's fault
//!
//! 1. A variant of `Fault` in `proto/src/planted.rs` that begins with the rule's number, and its place in `FAULTS`.
//! 2. `planted(Fault::…)` at the line that keeps the rule, so that the fault breaks this rule and nothing else.
//! 3. A line in `tests/faults.rs`; `every_fault_has_its_test` fails until it is there. `from` is where it was found once,
//!    and only saves time.
//! 4. If 300 seeds do not find it, chance does not make its interleaving: write a [`plan::Kind`] that does
//!    (`plan/aimed.rs`), and name it in `aim` of [`hunt`]. A fault that still breaks nothing shows that the checker does
//!    not look, or that the rule is not needed.
//!
//! # To add an operation
//!
//! 1. A variant of [`plan::Operation`], in the words of the cluster; it must print all that it does.
//! 2. What it does: an arm in `world/operations.rs`. What lasts must end when everything heals (`world/ending.rs`).
//! 3. Who makes it: `plan/edits.rs` for rings, `plan/troubles.rs` for what breaks, `plan/aimed.rs` for a scenario of its
//!    own. If a run of planned moves may have it, everything that [`Plan::is_planned`](plan::Plan::is_planned) promises
//!    must hold with it.
//!
//! Chance comes from the random numbers of the plan, the world or the network alone, and no map without an order is gone
//! through. One more number drawn makes every seed another run: then look at the `from` numbers of `tests/faults.rs`.
//!
//! # To add an invariant
//!
//! 1. A variant of [`checker::Invariant`], with the promise in one sentence.
//! 2. Where it is looked at: `checker/servers.rs` hears what topic servers say before anybody else does,
//!    `checker/clients.rs` what clients do and are told, `checker/rest.rs` the clock and the end; `checker/ledger.rs` keeps
//!    what they need to know. What can only be seen inside a process when all is over stands in `world/ending.rs`.
//! 3. It calls `fail`, and the first violation ends the run.
//! 4. Break the code once and see it fail; better, plant a fault that it finds.
//!
//! What rule H4 allows is noted by `world/parted.rs`, topic by topic, from the moment when a topic server and a gateway
//! linked to it may both have been without a link to another holder for 5 s. Nothing else is forgiven.

#![expect(clippy::expect_used, reason = "a test of its own: what cannot be is a failure of the simulation")]

pub mod checker;
pub mod hunt;
pub mod plan;
pub mod run;

mod client;
mod gateway;
mod lines;
mod network;
mod people;
mod server;
mod world;
