//! The contract of one topic, judged from outside. Pure: no socket, no clock of its own.
//!
//! * `topic`: all that is heard about a topic goes in here; `verdict`: what its members still lack;
//! * `stream`: what one member may hear next; `ledger`: which message lies at which offset, for everybody;
//! * `breach`: what was broken, in words.

mod breach;
mod ledger;
mod stream;
#[cfg(test)]
mod tests;
mod topic;
mod verdict;

pub(crate) use topic::{Answered, Came, Position, Standing, Topic};
