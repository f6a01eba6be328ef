//! What the soak is made of: who comes and goes, and what the processes hold.
//!
//! * `client`: one client that waits for its replies; `visits`: what clients do from their coming to their going, `redis` those
//!   of the Redis front;
//! * `churn`: many of them at a time, counted; `edits`: edits of the ring meanwhile;
//! * `figures`: what a process holds; `idle`: waiting until all hold what they held before.

pub(crate) mod churn;
pub(crate) mod edits;
pub(crate) mod figures;
pub(crate) mod idle;

mod client;
mod redis;
mod visits;
