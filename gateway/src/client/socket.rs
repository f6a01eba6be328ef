//! One client's WebSocket. tungstenite reads: masks, fragments, UTF-8, pings, closes. Frames to the client are
//! written here ([`Wire`]). Both go through one queue, so that a pong never lands inside a data frame.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::close::Ending;
use crate::client::linger::{LINGER, LINGER_BYTES, drop_input};
use crate::client::outbox::Outbox;
use crate::client::session::Connection;
use crate::client::wire::{Io, Opcode, SHARE_FROM, Wire};

/// tungstenite's read buffer, allocated with the connection: small, because most connections idle most of the time.
const READ_BUFFER: usize = 1024;

/// A client's WebSocket, over TCP but for tests.
#[derive(Debug)]
pub struct Socket<S = OwnedReadHalf> {
    stream: WebSocketStream<QueuedIo<S>>,
}

/// The socket with the queue of what is to be written.
#[derive(Debug)]
pub struct QueuedIo<S = OwnedReadHalf> {
    io: S,
    wire: Wire,
    /// Others may write into the socket while nothing waits here; told before something does, and when bytes came.
    outbox: Outbox,
}

impl<S: Io> Socket<S> {
    /// A server's end on a connection that has been upgraded, and whose session has this outbox. `read` holds what came
    /// behind the request.
    pub async fn new(io: S, read: Bytes, max_frame: usize, outbox: Outbox) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(max_frame))
            .max_frame_size(Some(max_frame));
        let io = QueuedIo { io, wire: Wire::default(), outbox };
        let stream =
            WebSocketStream::from_partially_read(io, read.to_vec(), Role::Server, Some(config)).await;
        Self { stream }
    }

    async fn read_and_drop(&mut self) {
        // While the client still makes sense, its close is the sign that it has read ours.
        let mut dropped = 0;
        while dropped < LINGER_BYTES {
            match self.stream.next().await {
                Some(Ok(Message::Close(_))) | None => break,
                Some(Ok(message)) => dropped += message.len(),
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_))) => break,
                Some(Err(_)) => {
                    // It does not: tell the client's TCP that we are done, and drop bytes until it is, too.
                    let io = &mut self.stream.get_mut().io;
                    io.shut();
                    drop_input(io, dropped).await;
                    break;
                }
            }
        }
        self.stream.get_ref().io.shut();
    }
}

impl<S: Io + Send> Connection for Socket<S> {
    type Received = Message;

    fn wire(&mut self) -> &mut Wire {
        &mut self.stream.get_mut().wire
    }

    /// The next message. Pings have been answered into the queue.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Message, Ending>> {
        Poll::Ready(match ready!(self.stream.poll_next_unpin(context)) {
            Some(Ok(message)) => Ok(message),
            Some(Err(error)) => Err(ending_of(&error)),
            None => Err(Ending::Gone),
        })
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.get_mut().poll_drain(context)
    }

    /// Sends the close of this ending behind what waits, and closes the connection when the client has read it, or
    /// after 1 s or 4 MiB.
    async fn finish(mut self, ending: Ending) {
        self.stream.get_mut().claim();
        if ending != Ending::Gone {
            let mut payload = BytesMut::with_capacity(2 + ending.text().len());
            payload.put_u16(ending.code());
            payload.put_slice(ending.text().as_bytes());
            self.wire().frame(Opcode::Close, &[&payload]);
        }
        let deadline = Instant::now() + LINGER;
        let flush = std::future::poll_fn(|context| self.poll_flush(context));
        if !matches!(timeout_at(deadline, flush).await, Ok(Ok(()))) {
            return;
        }
        let _ = timeout_at(deadline, self.read_and_drop()).await;
    }
}

fn ending_of(error: &Error) -> Ending {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    match error {
        Error::Utf8(_) => Ending::InvalidUtf8,
        Error::Capacity(_) => Ending::TooBig,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ending::Gone,
        Error::Protocol(_) => Ending::Protocol,
        _ => Ending::Gone,
    }
}

impl<S: Io> QueuedIo<S> {
    fn claim(&mut self) {
        self.outbox.claim(&mut self.wire);
    }

    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_drain(&self.io, context)
    }
}

impl<S: Io> AsyncRead for QueuedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        self.outbox.heard();
        Poll::Ready(Ok(()))
    }
}

/// tungstenite's own frames: pongs and answers to closes.
impl<S: Io> AsyncWrite for QueuedIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // All of it or nothing, or a data frame could land in its middle. A client that sends pings and reads
        // nothing finds the queue full; tungstenite then keeps only the newest pong.
        if self.wire.len() > SHARE_FROM {
            ready!(self.poll_drain(context))?;
        }
        self.claim();
        self.wire.copy(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_drain(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(context))?;
        self.io.shut();
        Poll::Ready(Ok(()))
    }
}
