//! A scenario as data: who there is, what is edited, what breaks, and when. A seed makes one, and it prints itself.

mod kind;
mod operation;
mod scenario;

mod aimed;
mod edits;
mod maker;
mod troubles;

pub use kind::Kind;
pub use operation::{Operation, Process};
pub use scenario::{Plan, Spot};
