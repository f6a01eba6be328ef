//! Workload `check`: whether the cluster keeps its delivery contract, through whatever is done to it meanwhile.
//!
//! Members (publishers and subscribers) come, go and resume; a judge hears all that they hear and finds what no
//! member alone can see.
//!
//! * `settings`: the options; `run`: the phases, from the first connection to the judgement; `summary`: the report;
//! * `member`: one client, its connections and pauses; `session`: one connection of it; `outstanding`: a
//!   publisher's unanswered publishes;
//! * `judge`: the contract, pure;
//! * `wire`: frames with positions, resumes and keys; `shared`: what the tasks count together.

mod run;
mod settings;
mod summary;

mod member;
mod outstanding;
mod session;

mod judge;

mod shared;
mod wire;

pub(crate) use run::run;
pub(crate) use settings::{Settings, command};
