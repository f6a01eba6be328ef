//! The short way into a client's socket: events that were queued for sessions with nothing else to do are written by
//! the task that queued them, one system call per client. A session's task, its timer and its reading end stay out of
//! it, which is most of what a delivery would cost beside the write itself.

use std::fmt;

use bytes::Bytes;
use campanile_proto::Encoding;
use tokio::net::tcp::OwnedWriteHalf;

use crate::client::outbox::{Outbox, Tag};
use crate::client::wire::{Wire, try_write};

/// So many clients are written to by the task that has the messages; more are split into tasks of so many, which
/// other threads can take, and between which other work gets its turn.
const AT_ONCE: usize = 64;

/// A buffer for frames that is kept between clients.
const KEEP_BUFFER: usize = 64 * 1024;

/// How a front writes an event for a client: a function of the session's protocol version.
pub type WriteEvent = fn(&Tag, Encoding, &Bytes, &mut Wire);

/// The writing end of a client's socket.
pub(crate) struct Line {
    io: OwnedWriteHalf,
    pub(crate) event: WriteEvent,
}

/// Clients whose outboxes have got events, each once. They are written to at the end: of the batch of messages, so that
/// what comes together leaves together.
#[derive(Debug, Default)]
pub struct Touched {
    outboxes: Vec<Outbox>,
}

impl Line {
    pub(crate) fn new(io: OwnedWriteHalf, event: WriteEvent) -> Self {
        Self { io, event }
    }

    /// Writes what waits; false if the socket did not take all of it. A broken one is for the session to find.
    pub(crate) fn write(&self, wire: &mut Wire) -> bool {
        let written = wire.write_to(|slices| try_write(self.io.as_ref(), slices));
        if written.is_ok() {
            wire.release_above(KEEP_BUFFER);
        }
        written.is_ok()
    }

    /// Gives up the writing end; the session shuts the connection.
    pub(crate) fn let_go(self) {
        self.io.forget();
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Line").field("io", &self.io).finish_non_exhaustive()
    }
}

impl Touched {
    /// Keeps a client until the end.
    pub(crate) fn add(&mut self, outbox: &Outbox) {
        self.outboxes.push(outbox.clone());
    }

    /// Writes to all of them; to many, in tasks of the runtime that this is called in.
    pub(crate) fn spread(&mut self) {
        while self.outboxes.len() > AT_ONCE {
            let outboxes = self.outboxes.split_off(self.outboxes.len() - AT_ONCE);
            tokio::spawn(async move { drop(Self { outboxes }) });
        }
        self.write();
    }

    fn write(&mut self) {
        let mut wire = Wire::default();
        for outbox in self.outboxes.drain(..) {
            outbox.write_direct(&mut wire);
        }
    }
}

/// Nobody else would wake these sessions.
impl Drop for Touched {
    fn drop(&mut self) {
        self.write();
    }
}

#[cfg(test)]
#[path = "direct_tests.rs"]
mod tests;
