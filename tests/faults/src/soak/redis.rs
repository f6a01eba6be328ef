//! What clients of the Redis front do.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::soak::visits::{Did, Place};

/// What such a client is sent at most before what it waits for.
const AT_MOST: usize = 64 << 10;

/// Commands as lines, as people type them.
struct Client {
    stream: TcpStream,
    heard: String,
}

impl Client {
    async fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { stream: TcpStream::connect(address).await?, heard: String::new() })
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await
    }

    /// Reads until this has come. Returns all up to its end.
    async fn hear(&mut self, what: &str) -> io::Result<String> {
        loop {
            if let Some(at) = self.heard.find(what) {
                return Ok(self.heard.drain(..at + what.len()).collect());
            }
            self.more(what).await?;
        }
    }

    /// The first line of the reply to a command that this connection says.
    async fn ask(&mut self, line: &str) -> io::Result<String> {
        self.say(line).await?;
        self.hear("\r\n").await
    }

    async fn more(&mut self, what: &str) -> io::Result<()> {
        let mut bytes = [0; 4 << 10];
        let count = self.stream.read(&mut bytes).await?;
        self.heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
        if count == 0 || self.heard.len() > AT_MOST {
            let begin: String = self.heard.chars().take(200).collect();
            return Err(io::Error::other(format!(
                "waited for {what:?}, got {} bytes: {begin:?}",
                self.heard.len()
            )));
        }
        Ok(())
    }

    /// What is refused because the topic moves has not been published, and is said again.
    async fn publish(&mut self, command: &str, topic: &str, text: &str) -> io::Result<()> {
        loop {
            let reply = self.ask(&format!("{command} {topic} {text}")).await?;
            match reply.as_bytes() {
                [b':', ..] => return Ok(()),
                _ if reply.starts_with("-ERR overloaded, outcome: not_published") => {}
                _ => return Err(io::Error::other(format!("{command}: {reply}"))),
            }
        }
    }
}

/// Subscribes to a channel, a pattern and a sharded channel, gets what is published at another gateway, and asks who
/// is there. Then it unsubscribes and quits, or is gone without a word.
pub(super) async fn visit(place: &Place) -> io::Result<Did> {
    let [here, there] = place.redis;
    let (mut listener, mut publisher) = (Client::connect(here).await?, Client::connect(there).await?);
    let (topic, shared) = (&place.new, &place.shared);
    listener.say(&format!("SUBSCRIBE {topic} {shared}")).await?;
    listener.hear(&format!("{shared}\r\n:2\r\n")).await?;
    listener.say(&format!("PSUBSCRIBE {topic}*")).await?;
    listener.hear(":3\r\n").await?;
    listener.say(&format!("SSUBSCRIBE {topic}")).await?;
    listener.hear(":1\r\n").await?;
    let publishes = fastrand::u64(1..4);
    for number in 0..publishes {
        let [plain, sharded] = ["plain", "sharded"].map(|kind| format!("{kind}-{topic}-{number}"));
        publisher.publish("PUBLISH", topic, &plain).await?;
        for _ in ["message", "pmessage"] {
            listener.hear(&format!("{plain}\r\n")).await?;
        }
        publisher.publish("SPUBLISH", topic, &sharded).await?;
        listener.hear(&format!("{sharded}\r\n")).await?;
        // The ring may be edited meanwhile, and they notice nothing.
        sleep(Duration::from_millis(fastrand::u64(..1_000))).await;
    }
    let patterns = publisher.ask("PUBSUB NUMPAT").await?;
    if !patterns.starts_with(':') || patterns.starts_with(":0") {
        return Err(io::Error::other(format!("PUBSUB NUMPAT: {patterns}")));
    }
    if fastrand::bool() {
        for command in ["UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"] {
            listener.say(command).await?;
        }
        listener.say("QUIT").await?;
        listener.hear("+OK\r\n").await?;
    }
    Ok(Did { connections: 2, joins: 4, publishes: 2 * publishes })
}
