//! A Redis client of the tests' own: bytes out, values in. It shares no code with the gateway.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::wait::DEADLINE;

/// One value, with its kind in front and what it holds behind: `+OK`, `:1`, `$hello`, `_`, `-ERR …`, or in brackets
/// `*[$message $news $hello]`.
pub(crate) type Value = String;

/// A connection.
#[derive(Debug)]
pub(crate) struct RedisClient {
    tcp: TcpStream,
    bytes: Vec<u8>,
    /// So many of them have been read.
    at: usize,
}

/// A command as clients send it.
pub(crate) fn command(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

impl RedisClient {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::open(address, None).await
    }

    /// With `receive_buffer` one that takes little at a time.
    pub(crate) async fn open(address: SocketAddr, receive_buffer: Option<u32>) -> Self {
        let tcp = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = receive_buffer {
            tcp.set_recv_buffer_size(bytes).unwrap();
        }
        let tcp = timeout(DEADLINE, tcp.connect(address)).await.expect("connects in time").unwrap();
        tcp.set_nodelay(true).unwrap();
        Self { tcp, bytes: Vec::new(), at: 0 }
    }

    /// Sends these bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(DEADLINE, self.tcp.write_all(bytes)).await.expect("sent in time").unwrap();
    }

    /// Sends a line, words between spaces, as a command.
    pub(crate) async fn say(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').map(str::as_bytes).collect();
        self.send(&command(&words)).await;
    }

    /// Says a line and returns the first value that comes.
    pub(crate) async fn ask(&mut self, line: &str) -> Value {
        self.say(line).await;
        self.value().await
    }

    /// The next value.
    pub(crate) async fn value(&mut self) -> Value {
        loop {
            let mut end = self.at;
            if let Some(value) = read(&self.bytes, &mut end) {
                self.at = end;
                return value;
            }
            assert!(self.more().await, "closed behind {:?}", String::from_utf8_lossy(&self.bytes));
        }
    }

    pub(crate) async fn expect(&mut self, value: &str) {
        assert_eq!(self.value().await, value);
    }

    /// The connection ends, and nothing came before that was not read.
    pub(crate) async fn expect_end(&mut self) {
        while self.more().await {}
        let rest = &self.bytes[self.at..];
        assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(rest));
    }

    /// Nothing more comes before the answer to a ping.
    pub(crate) async fn expect_silence(&mut self) {
        self.say("PING silence").await;
        let value = self.value().await;
        assert!(value == "$silence" || value == "*[$pong $silence]", "{value}");
    }

    /// False at the end.
    async fn more(&mut self) -> bool {
        self.bytes.drain(..self.at);
        self.at = 0;
        let read = timeout(DEADLINE, self.tcp.read_buf(&mut self.bytes)).await.expect("comes in time");
        // A reset is an end, too.
        read.is_ok_and(|read| read > 0)
    }
}

/// A whole value from `at` on, which is moved behind it.
fn read(bytes: &[u8], at: &mut usize) -> Option<Value> {
    let rest = bytes.get(*at..)?;
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    let line = std::str::from_utf8(&rest[..end]).expect("a header");
    *at += end + 2;
    let (kind, text) = line.split_at(1);
    let several = |count: usize, at: &mut usize| {
        let values: Option<Vec<_>> = (0..count).map(|_| read(bytes, at)).collect();
        Some(format!("{kind}[{}]", values?.join(" ")))
    };
    match kind {
        "$" | "=" if text == "-1" => Some("_".to_owned()),
        "$" | "=" => {
            let length: usize = text.parse().expect("a length");
            let value = bytes.get(*at..*at + length)?;
            bytes.get(*at + length..*at + length + 2)?;
            *at += length + 2;
            Some(format!("{kind}{}", String::from_utf8_lossy(value)))
        }
        "*" | ">" | "~" => several(text.parse().expect("a count"), at),
        "%" => several(2 * text.parse::<usize>().expect("a count"), at),
        "+" | "-" | ":" | "_" => Some(line.to_owned()),
        _ => panic!("no value: {line:?}"),
    }
}
