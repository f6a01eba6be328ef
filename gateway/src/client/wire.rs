//! Frames on their way into a client's socket: what is shared between clients is copied once at most, and several
//! small frames leave with one system call.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::AsyncRead;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// A shared body from this size on is queued as it is; below, copying is cheaper than one more slice to write.
pub(crate) const SHARE_FROM: usize = 4096;

/// Slices handed to one write.
const SLICES: usize = 64;

/// A write buffer that has grown beyond this is given back once it is written.
const KEEP_BUFFER: usize = 1024;

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

/// Frames that wait for the socket.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Complete pieces, before `tail`.
    pieces: VecDeque<Bytes>,
    /// Small frames, one behind the other.
    tail: BytesMut,
    bytes: usize,
}

/// What a client's bytes come from and go to: a TCP connection, but for tests.
pub trait Io: AsyncRead + Unpin {
    /// Resolves when a write may succeed.
    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Writes what is taken at once.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Says that nothing more will be written.
    fn shut(&self);
}

impl Io for OwnedReadHalf {
    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsRef::<TcpStream>::as_ref(self).poll_write_ready(context)
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        try_write(self.as_ref(), slices)
    }

    fn shut(&self) {
        let _ = SockRef::from(AsRef::<TcpStream>::as_ref(self)).shutdown(std::net::Shutdown::Write);
    }
}

/// One write of these pieces, as far as the socket takes them at once.
pub(crate) fn try_write(io: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match slices {
        [one] => io.try_write(one),
        several => io.try_write_vectored(several),
    }
}

impl Wire {
    /// Writes until nothing waits.
    pub(crate) fn poll_drain(&mut self, io: &impl Io, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            ready!(io.poll_write_ready(context))?;
            match self.write_to(|slices| io.try_write(slices)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => result?,
            }
        }
        self.release();
        Poll::Ready(Ok(()))
    }

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
        self.shared(parts, body);
    }

    /// Adds these parts as they are and then a body that other clients get, too: for protocols without frames.
    pub fn shared(&mut self, parts: &[&[u8]], body: &Bytes) {
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

    pub(crate) fn copy(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.bytes += bytes.len();
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            let piece = self.tail.split().freeze();
            self.pieces.push_back(piece);
        }
    }

    /// Hands what waits to `write` until nothing is left, or it fails.
    ///
    /// # Errors
    /// That of `write`; `WriteZero` when it takes nothing without an error.
    pub(crate) fn write_to(&mut self, write: impl Fn(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<()> {
        while !self.is_empty() {
            let written = if self.pieces.is_empty() {
                write(&[IoSlice::new(&self.tail)])?
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let mut count = 0;
                for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                    *slice = IoSlice::new(piece);
                    count += 1;
                }
                if count < SLICES && !self.tail.is_empty() {
                    slices[count] = IoSlice::new(&self.tail);
                    count += 1;
                }
                write(&slices[..count])?
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.advance(written);
        }
        Ok(())
    }

    /// Gives back the memory that writing has left, but for a small buffer.
    pub(crate) fn release(&mut self) {
        self.release_above(KEEP_BUFFER);
    }

    /// Gives back the memory that writing has left, but for a buffer of so many bytes.
    pub(crate) fn release_above(&mut self, keep: usize) {
        if self.tail.capacity() > keep {
            self.tail = BytesMut::new();
        } else {
            // Moves back to the buffer's start.
            self.tail.clear();
        }
        if self.pieces.capacity() > 0 {
            self.pieces = VecDeque::new();
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
