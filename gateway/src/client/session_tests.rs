use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::client::socket::Socket;
use crate::client::wire::Opcode;

/// Says when each text came, and what room all that it asked for has met.
struct Roomy(mpsc::Sender<Instant>, Room);

impl Front for Roomy {
    type Received = Message;

    fn receive(&mut self, _: Message) -> Result<(), Ending> {
        self.0.try_send(Instant::now()).map_err(|_| Ending::Gone)
    }

    fn direct(&self) -> Option<WriteEvent> {
        None
    }

    fn item(&mut self, item: Item, wire: &mut Wire) -> Result<(), Ending> {
        if let Item::Frame(bytes) = item {
            wire.frame(Opcode::Text, &[&bytes]);
        }
        Ok(())
    }

    fn room(&mut self) -> Room {
        self.1
    }

    fn ended(&mut self) {}
}

/// A client's socket, its session's outbox, and when each text came. The clock stands still while anything can run, so the
/// times are those of the timers.
async fn with(room: Room) -> (TcpStream, Outbox, mpsc::Receiver<Instant>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connects");
    let (io, _) = listener.accept().await.expect("accepted");
    let (reading, writing) = io.into_split();
    writing.forget();
    let outbox = Outbox::new(1 << 20);
    let (sender, texts) = mpsc::channel(1024);
    let socket = Socket::new(reading, Bytes::new(), 1 << 20, outbox.clone()).await;
    tokio::spawn(run(socket, outbox.clone(), Roomy(sender, room), |_| ()));
    (client, outbox, texts)
}

/// Masked frames of one byte.
fn frames(count: usize) -> Vec<u8> {
    b"\x81\x81\0\0\0\0x".repeat(count)
}

/// The pauses before each of so many texts, but for those within a turn.
async fn pauses(texts: &mut mpsc::Receiver<Instant>, count: usize) -> Vec<(usize, Duration)> {
    let mut last = texts.recv().await.expect("a text");
    let mut pauses = Vec::new();
    for number in 1..count {
        let next = texts.recv().await.expect("a text");
        if next > last {
            pauses.push((number, next - last));
        }
        last = next;
    }
    pauses
}

/// Timers go by whole milliseconds.
fn assert_pauses(pauses: &[(usize, Duration)], wanted: &[(usize, u64)]) {
    assert_eq!(pauses.len(), wanted.len(), "{pauses:?}");
    for ((number, pause), (before, ms)) in pauses.iter().zip(wanted) {
        let bounds = Duration::from_millis(*ms)..=Duration::from_millis(ms + 2);
        assert!(number == before && bounds.contains(pause), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_too_often_is_read_more_slowly_and_written_to_as_ever() {
    let (mut client, outbox, mut texts) = with(Room::None).await;
    client.write_all(&frames(26)).await.expect("sent");
    assert_pauses(&pauses(&mut texts, 25).await, &[(21, 2), (22, 4), (23, 8), (24, 16)]);
    outbox.push(Item::Frame(Bytes::from_static(b"event")));
    let mut frame = [0; 7];
    client.read_exact(&mut frame).await.expect("a frame");
    assert_eq!(&frame, b"\x81\x05event");
    assert!(texts.try_recv().is_err(), "written within the pause");
    texts.recv().await.expect("the last text");
}

#[tokio::test(start_paused = true)]
async fn on_a_slow_way_only_who_sends_many_at_once_is_read_more_slowly() {
    let (mut client, _outbox, mut texts) = with(Room::Scarce).await;
    for _ in 0..50 {
        client.write_all(&frames(10)).await.expect("sent");
        assert_pauses(&pauses(&mut texts, 10).await, &[]);
    }
    client.write_all(&frames(100)).await.expect("sent");
    let pauses = pauses(&mut texts, 100).await;
    assert!(pauses.len() >= 2 && pauses[1].1 > pauses[0].1, "{pauses:?}");
}
