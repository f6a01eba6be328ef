//! A Phoenix client of the tests' own: it shares no code with the gateway, and its refs are odd numbers from 7001, so
//! that a mix-up with offsets, slots or numbers of the server shows.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::wait::DEADLINE;

/// What came from the server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Got {
    /// A text frame, read as JSON.
    Text(Value),
    /// A binary frame.
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// A close frame's code and reason; 1005 for none.
    Close(u16, String),
    /// The connection ended without a close frame.
    End(String),
}

/// A client of version 2, unless its query says otherwise.
#[derive(Debug)]
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    /// Of the serializer: 1 or 2.
    pub(crate) version: u8,
    next_ref: u64,
    /// Came while a reply was waited for.
    inbox: VecDeque<(Got, String)>,
    /// The last frame's text as it came.
    pub(crate) raw: String,
    /// The last frames, for failure messages.
    log: VecDeque<String>,
}

impl Client {
    /// Connects with `vsn=2.0.0`.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::open(address, "?vsn=2.0.0", None).await
    }

    /// Connects with this query; `receive_buffer` makes it a client that takes little at a time.
    pub(crate) async fn open(address: SocketAddr, query: &str, receive_buffer: Option<u32>) -> Self {
        let tcp = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = receive_buffer {
            tcp.set_recv_buffer_size(bytes).unwrap();
        }
        let url = format!("ws://{address}/socket/websocket{query}");
        let connect = async {
            let tcp = tcp.connect(address).await.unwrap();
            tcp.set_nodelay(true).unwrap();
            tokio_tungstenite::client_async(url.as_str(), tcp).await.unwrap().0
        };
        let socket = timeout(DEADLINE, connect).await.expect("connects in time");
        Self {
            socket,
            version: if query.contains("vsn=2") { 2 } else { 1 },
            next_ref: 7001,
            inbox: VecDeque::new(),
            raw: String::new(),
            log: VecDeque::new(),
        }
    }

    /// A new ref.
    pub(crate) fn next_ref(&mut self) -> String {
        self.next_ref += 2;
        (self.next_ref - 2).to_string()
    }

    /// Sends a text frame.
    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.feed(text).await;
        self.flush().await;
    }

    /// Queues a text frame: it leaves with the next one that is sent, in one packet.
    pub(crate) async fn feed(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.note("->", &text);
        self.socket.feed(Message::text(text)).await.unwrap();
    }

    /// Sends what is queued.
    pub(crate) async fn flush(&mut self) {
        self.socket.flush().await.unwrap();
    }

    /// Sends a binary frame.
    pub(crate) async fn send_binary(&mut self, bytes: Vec<u8>) {
        self.note("->", &format!("{bytes:02x?}"));
        self.socket.send(Message::binary(bytes)).await.unwrap();
    }

    /// Sends bytes as a text frame, UTF-8 or not.
    pub(crate) async fn send_as_text(&mut self, bytes: Vec<u8>) {
        self.send_frame(bytes, Data::Text, true).await;
    }

    /// Sends one frame, whole or a fragment of a message.
    pub(crate) async fn send_frame(&mut self, bytes: Vec<u8>, kind: Data, is_last: bool) {
        self.note("->", &format!("{kind}, last {is_last}, {} bytes", bytes.len()));
        let frame = Frame::message(bytes, OpCode::Data(kind), is_last);
        self.socket.send(Message::Frame(frame)).await.unwrap();
    }

    /// Sends a ping.
    pub(crate) async fn ping(&mut self, bytes: &[u8]) {
        self.socket.send(Message::Ping(Bytes::copy_from_slice(bytes))).await.unwrap();
    }

    /// The next thing that comes.
    pub(crate) async fn next(&mut self) -> Got {
        self.next_within(DEADLINE).await
    }

    /// The next thing that comes, if it comes by then.
    pub(crate) async fn next_within(&mut self, deadline: Duration) -> Got {
        if let Some((got, raw)) = self.inbox.pop_front() {
            self.raw = raw;
            return got;
        }
        let next = timeout(deadline, self.socket.next()).await;
        let Ok(next) = next else {
            panic!("nothing came for {deadline:?}; last frames:\n{}", self.shown());
        };
        self.raw.clear();
        let got = match next {
            Some(Ok(Message::Text(text))) => {
                self.raw = text.to_string();
                match serde_json::from_str(&text) {
                    Ok(value) => Got::Text(value),
                    Err(error) => panic!("the server sent what is no JSON: {error}: {text}"),
                }
            }
            Some(Ok(Message::Binary(bytes))) => Got::Binary(bytes.to_vec()),
            Some(Ok(Message::Pong(bytes))) => Got::Pong(bytes.to_vec()),
            Some(Ok(Message::Close(Some(frame)))) => Got::Close(frame.code.into(), frame.reason.to_string()),
            Some(Ok(Message::Close(None))) => Got::Close(1005, String::new()),
            Some(Ok(other)) => panic!("the server sent {other:?}"),
            Some(Err(error)) => Got::End(error.to_string()),
            None => Got::End("end".to_owned()),
        };
        self.note("<-", &format!("{got:?}"));
        got
    }

    /// The next frame, which must be text.
    pub(crate) async fn json(&mut self) -> Value {
        match self.next().await {
            Got::Text(value) => value,
            other => panic!("no text frame but {other:?}; last frames:\n{}", self.shown()),
        }
    }

    /// The next frame must be this one.
    pub(crate) async fn expect(&mut self, wanted: Value) {
        let got = self.json().await;
        assert_eq!(got, wanted, "last frames:\n{}", self.shown());
    }

    /// The close code that ends the connection, whatever came before it.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            match self.next().await {
                Got::Close(code, _) => return code,
                Got::End(why) => panic!("ended without a close: {why}; last frames:\n{}", self.shown()),
                _ => {}
            }
        }
    }

    /// The payload of the reply to this ref. What comes before it is kept for later.
    pub(crate) async fn reply(&mut self, reference: &str) -> Value {
        let mut before = VecDeque::new();
        let payload = loop {
            match self.next().await {
                Got::Text(frame) if frame[3] == "phx_reply" && frame[1] == reference => {
                    break frame[4].clone();
                }
                Got::Close(code, why) => panic!("closed with {code} {why}:\n{}", self.shown()),
                Got::End(why) => panic!("ended: {why}:\n{}", self.shown()),
                other => before.push_back((other, self.raw.clone())),
            }
        };
        self.inbox.extend(before);
        payload
    }

    /// Sends an event on a topic and returns its ref.
    pub(crate) async fn push(&mut self, join_ref: &str, topic: &str, event: &str, payload: Value) -> String {
        let reference = self.next_ref();
        self.send(json!([join_ref, reference, topic, event, payload]).to_string()).await;
        reference
    }

    /// Asks to join and returns the join_ref, which is the ref, too.
    pub(crate) async fn ask_to_join(&mut self, topic: &str) -> String {
        let reference = self.next_ref();
        self.send(json!([reference, reference, topic, "phx_join", {}]).to_string()).await;
        reference
    }

    /// Joins and returns the join_ref.
    pub(crate) async fn join(&mut self, topic: &str) -> String {
        let reference = self.ask_to_join(topic).await;
        let reply = self.reply(&reference).await;
        assert_eq!(reply, json!({"status": "ok", "response": {}}), "join of {topic}");
        reference
    }

    /// Joins with this payload and returns the reply's response and the join_ref.
    pub(crate) async fn join_with(&mut self, topic: &str, payload: Value) -> (Value, String) {
        let reference = self.next_ref();
        self.send(json!([reference, reference, topic, "phx_join", payload]).to_string()).await;
        let reply = self.reply(&reference).await;
        assert_eq!(reply["status"], "ok", "join of {topic}: {reply}");
        (reply["response"].clone(), reference)
    }

    /// Publishes on a joined topic; the reply is for [`Client::reply`].
    pub(crate) async fn ask_to_publish(&mut self, topic: &str, event: &str, payload: Value) -> String {
        let reference = self.next_ref();
        let frame = json!([null, reference, topic, "publish", [event, payload]]);
        self.send(frame.to_string()).await;
        reference
    }

    /// Publishes on a joined topic, and is acknowledged.
    pub(crate) async fn publish(&mut self, topic: &str, event: &str, payload: Value) {
        let reference = self.ask_to_publish(topic, event, payload).await;
        let reply = self.reply(&reference).await;
        assert_eq!(reply, json!({"status": "ok", "response": {}}), "publish to {topic}");
    }

    /// The next frame must be this event.
    pub(crate) async fn expect_event(&mut self, join_ref: &str, topic: &str, event: &str, payload: Value) {
        self.expect(json!([join_ref, null, topic, event, payload])).await;
    }

    /// Nothing is on its way from the gateway: the answer to a heartbeat is the next that comes.
    pub(crate) async fn expect_silence(&mut self) {
        let reference = self.next_ref();
        self.send(json!([null, reference, "phoenix", "heartbeat", {}]).to_string()).await;
        self.expect(json!([null, reference, "phoenix", "phx_reply", {"status": "ok", "response": {}}])).await;
    }

    /// The last frames, both ways.
    pub(crate) fn shown(&self) -> String {
        self.log.iter().map(|line| format!("  {line}\n")).collect()
    }

    fn note(&mut self, direction: &str, text: &str) {
        if self.log.len() == 40 {
            self.log.pop_front();
        }
        let short: String = text.chars().take(300).collect();
        self.log.push_back(format!("{direction} {short}"));
    }
}
