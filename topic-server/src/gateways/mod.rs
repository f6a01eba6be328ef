//! The gateways' side of a topic server, in the order in which a publish passes: [`service`] accepts the link,
//! `link` reads it, [`outbox`] queues what goes back.

pub(crate) mod link;
pub mod outbox;
pub mod service;
