//! Topic servers: own topics, give messages their order, send each once to every gateway that holds subscribers.
//!
//! In the order of a message's way: [`server`] listens, [`gateways`] hold the links, [`topics`] the rules. [`handoff`]
//! is what topic servers do among themselves when the ring changes.
//! [`config`] names the settings, [`metrics`] the numbers, `drain` the phases of an orderly end.

pub mod config;
pub mod gateways;
pub mod handoff;
pub mod metrics;
pub mod server;
pub mod topics;

mod drain;

pub use config::Settings;
pub use metrics::Metrics;
pub use server::TopicServer;
