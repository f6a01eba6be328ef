//! What the tests are written with.
//!
//! [`wait`] for what will be so; [`client`], a WebSocket client of its own, and [`redis`], a Redis client; [`http`] by hand; [`transcript`], frames
//! as data; [`node`], one role in this process that can be killed; [`settings`] as the binary has them by default;
//! [`cluster`] of such nodes, with [`traffic`] on it; [`fake_gateway`] and [`fake_topic_server`], the ends of a link
//! by hand, and [`fake_peer`], a topic server as others see it; [`process`], the binary, with a [`folder`] for its
//! files and a [`port`] that is known before it starts.

pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod fake_gateway;
pub(crate) mod fake_peer;
pub(crate) mod fake_topic_server;
pub(crate) mod folder;
pub(crate) mod http;
pub(crate) mod node;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod redis;
pub(crate) mod settings;
pub(crate) mod traffic;
pub(crate) mod transcript;
pub(crate) mod wait;

pub(crate) use client::{Client, Got};
pub(crate) use cluster::Cluster;
pub(crate) use traffic::Traffic;
pub(crate) use wait::{DEADLINE, equal, eventually};
