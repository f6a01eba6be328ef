//! What must always hold. The checker sees what topic servers say the moment that they say it, and what clients are
//! told when they read it; it knows nothing of how either comes about.

mod violation;

mod ledger;

mod clients;
mod rest;
mod servers;

pub(crate) use ledger::{Answer, Checker, Strictness, Waiting};
pub use violation::{Invariant, Violation};
