//! A WebSocket client by hand: it can send what no library would, and reads as slowly as it likes.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;

/// A frame of the server.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) payload: Vec<u8>,
}

/// A client's frame: whole, masked with zeros.
pub(crate) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | kind];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Connects and upgrades; with a receive buffer of so many bytes if one is given.
pub(crate) async fn open(address: SocketAddr, receive_buffer: Option<u32>) -> io::Result<TcpStream> {
    let socket = new(address)?;
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    upgrade(socket, address).await
}

fn new(address: SocketAddr) -> io::Result<TcpSocket> {
    if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

async fn upgrade(socket: TcpSocket, address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    // Byte by byte, so that nothing behind the head is taken.
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
        if head.len() > 4096 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    if head.starts_with(b"HTTP/1.1 101") {
        Ok(stream)
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned()))
    }
}

/// Opens one with its two halves.
pub(crate) async fn open_split(address: SocketAddr) -> io::Result<(Reader, OwnedWriteHalf)> {
    let (reading, writing) = open(address, None).await?.into_split();
    Ok((Reader(BufReader::new(reading)), writing))
}

/// The same; of what is sent, its own kernel keeps about so many bytes at most. Otherwise that may be megabytes, which
/// come when the client has long stopped to send.
pub(crate) async fn open_split_keeping(
    address: SocketAddr,
    send_buffer: u32,
) -> io::Result<(Reader, OwnedWriteHalf)> {
    let socket = new(address)?;
    socket.set_send_buffer_size(send_buffer)?;
    let (reading, writing) = upgrade(socket, address).await?.into_split();
    Ok((Reader(BufReader::new(reading)), writing))
}

/// Joins a topic by text frame.
pub(crate) fn join(topic: &str) -> Vec<u8> {
    frame(TEXT, format!(r#"["1","join","{topic}","phx_join",{{}}]"#).as_bytes())
}

/// Says that it lives.
pub(crate) fn heartbeat() -> Vec<u8> {
    frame(TEXT, br#"[null,"beat","phoenix","heartbeat",{}]"#)
}

/// Reads the server's frames. Not safe to drop half-way.
#[derive(Debug)]
pub(crate) struct Reader(BufReader<OwnedReadHalf>);

impl Reader {
    pub(crate) async fn next(&mut self) -> io::Result<Frame> {
        let kind = self.0.read_u8().await? & 0x0f;
        let length = match self.0.read_u8().await? & 0x7f {
            126 => u64::from(self.0.read_u16().await?),
            127 => self.0.read_u64().await?,
            length => u64::from(length),
        };
        let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.0.read_exact(&mut payload).await?;
        Ok(Frame { kind, payload })
    }
}
