//! The client's connection, whatever protocol it speaks: [`accept`] takes it, [`admission`]
//! says whether there is room for it and `turn_away` answers where there is none, [`origin`] says from which pages, [`upgrade`] makes it a WebSocket, [`session`] runs it, [`socket`] reads
//! and writes it, [`outbox`] queues what it is to get, each an [`item`], and `drop_oldest` is what of it gives way, [`direct`] writes events past an idle session, [`wire`] makes frames, `idle` watches for silence, `pause` slows down who is refused, [`close`] lists how it may end.

pub mod accept;
pub mod admission;
pub mod close;
pub mod direct;
pub(crate) mod drop_oldest;
pub(crate) mod idle;
pub mod item;
pub(crate) mod linger;
pub mod origin;
pub mod outbox;
pub(crate) mod pause;
pub mod session;
pub mod socket;
pub mod upgrade;
pub mod wire;

pub(crate) mod turn_away;
