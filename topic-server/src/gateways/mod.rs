//! The gateways' side of a topic server, in the order in which a publish passes: [`service`] accepts the link,
//! `link` reads it, [`requests`] runs what it reads, [`outbox`] queues what goes back.

pub(crate) mod link;
pub mod outbox;
pub mod requests;
pub mod service;
