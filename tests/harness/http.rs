//! HTTP by hand: the tests say every byte of a request.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wait::DEADLINE;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Gets a path.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")).await
}

/// Sends these bytes and reads one answer.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> Answer {
    let work = async {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(request.as_bytes()).await.unwrap();
        read(&mut tcp).await
    };
    timeout(DEADLINE, work).await.expect("answers in time")
}

/// Reads one answer.
pub(crate) async fn read(tcp: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = find(&bytes, b"\r\n\r\n") {
            break at + 4;
        }
        assert!(tcp.read_buf(&mut bytes).await.unwrap() > 0, "ended: {bytes:?}");
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer = Answer { status, head, body: String::new() };
    let length = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
    while bytes.len() < head_end + length {
        assert!(tcp.read_buf(&mut bytes).await.unwrap() > 0, "ended: {bytes:?}");
    }
    answer.body = String::from_utf8(bytes[head_end..head_end + length].to_vec()).unwrap();
    answer
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
