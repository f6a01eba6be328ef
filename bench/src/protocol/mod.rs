//! What is said to each kind of server, so that one generator drives them all. Pure: frames in and out, no socket.
//!
//! * `kind`: the protocols by name, where their servers serve, and what differs beside the frames;
//! * `channel`: one topic on one connection in any of the protocols;
//! * `phoenix` (Campanile and stock Phoenix), `socketio`, `nats`, `centrifugo`, `redis`, `floor`: the protocols
//!   themselves;
//! * `unanswered`: publishes whose answers name none, in the order they were made.

mod begun;
mod channel;
mod kind;

mod centrifugo;
pub(crate) mod floor;
mod nats;
mod phoenix;
mod redis;
mod socketio;

mod unanswered;

pub(crate) use channel::Channel;
pub(crate) use kind::Protocol;
pub(crate) use phoenix::heartbeat;
