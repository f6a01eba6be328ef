//! Handoff: how topics go from one topic server to another when the ring changes, with their state.
//!
//! [`giver`] is another topic server from which this one takes topics, [`taker`] one that takes topics from this one,
//! [`rules`] what this server does about them all, `giving` what it gives; these are plain values. [`outbox`] queues
//! what goes to one of them, `service` accepts links, `link` opens and reads them.

pub mod giver;
pub(crate) mod giving;
pub(crate) mod link;
pub mod outbox;
pub mod rules;
pub mod service;
pub mod taker;

pub use outbox::PeerOutbox;
pub use rules::Handoff;
