//! Gateways: hold the clients' connections, route topics to their owners, hand deliveries to every listener.
//!
//! In the order of a message's way: [`server`] listens, [`client`] holds connections, [`phoenix`] speaks the
//! clients' protocol and [`redis`] another, [`hub`] knows who listens to what, [`upstream`] keeps the links to topic servers. `page` is
//! the browser page; [`config`] names the settings, [`metrics`] the numbers, `drain` the phases of an orderly end.

pub mod client;
pub mod config;
pub mod hub;
pub mod metrics;
pub mod phoenix;
pub mod redis;
pub mod server;
pub mod upstream;

mod drain;
mod page;

pub use config::Settings;
pub use metrics::Metrics;
pub use server::Gateway;
