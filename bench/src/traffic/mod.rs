//! Publishers and subscribers on many topics: what `fanout` and `rooms` have in common.
//!
//! * `measure`: the phases of a run, from the open connections to the report's figures;
//! * `topic`: what was published and is still in flight; `member`: one subscriber and its check;
//! * `tasks`: the tasks that read and publish; `shared`: the counters they share.

mod measure;
mod member;
mod shared;
mod tasks;
mod topic;

pub(crate) use measure::{Plan, measure};
