//! `campanile bench`: the load generator and correctness checker.
//!
//! A plain client, of Phoenix or of another system to compare with, that shares no code with the server (but for the
//! messages of the link, in `topics`): what it says about a server is seen from outside. All connections live on one thread; every delivery is checked (once, in
//! order, undamaged) before it is counted.
//!
//! In reading order:
//!
//! * `run`: the way from arguments to report and exit code; `arguments`: all settings and their bounds;
//! * the workloads: `fanout`, `rooms`, `pipe`, `idle`, `connect`, and `traffic`, which the first three share; `topics`,
//!   which speaks to a topic server without gateways; `check`, which judges the delivery contract through kills, restarts and ring edits;
//! * `client`, `plain`, `target`, `opening`: connections; `frame`, `protocol`: what is said on them; `floor`: the least that a
//!   server can do, to compare with;
//! * `sequence`, `faults`: what is checked; `schedule`, `pacer`: when something is due; `latency`,
//!   `process_stats`: what is measured;
//! * `report`, `progress`: what is shown.

mod run;

mod arguments;

mod check;
mod connect;
mod fanout;
mod idle;
mod pipe;
mod rooms;
mod topics;
mod traffic;

mod client;
mod frame;
mod opening;
mod plain;
mod protocol;
mod target;

mod floor;

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
