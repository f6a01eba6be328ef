//! What tasks and sockets do in real processes: links are opened, greeted, written, read, kept alive and cut.

mod flow;
mod gateways;
mod peers;
mod shown;
mod stranger;
mod upstreams;

pub(crate) use shown::post_of;
