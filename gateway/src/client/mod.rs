//! The client's connection, whatever protocol it speaks: [`accept`] takes it, [`origin`] says from which pages, [`upgrade`] makes it a WebSocket, [`session`] runs it, [`socket`] reads
//! and writes it, [`outbox`] queues what it is to get, [`close`] lists how it may end.

pub mod accept;
pub mod close;
pub mod origin;
pub mod outbox;
pub mod session;
pub mod socket;
pub mod upgrade;
