//! `campanile bench`: the load generator and correctness checker.
//!
//! A plain Phoenix client that shares no code with the server: what it says about a server is seen from
//! outside. All connections live on one thread; every delivery is checked (once, in order, undamaged) before
//! it is counted.
//!
//! In reading order:
//!
//! * `run`: the way from arguments to report and exit code; `arguments`: all settings and their bounds;
//! * the workloads: `fanout`, `rooms`, `idle`, `connect`, and `traffic`, which the first two share; `check`, which
//!   judges the delivery contract through kills, restarts and ring edits;
//! * `client`, `target`, `frame`, `opening`: connections and what is said on them;
//! * `sequence`, `faults`: what is checked; `schedule`, `pacer`: when something is due; `latency`,
//!   `process_stats`: what is measured;
//! * `report`, `progress`: what is shown.

mod run;

mod arguments;

mod check;
mod connect;
mod fanout;
mod idle;
mod rooms;
mod traffic;

mod client;
mod frame;
mod opening;
mod target;

mod faults;
mod latency;
mod pacer;
mod process_stats;
mod schedule;
mod sequence;

mod progress;
mod report;

pub use arguments::command;
pub use faults::{FaultKind, Faults};
pub use report::Report;
pub use run::{Failure, perform, run};
