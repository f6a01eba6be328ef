//! The gateways' side of a topic server, in the order in which a publish passes: [`service`] accepts the link,
//! `link` reads it, [`requests`] runs what it reads, `subscriptions` is what it has set up, [`outbox`] queues what goes back.

pub(crate) mod link;
pub mod outbox;
pub mod requests;
pub mod service;
mod subscriptions;
