//! A small Phoenix-speaking server for the generator's tests: one topic table, every fault on request.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// What the server does wrong. Subscribers are counted in the order in which they joined a topic, publishes of
/// a topic from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    None,
    /// The subscriber gets the publish not at all.
    Drop {
        subscriber: usize,
        publish: u64,
    },
    /// The subscriber gets the publish twice.
    Double {
        subscriber: usize,
        publish: u64,
    },
    /// The subscriber gets the publish after the next one.
    Swap {
        subscriber: usize,
        publish: u64,
    },
    /// One byte of the payload is another.
    Damage {
        subscriber: usize,
        publish: u64,
    },
    /// The subscriber gets the publish under another subscriber's `join_ref`.
    MixUp {
        subscriber: usize,
        publish: u64,
    },
    /// The connection of the subscriber is closed with 1013 instead of the publish.
    Close {
        subscriber: usize,
        publish: u64,
    },
    /// The channel of the subscriber ends with `phx_error` instead of the publish.
    EndChannel {
        subscriber: usize,
        publish: u64,
    },
    /// Every publish of this many is refused as "not published"; honestly, or although it is delivered.
    Refuse {
        every: u64,
        deliver: bool,
    },
    /// The publish is done but never answered.
    Silent {
        publish: u64,
    },
    /// Joins are refused.
    RefuseJoin,
    /// Heartbeats are not answered.
    NoHeartbeat,
    /// Payloads are parsed and written anew, as servers with another JSON library do.
    Rewrite,
}

pub(crate) type Outbox = mpsc::Sender<Message>;

/// What answers the frames of all connections.
pub(crate) trait Handler: Send + Sync + 'static {
    fn handle(&self, frame: &Value, outbox: &Outbox);
}

#[derive(Default)]
struct Topic {
    /// In the order of joining: join_ref and outbox.
    subscribers: Vec<(String, Outbox)>,
    publishes: u64,
    /// Held back from a subscriber until the next publish.
    held: Option<Message>,
}

struct Shared {
    fault: Fault,
    topics: Mutex<HashMap<String, Topic>>,
}

/// The running server; ends when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(fault: Fault) -> Self {
        Self::serving(Arc::new(Shared { fault, topics: Mutex::default() }))
    }

    /// One gateway; several may serve the same topics.
    pub(crate) fn serving(handler: Arc<dyn Handler>) -> Self {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let accepting = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        tokio::spawn(serve(stream, handler.clone()));
                    }
                };
                tokio::select! {
                    () = accepting => {}
                    _ = ended => {}
                }
            });
        });
        Self { address: told.recv().unwrap(), end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn serve(stream: TcpStream, handler: Arc<dyn Handler>) {
    stream.set_nodelay(true).unwrap();
    let Ok(socket) = accept_async(stream).await else {
        return;
    };
    let (mut sink, mut source) = socket.split();
    // Large enough for every test: a test server has no slow clients.
    let (outbox, mut queue) = mpsc::channel::<Message>(100_000);
    let writer = tokio::spawn(async move {
        while let Some(message) = queue.recv().await {
            let last = message.is_close();
            if sink.feed(message).await.is_err() {
                return;
            }
            if (last || queue.is_empty()) && sink.flush().await.is_err() {
                return;
            }
            if last {
                return;
            }
        }
    });
    // Reading on after a close frame is what sends the answer to it.
    while let Some(Ok(message)) = source.next().await {
        if let Message::Text(text) = message {
            let frame: Value = serde_json::from_str(&text).unwrap();
            handler.handle(&frame, &outbox);
        }
    }
    // Its entries stay in the topics, so that the others keep their numbers.
    let _ = outbox.send(Message::Close(None)).await;
    let _ = writer.await;
}

impl Handler for Shared {
    fn handle(&self, frame: &Value, outbox: &Outbox) {
        handle(self, frame, outbox);
    }
}

pub(crate) fn send(outbox: &Outbox, text: String) {
    let _ = outbox.try_send(Message::text(text));
}

fn handle(shared: &Shared, frame: &Value, outbox: &Outbox) {
    let [join_ref, reference, topic, event, body] = frame.as_array().unwrap().as_slice() else { panic!() };
    let reply = |status: &str, response: Value| {
        let body = json!({"status": status, "response": response});
        send(outbox, json!([join_ref, reference, topic, "phx_reply", body]).to_string());
    };
    let name = topic.as_str().unwrap();
    match event.as_str().unwrap() {
        "heartbeat" if shared.fault == Fault::NoHeartbeat => {}
        "heartbeat" => reply("ok", json!({})),
        "phx_join" if shared.fault == Fault::RefuseJoin => {
            reply("error", json!({"reason": "unmatched topic"}))
        }
        "phx_join" => {
            let mut topics = shared.topics.lock().unwrap();
            let entry = topics.entry(name.to_owned()).or_default();
            entry.subscribers.push((join_ref.as_str().unwrap().to_owned(), outbox.clone()));
            let _ = outbox.try_send(Message::Ping(Bytes::new()));
            reply("ok", json!({}));
        }
        "publish" => {
            let mut topics = shared.topics.lock().unwrap();
            let entry = topics.get_mut(name).unwrap();
            entry.publishes += 1;
            let number = entry.publishes;
            match shared.fault {
                Fault::Refuse { every, deliver } if number.is_multiple_of(every) => {
                    reply(
                        "error",
                        json!({"reason": "overloaded", "outcome": "not_published", "retry": true}),
                    );
                    if !deliver {
                        return;
                    }
                }
                Fault::Silent { publish } if publish == number => {}
                // Written by hand, as the gateway writes it.
                _ => send(
                    outbox,
                    format!(
                        r#"[{join_ref},{reference},{topic},"phx_reply",{{"status":"ok","response":{{}}}}]"#
                    ),
                ),
            }
            deliver(entry, shared.fault, name, &body[0], &body[1], number);
        }
        other => panic!("unexpected event {other}"),
    }
}

/// The members in the generator's order, as a gateway leaves them.
pub(crate) fn in_order(payload: &Value) -> String {
    format!(r#"{{"n":{},"p":{},"topic":{}}}"#, payload["n"], payload["p"], payload["topic"])
}

fn deliver(topic: &mut Topic, fault: Fault, name: &str, event: &Value, payload: &Value, number: u64) {
    let text = if fault == Fault::Rewrite { format!(" {payload:#} ") } else { in_order(payload) };
    let frame =
        |join_ref: &str, text: &str| Message::text(format!(r#"["{join_ref}",null,"{name}",{event},{text}]"#));
    let hit = |subscriber: usize, publish: u64, index: usize| subscriber == index && publish == number;
    for (index, (join_ref, outbox)) in topic.subscribers.iter().enumerate() {
        let good = frame(join_ref, &text);
        let put = |message: Message| {
            let _ = outbox.try_send(message);
        };
        match fault {
            Fault::Drop { subscriber, publish } if hit(subscriber, publish, index) => {}
            Fault::Double { subscriber, publish } if hit(subscriber, publish, index) => {
                put(good.clone());
                put(good);
            }
            Fault::Swap { subscriber, publish } if hit(subscriber, publish, index) => topic.held = Some(good),
            Fault::Swap { subscriber, publish } if hit(subscriber, publish + 1, index) => {
                put(good);
                topic.held.take().into_iter().for_each(put);
            }
            Fault::Damage { subscriber, publish } if hit(subscriber, publish, index) => {
                put(frame(join_ref, &text.replacen("xx", "xy", 1)));
            }
            Fault::MixUp { subscriber, publish } if hit(subscriber, publish, index) => {
                put(frame(&topic.subscribers[index + 1].0, &text));
            }
            Fault::Close { subscriber, publish } if hit(subscriber, publish, index) => {
                let code = CloseCode::from(1013);
                put(Message::Close(Some(CloseFrame { code, reason: "slow".into() })));
            }
            Fault::EndChannel { subscriber, publish } if hit(subscriber, publish, index) => {
                put(Message::text(format!(r#"["{join_ref}","{join_ref}","{name}","phx_error",{{}}]"#)));
            }
            // What was ended gets nothing more.
            Fault::Close { subscriber, publish } | Fault::EndChannel { subscriber, publish }
                if subscriber == index && number > publish => {}
            _ => put(good),
        }
    }
}
