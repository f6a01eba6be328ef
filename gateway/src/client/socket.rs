//! One client's WebSocket. tungstenite reads: masks, fragments, UTF-8, pings, closes. Frames to the client are
//! written here, because what is shared between clients is copied once at most and because several small frames
//! leave with one system call. Both go through one queue, so that a pong never lands inside a data frame.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::close::Ending;

/// tungstenite's read buffer, allocated with the connection: small, because most connections idle most of the time.
const READ_BUFFER: usize = 1024;

/// A shared body from this size on is queued as it is; below, copying is cheaper than one more slice to write.
const SHARE_FROM: usize = 4096;

/// Slices handed to one write.
const SLICES: usize = 64;

/// A write buffer that has grown beyond this is given back once it is written.
const KEEP_BUFFER: usize = 1024;

/// After sending a close: how long, and how much, is read and dropped before the socket closes. Closing a socket
/// that has unread input resets it, and the close frame would be lost.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 4 << 20;

/// WebSocket opcodes that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// UTF-8 text.
    Text = 1,
    /// Any bytes.
    Binary = 2,
    /// The end.
    Close = 8,
}

/// A client's WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<QueuedIo>,
}

/// The socket with the queue of what is to be written.
#[derive(Debug)]
pub struct QueuedIo {
    io: TcpStream,
    wire: Wire,
    read_at: Instant,
}

/// Frames that wait for the socket.
#[derive(Debug, Default)]
pub struct Wire {
    /// Complete pieces, before `tail`.
    pieces: VecDeque<Bytes>,
    /// Small frames, one behind the other.
    tail: BytesMut,
    bytes: usize,
}

impl Socket {
    /// A server's end on a connection that has been upgraded. `read` holds what came behind the request.
    pub async fn new(io: TcpStream, read: Bytes, max_frame: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(max_frame))
            .max_frame_size(Some(max_frame));
        let io = QueuedIo { io, wire: Wire::default(), read_at: Instant::now() };
        let stream =
            WebSocketStream::from_partially_read(io, read.to_vec(), Role::Server, Some(config)).await;
        Self { stream }
    }

    /// The frames that wait, to add some.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.stream.get_mut().wire
    }

    /// When the last bytes came.
    pub fn read_at(&self) -> Instant {
        self.stream.get_ref().read_at
    }

    /// The next message. Pings have been answered into the queue.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Message, Ending>> {
        Poll::Ready(match ready!(self.stream.poll_next_unpin(context)) {
            Some(Ok(message)) => Ok(message),
            Some(Err(error)) => Err(ending_of(&error)),
            None => Err(Ending::Gone),
        })
    }

    /// Writes what waits, as far as the socket takes it.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.get_mut().poll_drain(context)
    }

    /// Sends the close of this ending behind what waits, and closes the connection when the client has read it, or
    /// after 1 s or 4 MiB.
    pub async fn finish(mut self, ending: Ending) {
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

    async fn read_and_drop(&mut self) {
        use tokio::io::AsyncWriteExt;
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
                    let _ = io.shutdown().await;
                    let mut bytes = [0; 4096];
                    while dropped < LINGER_BYTES {
                        match io.read(&mut bytes).await {
                            Ok(read) if read > 0 => dropped += read,
                            _ => break,
                        }
                    }
                    break;
                }
            }
        }
        let _ = self.stream.get_mut().io.shutdown().await;
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

impl Wire {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds a frame whose payload is made of these parts, copied.
    pub fn frame(&mut self, opcode: Opcode, parts: &[&[u8]]) {
        let length = parts.iter().map(|part| part.len()).sum();
        self.header(opcode, length);
        for part in parts {
            self.copy(part);
        }
    }

    /// Adds a frame whose payload is these parts and then a body that other clients get, too.
    pub fn frame_shared(&mut self, opcode: Opcode, parts: &[&[u8]], body: &Bytes) {
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + body.len();
        self.header(opcode, length);
        for part in parts {
            self.copy(part);
        }
        if body.len() < SHARE_FROM {
            self.copy(body);
        } else {
            self.close_tail();
            self.bytes += body.len();
            self.pieces.push_back(body.clone());
        }
    }

    /// Everything that waits, in one piece.
    #[cfg(test)]
    pub(crate) fn written(&self) -> Vec<u8> {
        let pieces = self.pieces.iter().flat_map(|piece| piece.iter());
        pieces.chain(self.tail.iter()).copied().collect()
    }

    fn header(&mut self, opcode: Opcode, length: usize) {
        let first = 0x80 | opcode as u8;
        let mut header = [first, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let size = match length {
            0..126 => {
                header[1] = length as u8;
                2
            }
            126..65_536 => {
                header[1] = 126;
                header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
                4
            }
            _ => {
                header[1] = 127;
                header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
                10
            }
        };
        self.copy(&header[..size]);
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.bytes += bytes.len();
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            let piece = self.tail.split().freeze();
            self.pieces.push_back(piece);
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while written > 0 {
            let Some(piece) = self.pieces.front_mut() else {
                self.tail.advance(written);
                return;
            };
            if written < piece.len() {
                piece.advance(written);
                return;
            }
            written -= piece.len();
            self.pieces.pop_front();
        }
    }

    fn release(&mut self) {
        if self.tail.capacity() > KEEP_BUFFER {
            self.tail = BytesMut::new();
        } else {
            // Moves back to the buffer's start.
            self.tail.clear();
        }
        if self.pieces.capacity() > 0 {
            self.pieces = VecDeque::new();
        }
    }
}

impl QueuedIo {
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.wire.is_empty() {
            let written = if self.wire.pieces.is_empty() {
                ready!(Pin::new(&mut self.io).poll_write(context, &self.wire.tail))?
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let mut count = 0;
                for (slice, piece) in slices.iter_mut().zip(&self.wire.pieces) {
                    *slice = IoSlice::new(piece);
                    count += 1;
                }
                if count < SLICES && !self.wire.tail.is_empty() {
                    slices[count] = IoSlice::new(&self.wire.tail);
                    count += 1;
                }
                ready!(Pin::new(&mut self.io).poll_write_vectored(context, &slices[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.wire.advance(written);
        }
        self.wire.release();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for QueuedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        self.read_at = Instant::now();
        Poll::Ready(Ok(()))
    }
}

/// tungstenite's own frames: pongs and answers to closes.
impl AsyncWrite for QueuedIo {
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
        self.wire.copy(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_drain(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(context))?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(wire: &mut Wire) -> Vec<u8> {
        let mut all = Vec::new();
        while !wire.is_empty() {
            let piece = match wire.pieces.front() {
                Some(piece) => piece.to_vec(),
                None => wire.tail.to_vec(),
            };
            // Odd steps, as a socket may take them.
            let step = piece.len().min(7);
            all.extend_from_slice(&piece[..step]);
            wire.advance(step);
        }
        all
    }

    #[test]
    fn headers_have_the_three_lengths() {
        for (length, expected) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xff, 0xff]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut wire = Wire::default();
            wire.frame(Opcode::Text, &[&vec![b'x'; length]]);
            let all = bytes(&mut wire);
            assert_eq!(&all[..expected.len()], expected, "{length}");
            assert_eq!(all.len(), expected.len() + length);
        }
    }

    #[test]
    fn small_and_shared_bodies_keep_their_order() {
        let large = Bytes::from(vec![b'L'; SHARE_FROM]);
        let mut wire = Wire::default();
        wire.frame(Opcode::Text, &[b"one"]);
        wire.frame_shared(Opcode::Binary, &[b"tag", b"+"], &large);
        wire.frame_shared(Opcode::Text, &[b"tag"], &Bytes::from_static(b"small"));
        let mut expected = b"\x81\x03one\x82\x7e\x10\x04tag+".to_vec();
        expected.extend_from_slice(&large);
        expected.extend_from_slice(b"\x81\x08tagsmall");
        assert_eq!(wire.len(), expected.len());
        assert_eq!(bytes(&mut wire), expected);
    }
}
