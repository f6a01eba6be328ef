//! One connection to a gateway: opened, joined, read, written, closed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::frame::{Incoming, Payload};
use crate::plain::Plain;
use crate::protocol::Channel;
use crate::target::Target;

/// The read buffer that makes thousands of connections cheap, in bytes; it is filled with zeros at every read.
const SMALL_READ_BUFFER: usize = 4 << 10;
/// The read buffer for large payloads.
const LARGE_READ_BUFFER: usize = 64 << 10;
/// How long a polite close may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// Opens connections, spread evenly over the targets and the source addresses.
#[derive(Debug)]
pub(crate) struct Connector {
    targets: Vec<Target>,
    sources: Vec<IpAddr>,
    config: WebSocketConfig,
    deadline: Duration,
}

/// Why a connection could not be opened or joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenError {
    /// Short and without numbers, so that equal ones can be counted together.
    pub(crate) reason: String,
    /// What to do next.
    pub(crate) advice: &'static str,
}

/// The end of a connection that the generator did not want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost(pub(crate) String);

impl Connector {
    /// `deadline` bounds every single step; `payload_bytes` sizes the read buffer.
    pub(crate) fn new(
        targets: Vec<Target>,
        sources: Vec<IpAddr>,
        deadline: Duration,
        payload_bytes: usize,
    ) -> Self {
        let read_buffer = if payload_bytes > 2_048 {
            (payload_bytes + 512).clamp(SMALL_READ_BUFFER, LARGE_READ_BUFFER)
        } else {
            SMALL_READ_BUFFER
        };
        let config = WebSocketConfig::default().read_buffer_size(read_buffer);
        Self { targets, sources, config, deadline }
    }

    /// How many targets there are, at least one.
    pub(crate) fn gateways(&self) -> usize {
        self.targets.len()
    }

    /// The target of connection `number`, as the user named it.
    pub(crate) fn label(&self, number: usize) -> &str {
        &self.target(number).label
    }

    fn target(&self, number: usize) -> &Target {
        &self.targets[number % self.targets.len()]
    }

    /// Opens connection `number`: TCP and, unless the protocol does without, the WebSocket upgrade.
    pub(crate) async fn open(&self, number: usize) -> Result<Connection, OpenError> {
        let target = self.target(number);
        let stream = match timeout(self.deadline, self.dial(target, number)).await {
            Ok(dialled) => dialled.map_err(|error| explain(&error, target))?,
            Err(_) => return Err(no_answer(target, "the TCP connect")),
        };
        let Some(request) = &target.request else {
            return Ok(Connection {
                socket: Socket::Plain(Plain::new(stream, self.config.read_buffer_size)),
            });
        };
        let upgrade = client_async_with_config(request.as_str(), stream, Some(self.config));
        match timeout(self.deadline, upgrade).await {
            Ok(Ok((socket, _))) => Ok(Connection { socket: Socket::WebSocket(Box::new(socket)) }),
            Ok(Err(Error::Io(error))) => Err(explain(&error, target)),
            Ok(Err(Error::Http(response))) => Err(OpenError {
                reason: format!("{} answered the upgrade with HTTP {}", target.label, response.status()),
                advice: "is this a gateway, and is the path right? Give it in full: --url ws://HOST:PORT/PATH",
            }),
            Ok(Err(Error::Protocol(ProtocolError::HandshakeIncomplete))) => {
                Err(explain(&io::ErrorKind::UnexpectedEof.into(), target))
            }
            Ok(Err(error)) => Err(OpenError {
                reason: format!("{} did not speak WebSocket: {error}", target.label),
                advice: "is this the gateway's client port (not --admin, not a topic server)?",
            }),
            Err(_) => Err(no_answer(target, "the WebSocket upgrade")),
        }
    }

    async fn dial(&self, target: &Target, number: usize) -> io::Result<TcpStream> {
        if self.sources.is_empty() {
            let stream = TcpStream::connect(target.address).await?;
            stream.set_nodelay(true)?;
            return Ok(stream);
        }
        let first = number / self.targets.len();
        let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
        // A source whose ports are used up is passed over.
        for attempt in 0..self.sources.len() {
            let source = self.sources[(first + attempt) % self.sources.len()];
            let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // Lets a port be used again while its last connection is still in TIME_WAIT.
            socket.set_reuseaddr(true)?;
            let bound = socket.bind(SocketAddr::new(source, 0));
            let dialled = match bound {
                Ok(()) => socket.connect(target.address).await,
                Err(error) => Err(error),
            };
            match dialled {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse) =>
                {
                    last_error = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(last_error)
    }

    /// Opens connection `number` and joins `channel` on it.
    pub(crate) async fn join(&self, number: usize, channel: &Channel) -> Result<Connection, OpenError> {
        let mut connection = self.open(number).await?;
        self.join_on(&mut connection, number, channel).await?;
        Ok(connection)
    }

    /// Joins `channel` on an open connection.
    pub(crate) async fn join_on(
        &self,
        connection: &mut Connection,
        number: usize,
        channel: &Channel,
    ) -> Result<(), OpenError> {
        let label = self.label(number);
        match timeout(self.deadline, connection.joined(channel)).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(reason))) => Err(OpenError {
                reason: format!("{label} refused a join: {reason}"),
                advice: match reason.as_str() {
                    "unmatched topic" => {
                        "the gateway serves only some topics: choose one with --topic-prefix"
                    }
                    "owner unreachable" => {
                        "a topic server of the ring is down or unreachable: see the gateway's log or /readyz"
                    }
                    _ => "see the gateway's log",
                },
            }),
            Ok(Err(lost)) => Err(OpenError {
                reason: format!("{label} ended a connection while it joined: {}", lost.0),
                advice: "see the gateway's log and its limits",
            }),
            Err(_) => Err(no_answer(self.target(number), "a join")),
        }
    }
}

fn no_answer(target: &Target, step: &str) -> OpenError {
    OpenError {
        reason: format!("{} did not answer {step} in time", target.label),
        advice: "is the server overloaded or stopped? --deadline SECONDS waits longer",
    }
}

fn explain(error: &io::Error, target: &Target) -> OpenError {
    let label = &target.label;
    // EMFILE and ENFILE have no kind of their own.
    let files = error.raw_os_error().is_some_and(|code| {
        code == rustix::io::Errno::MFILE.raw_os_error() || code == rustix::io::Errno::NFILE.raw_os_error()
    });
    let (what, advice) = match error.kind() {
        _ if files => ("too many open files".to_owned(), "raise the limit: `ulimit -n 65536`"),
        io::ErrorKind::ConnectionRefused => (
            format!("connection refused by {label}"),
            "is the cluster running? Start one with `campanile dev`, or name its gateways with --url",
        ),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => (
            format!("no free local port towards {label}"),
            "use more source addresses: --source 127.0.0.2 --source 127.0.0.3 …",
        ),
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => (
            format!("{label} broke a connection while it was opened"),
            "see the gateway's log and its limits",
        ),
        _ => (format!("cannot connect to {label}: {error}"), "check the address given with --url"),
    };
    OpenError { reason: what, advice }
}

/// What one read gives.
#[derive(Debug)]
pub(crate) enum Received {
    Text(Utf8Bytes),
    Binary(Bytes),
}

impl Received {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// One open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
}

/// What frames go over.
#[derive(Debug)]
enum Socket {
    WebSocket(Box<WebSocketStream<TcpStream>>),
    Plain(Plain),
}

impl Connection {
    /// The next frame; pings are answered on the way. Without WebSocket, whatever has come. Cancel-safe.
    pub(crate) async fn receive(&mut self) -> Result<Received, Lost> {
        let socket = match &mut self.socket {
            Socket::WebSocket(socket) => socket,
            Socket::Plain(plain) => {
                return match plain.receive().await {
                    Ok(Some(bytes)) => Ok(Received::Binary(bytes)),
                    Ok(None) => Err(Lost("closed by the server".into())),
                    Err(error) => Err(Lost(format!("broken: {error}"))),
                };
            }
        };
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(Received::Text(text)),
                Some(Ok(Message::Binary(bytes))) => return Ok(Received::Binary(bytes)),
                Some(Ok(Message::Close(Some(frame)))) => {
                    let reason = frame.reason.as_str();
                    let space = if reason.is_empty() { "" } else { " " };
                    return Err(Lost(format!(
                        "closed by the server with {}{space}{reason}",
                        u16::from(frame.code)
                    )));
                }
                Some(Ok(Message::Close(None))) => {
                    return Err(Lost("closed by the server without a code".into()));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Lost(format!("broken: {error}"))),
                None => return Err(Lost("ended without a close frame".into())),
            }
        }
    }

    /// Queues a text frame; [`Connection::flush`] sends what is queued. Not cancel-safe.
    pub(crate) async fn feed(&mut self, text: String) -> Result<(), Lost> {
        match &mut self.socket {
            Socket::WebSocket(socket) => {
                socket.feed(Message::text(text)).await.map_err(|error| broken(&error))
            }
            Socket::Plain(plain) => {
                plain.feed(text.as_bytes());
                Ok(())
            }
        }
    }

    /// Sends all that is queued.
    pub(crate) async fn flush(&mut self) -> Result<(), Lost> {
        match &mut self.socket {
            Socket::WebSocket(socket) => socket.flush().await.map_err(|error| broken(&error)),
            Socket::Plain(plain) => plain.flush().await.map_err(|error| broken(&error)),
        }
    }

    /// Sends one text frame. Not cancel-safe.
    pub(crate) async fn send(&mut self, text: String) -> Result<(), Lost> {
        self.feed(text).await?;
        self.flush().await
    }

    async fn joined(&mut self, channel: &Channel) -> Result<Result<(), String>, Lost> {
        if let Some(frame) = channel.join() {
            self.send(frame).await?;
        }
        // Nothing is delivered before the join's reply, so no payload has to be known here.
        let no_payload = Payload::new(0, 0);
        loop {
            let received = self.receive().await?;
            let (mut joined, mut answers) = (None, Vec::new());
            channel.read(&no_payload, received.bytes(), |incoming| match incoming {
                Incoming::Joined(reply) => joined = Some(reply),
                Incoming::Ended(why) => joined = Some(Err(why)),
                Incoming::Answer(answer) => answers.push(answer),
                _ => {}
            });
            for answer in answers {
                self.send(answer).await?;
            }
            if let Some(reply) = joined {
                return Ok(reply);
            }
        }
    }

    /// Closes politely: says so and reads until the server has closed too, at most 2 s.
    pub(crate) async fn close(self) {
        let closing = async {
            match self.socket {
                Socket::WebSocket(socket) => {
                    // Its own `close`, not that of a sink.
                    let mut socket = *socket;
                    if socket.close(None).await.is_ok() {
                        while let Some(Ok(_)) = socket.next().await {}
                    }
                }
                Socket::Plain(plain) => plain.close().await,
            }
        };
        // A server that does not answer the close is left alone: the run is over.
        let _ = timeout(CLOSE_DEADLINE, closing).await;
    }
}

fn broken(error: &dyn std::error::Error) -> Lost {
    Lost(format!("broken: {error}"))
}
