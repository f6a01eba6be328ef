//! The Phoenix Channels front: the first of the client protocols that a gateway speaks.
//!
//! `handshake` checks the upgrade, [`frame`] turns bytes into values, [`channel`] holds the rules of a session,
//! `by_channel` keeps its values, `publish` and [`position`] read the payloads that have a shape, [`session`] carries out what the rules say, [`codec`] encodes
//! events.

mod by_channel;
pub mod channel;
pub mod codec;
pub mod frame;
pub(crate) mod handshake;
pub mod position;
pub(crate) mod publish;
pub mod session;
