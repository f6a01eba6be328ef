//! One client that asks and waits for the reply.

use std::io;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;

use crate::socket::{CLOSE, Reader, TEXT, frame, open_split};

/// A client whose gateway is expected to answer.
#[derive(Debug)]
pub(super) struct Client {
    reader: Reader,
    writer: OwnedWriteHalf,
    asked: u64,
    /// Events that came while it waited for something else.
    pub(super) events: usize,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let (reader, writer) = open_split(address).await?;
        Ok(Self { reader, writer, asked: 0, events: 0 })
    }

    /// Sends a frame of its own making.
    pub(super) async fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.writer.write_all(frame).await
    }

    /// The reply to an event: its status and its response.
    pub(super) async fn ask(
        &mut self,
        topic: &str,
        event: &str,
        payload: Value,
    ) -> io::Result<(String, Value)> {
        self.asked += 1;
        let own = self.asked.to_string();
        let body = json!(["1", own, topic, event, payload]).to_string();
        self.send(&frame(TEXT, body.as_bytes())).await?;
        loop {
            let mut value = self.next().await?;
            if value[3] == "phx_reply" && value[1] == own.as_str() {
                let status = value[4]["status"].as_str().unwrap_or_default().to_owned();
                return Ok((status, value[4]["response"].take()));
            }
            self.events += usize::from(value[3] == "soak");
        }
    }

    /// The response to an event that must go well.
    pub(super) async fn must(&mut self, topic: &str, event: &str, payload: Value) -> io::Result<Value> {
        match self.ask(topic, event, payload).await? {
            (status, response) if status == "ok" => Ok(response),
            (status, response) => Err(io::Error::other(format!("{event} on {topic}: {status} {response}"))),
        }
    }

    pub(super) async fn join(&mut self, topic: &str) -> io::Result<Value> {
        self.must(topic, "phx_join", json!({})).await
    }

    /// Publishes, with a key of its own if `keyed`.
    pub(super) async fn publish(&mut self, topic: &str, text: &str, keyed: bool) -> io::Result<()> {
        let mut payload = json!(["soak", { "text": text }]);
        if keyed && let Some(parts) = payload.as_array_mut() {
            parts.push(json!({"key": format!("{:016x}", fastrand::u64(..))}));
        }
        self.must(topic, "publish", payload).await.map(drop)
    }

    /// Reads until so many events have come in all.
    pub(super) async fn hear(&mut self, events: usize) -> io::Result<()> {
        while self.events < events {
            let value = self.next().await?;
            self.events += usize::from(value[3] == "soak");
        }
        Ok(())
    }

    /// Reads to the end; the code of the gateway's close, if there was one.
    pub(super) async fn end(&mut self) -> Option<u16> {
        loop {
            match self.reader.next().await {
                Ok(frame) if frame.kind == CLOSE => {
                    return frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                }
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// Says that it goes, as a browser does, and waits for the answer.
    pub(super) async fn close(mut self) -> io::Result<()> {
        self.send(&frame(CLOSE, &1000_u16.to_be_bytes())).await?;
        match self.end().await {
            Some(_) => Ok(()),
            None => Err(io::Error::other("a close without an answer")),
        }
    }

    async fn next(&mut self) -> io::Result<Value> {
        let frame = self.reader.next().await?;
        if frame.kind == CLOSE {
            let text = String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default()).into_owned();
            return Err(io::Error::other(format!("closed by the gateway: {text}")));
        }
        serde_json::from_slice(&frame.payload).map_err(io::Error::other)
    }
}
