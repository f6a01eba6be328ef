//! An echo server on the gateway's own WebSocket layer, for `scripts/autobahn`.
//!
//! `websocket-echo 127.0.0.1:0` prints `listening echo 127.0.0.1:PORT` and sends every message back.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::routing::any;
use bytes::Bytes;
use campanile_gateway::Metrics;
use campanile_gateway::client::accept::{self, Clients, Limits, upgrade_of};
use campanile_gateway::client::admission::{Admission, Bounds};
use campanile_gateway::client::close::Ending;
use campanile_gateway::client::direct::WriteEvent;
use campanile_gateway::client::outbox::{Item, Outbox};
use campanile_gateway::client::session::Front;
use campanile_gateway::client::upgrade;
use campanile_gateway::client::wire::{Opcode, Wire};
use campanile_process::memory::Pressure;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

/// Sends everything back, binary messages as binary.
struct Echo {
    outbox: Outbox,
    /// Which queued messages are binary, in order.
    binary: std::collections::VecDeque<bool>,
}

impl Front for Echo {
    type Received = Message;

    fn receive(&mut self, message: Message) -> Result<(), Ending> {
        let (binary, bytes) = match message {
            Message::Text(text) => (false, Bytes::from(text)),
            Message::Binary(bytes) => (true, bytes),
            _ => return Ok(()),
        };
        self.binary.push_back(binary);
        self.outbox.push(Item::Frame(bytes));
        Ok(())
    }

    fn direct(&self) -> Option<WriteEvent> {
        None
    }

    fn item(&mut self, item: Item, wire: &mut Wire) -> Result<(), Ending> {
        if let (Item::Frame(bytes), Some(binary)) = (item, self.binary.pop_front()) {
            let opcode = if binary { Opcode::Binary } else { Opcode::Text };
            wire.frame_shared(opcode, &[], &bytes);
        }
        Ok(())
    }

    fn ended(&mut self) {}
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address).await?;
    campanile_process::listen::announce("echo", listener.local_addr()?);
    let limits = Limits {
        frame: 64 << 20,
        outbox: 64 << 20,
        send_buffer: 128 << 10,
        receive_buffer: 64 << 10,
        idle: Duration::from_secs(60),
    };
    let metrics = Arc::new(Metrics::default());
    let clients = Clients::new(limits, Arc::clone(&metrics));
    let admission = Admission::new(Bounds::default(), Pressure::default());
    let echo = async move |mut request: Request<Body>| -> Response<Body> {
        let answer = upgrade::answer(request.headers());
        match (answer, upgrade_of(&mut request)) {
            (Ok(response), Some(upgrade)) => {
                clients.welcome(upgrade, |outbox| Echo { outbox, binary: Default::default() });
                response
            }
            (answer, _) => {
                let mut response = Response::new(Body::from(answer.err().unwrap_or_default()));
                *response.status_mut() = StatusCode::BAD_REQUEST;
                response
            }
        }
    };
    let router = Router::new().fallback(any(echo));
    accept::serve(listener, router, admission, metrics, CancellationToken::new()).await;
    Ok(())
}
