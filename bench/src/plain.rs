//! A TCP connection that is spoken on as it is, without WebSocket frames: what is read is whatever has come.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection with what is queued for it.
#[derive(Debug)]
pub(crate) struct Plain {
    stream: TcpStream,
    read: BytesMut,
    /// Bytes to ask for at each read.
    read_buffer: usize,
    queued: Vec<u8>,
}

impl Plain {
    pub(crate) fn new(stream: TcpStream, read_buffer: usize) -> Self {
        Self { stream, read: BytesMut::new(), read_buffer, queued: Vec::new() }
    }

    /// What has come, at least a byte; none at the end. Cancel-safe.
    pub(crate) async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        self.read.reserve(self.read_buffer);
        let count = self.stream.read_buf(&mut self.read).await?;
        Ok((count > 0).then(|| self.read.split().freeze()))
    }

    /// Queues bytes; [`Plain::flush`] sends what is queued.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.queued.extend_from_slice(bytes);
    }

    /// Sends all that is queued. Not cancel-safe.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        let sent = self.stream.write_all(&self.queued).await;
        self.queued.clear();
        sent
    }

    /// Says that nothing more will be said, and reads to the end.
    pub(crate) async fn close(mut self) {
        if self.stream.shutdown().await.is_ok() {
            while let Ok(Some(_)) = self.receive().await {}
        }
    }
}
