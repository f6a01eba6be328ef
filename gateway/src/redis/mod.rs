//! The Redis front: the pub/sub commands of Redis, for everything that scales by sharing one.
//!
//! `accept` takes connections, `socket` reads and writes one, [`decode`] turns bytes into commands and `inline` those that
//! people type, [`command`] lists what there is, [`connection`] holds the rules of a connection, with its
//! `subscriptions` and the replies that are `pending`; `greeting` reads who a client is. [`reply`] writes replies, `answers`, `catalog`
//! and [`info`] know their words, `session` carries out what the rules say, [`codec`] encodes messages.

pub(crate) mod accept;
pub(crate) mod answers;
pub(crate) mod catalog;
pub mod codec;
pub mod command;
pub mod connection;
pub mod decode;
pub(crate) mod greeting;
pub mod info;
pub(crate) mod inline;
pub(crate) mod pending;
pub mod reply;
pub(crate) mod session;
pub(crate) mod socket;
pub(crate) mod subscriptions;
