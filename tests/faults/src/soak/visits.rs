//! What clients do, from their coming to their going. Each is an error if it does not go as it must.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::soak::client::Client;
use crate::soak::redis;
use crate::socket::{BINARY, TEXT, frame, join, open};

/// Payloads that fill a slow reader's queue: more than the queue, both kernels' buffers and 64 KiB under way.
const FLOOD: (usize, usize) = (40, 64 << 10);

/// Where a visitor goes.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// A gateway, and another one.
    pub(super) gateways: [SocketAddr; 2],
    /// The same for Redis clients.
    pub(super) redis: [SocketAddr; 2],
    pub(super) topic_server: SocketAddr,
    /// A topic that nobody has named before, and one that others may be at.
    pub(super) new: String,
    pub(super) shared: String,
    /// Whether some publishes carry keys, which keep their topics for 2 minutes.
    pub(super) keys: bool,
}

/// What is done, with its share of a thousand visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Joins, publishes, leaves and closes.
    Orderly,
    /// The same, and is gone without a word.
    Vanishing,
    /// Misses something, and gets it elsewhere by its position.
    Resuming,
    /// Speaks Redis.
    Redis,
    /// Asks for what it may not have.
    Refused,
    /// Sends nonsense.
    Bad,
    /// Joins, and says nothing until it is sent away.
    Silent,
    /// Reads nothing while much is sent.
    Slow,
}

pub(super) const KINDS: [(Kind, u32); 8] = [
    (Kind::Orderly, 300),
    (Kind::Vanishing, 250),
    (Kind::Resuming, 180),
    (Kind::Redis, 100),
    (Kind::Refused, 80),
    (Kind::Bad, 80),
    (Kind::Silent, 7),
    (Kind::Slow, 3),
];

/// What a visit amounted to.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Did {
    pub(super) connections: u64,
    pub(super) joins: u64,
    pub(super) publishes: u64,
}

impl Kind {
    /// One of them, as often as its share says.
    pub(super) fn any() -> Self {
        let mut number = fastrand::u32(..KINDS.iter().map(|(_, share)| share).sum::<u32>());
        for (kind, share) in KINDS {
            match number.checked_sub(share) {
                Some(rest) => number = rest,
                None => return kind,
            }
        }
        Self::Orderly
    }

    pub(super) async fn visit(self, place: Place) -> io::Result<Did> {
        match self {
            Self::Orderly => member(&place, true).await,
            Self::Vanishing => member(&place, false).await,
            Self::Resuming => resuming(&place).await,
            Self::Redis => redis::visit(&place).await,
            Self::Refused => refused(&place).await,
            Self::Bad => bad(&place).await,
            Self::Silent => silent(&place).await,
            Self::Slow => slow(&place).await,
        }
    }
}

async fn member(place: &Place, orderly: bool) -> io::Result<Did> {
    let mut client = Client::connect(place.gateways[0]).await?;
    let topics = [&place.new, &place.shared];
    let publishes = fastrand::u64(1..4);
    for topic in topics {
        client.join(topic).await?;
    }
    for _ in 0..publishes {
        for topic in topics {
            let keyed = place.keys && fastrand::bool();
            client.publish(topic, &"x".repeat(fastrand::usize(10..2_000)), keyed).await?;
        }
        sleep(Duration::from_millis(fastrand::u64(..1_000))).await;
    }
    client.must("phoenix", "heartbeat", json!({})).await?;
    if orderly {
        for topic in topics {
            client.must(topic, "phx_leave", json!({})).await?;
        }
        client.close().await?;
    }
    Ok(Did { connections: 1, joins: 2, publishes: 2 * publishes })
}

async fn resuming(place: &Place) -> io::Result<Did> {
    let topic = &place.new;
    let [first, other] = place.gateways;
    let mut publisher = Client::connect(first).await?;
    publisher.join(topic).await?;
    let mut client = Client::connect(first).await?;
    let position = client.must(topic, "phx_join", json!({"positions": true})).await?;
    drop(client);
    publisher.publish(topic, "missed", place.keys).await?;
    publisher.publish(topic, "missed, too", false).await?;
    let mut client = Client::connect(other).await?;
    let resumed = client.must(topic, "phx_join", json!({ "resume": position })).await?;
    if resumed["recovered"] != true {
        return Err(io::Error::other(format!("not recovered: {resumed}")));
    }
    client.hear(2).await?;
    Ok(Did { connections: 3, joins: 3, publishes: 2 })
}

async fn refused(place: &Place) -> io::Result<Did> {
    let mut client = Client::connect(place.gateways[0]).await?;
    for (topic, event, payload) in [
        ("nobody's", "phx_join", json!({})),
        (place.new.as_str(), "publish", json!(["soak", {}])),
        ("phoenix", "phx_join", json!({})),
    ] {
        let (status, response) = client.ask(topic, event, payload).await?;
        if status != "error" {
            return Err(io::Error::other(format!("{event} on {topic} was not refused: {response}")));
        }
    }
    Ok(Did { connections: 1, ..Did::default() })
}

/// One kind of nonsense on a socket, and one on a bare connection to either role.
async fn bad(place: &Place) -> io::Result<Did> {
    let mut client = Client::connect(place.gateways[0]).await?;
    client.join(&place.new).await?;
    let (bytes, code) = match fastrand::u8(..5) {
        0 => (frame(TEXT, b"[1,2"), 1011),
        1 => (frame(TEXT, b"\xff\xfe"), 1007),
        2 => (frame(BINARY, b"\x00\xff\xff\xff\xff"), 1011),
        3 => (frame(TEXT, &vec![b' '; 300 << 10]), 1009),
        // Not masked.
        _ => (vec![0x81, 2, b'[', b']'], 1002),
    };
    // It may be closed before all is sent.
    let _ = client.send(&bytes).await;
    let ended = client.end().await;
    if ended.is_some_and(|ended| ended != code) {
        return Err(io::Error::other(format!("closed with {ended:?}, not {code}")));
    }
    for (address, bytes) in [
        (
            place.gateways[1],
            &b"GET /socket/websocket?vsn=9.9.9 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"[..],
        ),
        (place.gateways[1], b"GET /socket/webso"),
        (place.gateways[1], b"\x00\x01\x02\x03\r\n\r\n"),
        (place.topic_server, b"GET / HTTP/1.1\r\n\r\n"),
        (place.topic_server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00"),
    ] {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(bytes).await?;
        // Either end may be first.
        let mut answer = [0; 256];
        let answer = stream.read(&mut answer);
        let _ = tokio::time::timeout(Duration::from_millis(fastrand::u64(1..200)), answer).await;
    }
    Ok(Did { connections: 6, joins: 1, publishes: 0 })
}

async fn silent(place: &Place) -> io::Result<Did> {
    let mut client = Client::connect(place.gateways[0]).await?;
    client.join(&place.new).await?;
    match client.end().await {
        Some(1001) => Ok(Did { connections: 1, joins: 1, publishes: 0 }),
        other => Err(io::Error::other(format!("sent away with {other:?}, not 1001"))),
    }
}

async fn slow(place: &Place) -> io::Result<Did> {
    let mut stream = open(place.gateways[0], Some(4 << 10)).await?;
    stream.write_all(&join(&place.new)).await?;
    // The reply is there: it has joined.
    stream.read_u8().await?;
    let mut publisher = Client::connect(place.gateways[0]).await?;
    publisher.join(&place.new).await?;
    let text = "x".repeat(FLOOD.1);
    for _ in 0..FLOOD.0 {
        publisher.publish(&place.new, &text, false).await?;
    }
    publisher.close().await?;
    Ok(Did { connections: 2, joins: 2, publishes: FLOOD.0 as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_about_as_often_as_its_share_says() {
        const DRAWS: u32 = 100_000;
        fastrand::seed(7);
        let drawn: Vec<_> = (0..DRAWS).map(|_| Kind::any()).collect();
        for (kind, share) in KINDS {
            let found = drawn.iter().filter(|other| **other == kind).count() as u32;
            let meant = share * (DRAWS / 1_000);
            assert!(found.abs_diff(meant) <= meant / 3, "{kind:?}: {found}, not {meant}");
        }
    }
}
