//! One client's socket: commands in, replies and messages out, without frames around them.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncReadExt, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Instant, timeout_at};

use crate::client::close::Ending;
use crate::client::outbox::Outbox;
use crate::client::session::Connection;
use crate::client::wire::{Io, Wire};
use crate::redis::decode::{Bounds, Command, Decoder, Fault};

/// So many bytes are read at a time.
const READ: usize = 16 * 1024;

/// At the end: how long, and how much, is read and dropped before the socket closes. Closing a socket that has unread
/// input resets it, and the last replies would be lost.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 4 << 20;

/// A client's socket, TCP but for tests.
#[derive(Debug)]
pub(crate) struct Socket<S = OwnedReadHalf> {
    io: S,
    wire: Wire,
    decoder: Decoder,
    outbox: Outbox,
}

impl<S: Io> Socket<S> {
    pub(crate) fn new(io: S, bounds: Bounds, outbox: Outbox) -> Self {
        Self { io, wire: Wire::default(), decoder: Decoder::new(bounds), outbox }
    }

    async fn read_and_drop(&mut self) {
        let (mut bytes, mut dropped) = ([0; 4096], 0);
        while dropped < LINGER_BYTES {
            match self.io.read(&mut bytes).await {
                Ok(read) if read > 0 => dropped += read,
                _ => break,
            }
        }
    }
}

impl<S: Io + Send> Connection for Socket<S> {
    type Received = Result<Command, Fault>;

    fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Self::Received, Ending>> {
        loop {
            match self.decoder.take() {
                Ok(Some(command)) => return Poll::Ready(Ok(Ok(command))),
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Ok(Err(fault))),
            }
            // On the stack, so that a connection that idles holds no buffer.
            let mut space = [MaybeUninit::uninit(); READ];
            let mut buffer = ReadBuf::uninit(&mut space);
            match ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.decoder.feed(buffer.filled()),
                _ => return Poll::Ready(Err(Ending::Gone)),
            }
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.wire.is_empty() {
            ready!(self.io.poll_write_ready(context))?;
            match self.wire.write_to(|slices| self.io.try_write(slices)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => result?,
            }
        }
        self.wire.release();
        Poll::Ready(Ok(()))
    }

    /// There are no words for an ending but those of replies, which were written before.
    async fn finish(mut self, _: Ending) {
        if self.wire.is_empty()
            && let Some(rest) = self.outbox.claim()
        {
            self.wire = *rest;
        }
        let deadline = Instant::now() + LINGER;
        let flush = poll_fn(|context| self.poll_flush(context));
        if !matches!(timeout_at(deadline, flush).await, Ok(Ok(()))) {
            return;
        }
        self.io.shut();
        let _ = timeout_at(deadline, self.read_and_drop()).await;
    }
}
