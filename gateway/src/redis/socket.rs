//! One client's socket: commands in, replies and messages out, without frames around them.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Instant, timeout_at};

use crate::client::close::Ending;
use crate::client::linger::{LINGER, drop_input};
use crate::client::outbox::Outbox;
use crate::client::session::Connection;
use crate::client::wire::{Io, Wire};
use crate::redis::decode::{Bounds, Command, Decoder, Fault};

/// So many bytes are read at a time.
const READ: usize = 16 * 1024;

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
        self.wire.poll_drain(&self.io, context)
    }

    /// There are no words for an ending but those of replies, which were written before.
    async fn finish(mut self, _: Ending) {
        self.outbox.claim(&mut self.wire);
        let deadline = Instant::now() + LINGER;
        let flush = poll_fn(|context| self.poll_flush(context));
        if !matches!(timeout_at(deadline, flush).await, Ok(Ok(()))) {
            return;
        }
        self.io.shut();
        let _ = timeout_at(deadline, drop_input(&mut self.io, 0)).await;
    }
}
