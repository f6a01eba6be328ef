//! `campanile bench floor-server`: the least that a server can do.
//!
//! One thread takes the generator's connections, and writes each publish as one ready-made frame to every subscriber
//! of the publisher's topic, with one `send` each. No acknowledgements, no JSON, no limits but one: what a server
//! achieves beside it is what its work costs. [`crate::protocol`] has the other side of the few things that are said.
//!
//! * `command`: its command line, its end; `server`: connections, topics, sends; `frame`: WebSocket frames.

mod command;
mod frame;
mod server;

pub(crate) use command::{command, run};
