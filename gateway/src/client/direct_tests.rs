//! Events past the session, on real sockets: none is lost, doubled or torn, whoever writes at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use campanile_proto::Epoch;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::client::close::Ending;
use crate::client::outbox::{ChannelId, Item, Placed};
use crate::client::session::{Front, run};
use crate::client::socket::Socket;
use crate::client::wire::Opcode;

const PUSHERS: usize = 3;

/// Events of each pusher that the client has not read yet: few, so that the session rests now and then.
const UNREAD: usize = 4;

/// A front that answers each text with a frame, and counts the events that its session had to write.
struct Counting {
    outbox: Outbox,
    by_session: Arc<AtomicUsize>,
}

fn event(tag: &Tag, _: Encoding, body: &Bytes, wire: &mut Wire) {
    wire.frame_shared(Opcode::Text, &[tag.text()], body);
}

impl Front for Counting {
    type Received = Message;

    fn receive(&mut self, message: Message) -> Result<(), Ending> {
        if let Message::Text(text) = message {
            self.outbox.push(Item::Frame(text.into()));
        }
        Ok(())
    }

    fn direct(&self) -> Option<WriteEvent> {
        Some(event)
    }

    fn item(&mut self, item: Item, wire: &mut Wire) -> Result<(), Ending> {
        match item {
            Item::Event { tag, encoding, body } => {
                self.by_session.fetch_add(1, Ordering::Relaxed);
                event(&tag, encoding, &body, wire);
            }
            Item::Droppable { tag, event: placed, .. } => {
                self.by_session.fetch_add(1, Ordering::Relaxed);
                event(&tag, placed.encoding, &placed.body, wire);
            }
            Item::Frame(bytes) => wire.frame_shared(Opcode::Text, &[], &bytes),
            _ => {}
        }
        Ok(())
    }

    fn ended(&mut self) {}
}

/// A session and its client, with buffers in the kernel as small as it allows.
async fn connected(limit: usize) -> (Outbox, Arc<AtomicUsize>, WebSocketStream<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = TcpSocket::new_v4().expect("a socket");
    client.set_recv_buffer_size(4096).expect("a small buffer");
    let client = client.connect(listener.local_addr().expect("bound")).await.expect("connects");
    let (io, _) = listener.accept().await.expect("accepted");
    socket2::SockRef::from(&io).set_send_buffer_size(4096).expect("a small buffer");
    let (outbox, by_session) = (Outbox::new(limit), Arc::new(AtomicUsize::new(0)));
    let front = Counting { outbox: outbox.clone(), by_session: by_session.clone() };
    let (reading, writing) = io.into_split();
    outbox.connect(Line::new(writing, event));
    let socket = Socket::new(reading, Bytes::new(), 1 << 20, outbox.clone()).await;
    tokio::spawn(run(socket, outbox.clone(), front, |_| ()));
    (outbox, by_session, WebSocketStream::from_raw_socket(client, Role::Client, None).await)
}

fn numbered(pusher: usize, number: usize, filler: usize) -> Item {
    let tag = Tag::new(format!("{pusher} ").as_bytes(), &[]);
    let body = format!("{number} {}", "x".repeat(filler));
    Item::Event { tag, encoding: Encoding::Json, body: body.into() }
}

/// The same of a topic that lets go of its messages when the queue is full.
fn droppable(item: Item, offset: u64) -> Item {
    let Item::Event { tag, encoding, body } = item else { panic!("{item:?} is no event") };
    let event = Arc::new(Placed { encoding, body, epoch: Epoch(7), offset });
    Item::Droppable { tag, channel: ChannelId(1), event }
}

async fn text(client: &mut WebSocketStream<TcpStream>) -> String {
    loop {
        match client.next().await.expect("open").expect("well formed") {
            Message::Text(text) => return text.to_string(),
            Message::Pong(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_idle_session_is_not_woken_for_an_event() {
    let (outbox, by_session, mut client) = connected(1 << 20).await;
    // Its answer shows that the session waits again: in this runtime it runs on before the client reads.
    client.send(Message::text("hello")).await.expect("sent");
    assert_eq!(text(&mut client).await, "hello");
    let mut touched = Touched::default();
    outbox.push_event(numbered(0, 0, 10), &mut touched);
    outbox.push_event(droppable(numbered(0, 1, 10), 1), &mut touched);
    outbox.push_event(numbered(0, 2, 10), &mut touched);
    assert_eq!(touched.outboxes.len(), 1, "each client once");
    touched.spread();
    for number in 0..3 {
        assert_eq!(text(&mut client).await, format!("0 {number} xxxxxxxxxx"));
    }
    assert_eq!(by_session.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_socket_that_takes_no_more_leaves_the_rest_to_the_session() {
    let (outbox, by_session, mut client) = connected(8 << 20).await;
    client.send(Message::text("hello")).await.expect("sent");
    assert_eq!(text(&mut client).await, "hello");
    // Far more than the buffers in between take.
    let filler = 300_000;
    for number in 0..10 {
        let mut touched = Touched::default();
        outbox.push_event(numbered(0, number, filler), &mut touched);
    }
    outbox.end(Ending::Drain);
    for number in 0..10 {
        assert_eq!(text(&mut client).await, format!("0 {number} {}", "x".repeat(filler)));
    }
    assert!(by_session.load(Ordering::Relaxed) > 0, "the first event cannot have gone out whole");
    let Some(Ok(Message::Close(Some(close)))) = client.next().await else { panic!("no close") };
    assert_eq!(u16::from(close.code), Ending::Drain.code());
}

#[tokio::test]
async fn what_was_written_past_the_session_does_not_change_what_gives_way_next() {
    let (outbox, _, mut client) = connected(2_000).await;
    client.send(Message::text("hello")).await.expect("sent");
    assert_eq!(text(&mut client).await, "hello");
    let filler = 300;
    let mut touched = Touched::default();
    outbox.push_event(numbered(0, 0, filler), &mut touched);
    let push = |numbers: std::ops::RangeInclusive<usize>, touched: &mut Touched| {
        for number in numbers {
            outbox.push_event(droppable(numbered(0, number, filler), number as u64), touched);
        }
    };
    push(1..=20, &mut touched);
    // Writes what stands before the gap. The session has not run yet when the next ones come.
    touched.spread();
    push(21..=22, &mut touched);
    assert_eq!(text(&mut client).await, format!("0 0 {}", "x".repeat(filler)));
    for number in 18..=22 {
        assert_eq!(text(&mut client).await, format!("0 {number} {}", "x".repeat(filler)));
    }
}

#[tokio::test]
async fn who_comes_late_to_a_closed_session_writes_nothing() {
    let (outbox, _, mut client) = connected(1 << 20).await;
    client.send(Message::text("hello")).await.expect("sent");
    assert_eq!(text(&mut client).await, "hello");
    let mut touched = Touched::default();
    outbox.push_event(numbered(0, 0, 10), &mut touched);
    outbox.close();
    touched.spread();
    outbox.end(Ending::Drain);
    client.close(None).await.expect("closed");
    while let Some(message) = client.next().await {
        assert!(!matches!(message, Ok(Message::Text(_))), "written behind the end");
    }
}

/// Three tasks queue events of all sizes while the client pings, asks and reads in fits: everybody who may write does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_never_tear_a_frame_or_change_an_order() {
    const EVENTS: usize = 2_000;
    let (outbox, by_session, client) = connected(64 << 20).await;
    let unread: Vec<_> = (0..PUSHERS).map(|_| Arc::new(Semaphore::new(UNREAD))).collect();
    let pushers: Vec<_> = (0..PUSHERS)
        .map(|pusher| {
            let (outbox, unread) = (outbox.clone(), unread[pusher].clone());
            tokio::spawn(async move {
                let mut touched = Touched::default();
                for number in 0..EVENTS {
                    if unread.available_permits() == 0 {
                        touched.spread();
                    }
                    unread.acquire().await.expect("open").forget();
                    let filler = fastrand::usize(..if number % 50 == 0 { 20_000 } else { 300 });
                    outbox.push_event(numbered(pusher, number, filler), &mut touched);
                    if fastrand::u8(..) < 100 {
                        touched.spread();
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    let (mut sink, mut stream) = client.split();
    let done = Arc::new(AtomicBool::new(false));
    let asking = tokio::spawn({
        let done = done.clone();
        async move {
            let mut asked = 0;
            while !done.load(Ordering::Relaxed) {
                let ping = Message::Ping(Bytes::from_static(b"are you there"));
                if sink.send(ping).await.is_err() {
                    break;
                }
                if fastrand::bool() {
                    asked += usize::from(sink.send(Message::text("asked")).await.is_ok());
                }
                for _ in 0..fastrand::u8(..50) {
                    tokio::task::yield_now().await;
                }
            }
            (asked, sink)
        }
    });
    let (mut next, mut answers) = ([0; PUSHERS], 0);
    while next.iter().any(|&next| next < EVENTS) {
        let message = tokio::time::timeout(Duration::from_secs(30), stream.next()).await.expect("not stuck");
        match message.expect("open").expect("well formed") {
            Message::Text(text) if text == "asked" => answers += 1,
            Message::Text(text) => {
                let mut words = text.split(' ');
                let pusher: usize = words.next().and_then(|word| word.parse().ok()).expect("a pusher");
                let number: usize = words.next().and_then(|word| word.parse().ok()).expect("a number");
                assert_eq!(number, next[pusher], "in order");
                next[pusher] += 1;
                unread[pusher].add_permits(1);
                for _ in 0..fastrand::u8(..8) {
                    tokio::task::yield_now().await;
                }
            }
            Message::Pong(pong) => assert_eq!(&pong[..], b"are you there"),
            other => panic!("unexpected {other:?}"),
        }
    }
    done.store(true, Ordering::Relaxed);
    for pusher in pushers {
        pusher.await.expect("no panic");
    }
    let (asked, _sink) = asking.await.expect("no panic");
    while answers < asked {
        match stream.next().await.expect("open").expect("well formed") {
            Message::Text(text) => {
                assert_eq!(text, "asked");
                answers += 1;
            }
            Message::Pong(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
    let by_session = by_session.load(Ordering::Relaxed);
    assert!(by_session > 0 && by_session < PUSHERS * EVENTS, "both ways were taken: {by_session}");
}
