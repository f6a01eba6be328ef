//! The WebSocket layer: what a client's bytes become, over a stream in memory in place of TCP.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use campanile_gateway::client::close::Ending;
use campanile_gateway::client::outbox::Outbox;
use campanile_gateway::client::session::Connection as _;
use campanile_gateway::client::socket::Socket;
use campanile_gateway::client::wire::Io;
use campanile_gateway::phoenix::frame::{Version, read_binary, read_text};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_tungstenite::tungstenite::Message;

use crate::Verdict;
use crate::input::Input;

/// The largest frame and message of these sockets.
const MAX_FRAME: usize = 1_024;

/// What may wait for a client that sends pings and reads nothing: what is let pile up before nothing more is taken, and
/// one control frame.
const WAITING: usize = 4_096 + 131;

/// A client that has sent all of this, and says no more.
struct Pipe<'a> {
    input: &'a [u8],
    /// So much comes at a time.
    step: usize,
    /// The client reads.
    reads: bool,
}

/// Options, how many bytes come with the upgrade, how many at a time; then what a client sends: either bytes as they
/// are, or messages, which are sent in frames and must arrive as they were.
pub(crate) fn run(data: &[u8]) -> Verdict {
    let mut input = Input::new(data);
    let (options, early, step) = (input.byte(), input.byte(), input.byte());
    let reads = options & 1 == 0;
    let pipe = |bytes| Pipe { input: bytes, step: 1 + usize::from(step), reads };
    if options & 2 == 0 {
        let bytes = input.rest();
        let (early, late) = bytes.split_at(usize::from(early).min(bytes.len()));
        let (messages, ending) = receive(early, pipe(late));
        check(&messages, bytes.len());
        return if ending == Ending::Gone || !messages.is_empty() {
            Verdict::Accepted
        } else {
            Verdict::Refused
        };
    }
    let (mut bytes, mut sent) = (Vec::new(), Vec::new());
    while !input.is_empty() {
        let (kind, cut, body) = (input.byte(), input.byte(), input.piece());
        let text = std::str::from_utf8(body).ok().filter(|_| kind & 1 == 0);
        sent.push(match text {
            Some(text) => Message::text(text),
            None => Message::binary(Bytes::copy_from_slice(body)),
        });
        let mask = [kind, cut, kind ^ cut, kind.wrapping_add(cut)];
        let opcode = if text.is_some() { 1 } else { 2 };
        let cut = usize::from(cut).min(body.len());
        if kind & 2 == 0 {
            frame(0x80 | opcode, mask, body, &mut bytes);
        } else {
            // In two parts, with a ping between them.
            frame(opcode, mask, &body[..cut], &mut bytes);
            frame(0x89, mask, b"?", &mut bytes);
            frame(0x80, mask, &body[cut..], &mut bytes);
        }
    }
    let (mut received, ending) = receive(&[], pipe(&bytes));
    received.retain(|message| !matches!(message, Message::Ping(_)));
    assert_eq!((received, ending), (sent, Ending::Gone));
    Verdict::Accepted
}

/// Everything that comes out, and how it ended.
fn receive(early: &[u8], pipe: Pipe<'_>) -> (Vec<Message>, Ending) {
    let reads = pipe.reads;
    let mut context = Context::from_waker(Waker::noop());
    let socket = pin!(Socket::new(pipe, Bytes::copy_from_slice(early), MAX_FRAME, Outbox::new(1 << 20)));
    let Poll::Ready(mut socket) = socket.poll(&mut context) else {
        panic!("a socket needs nothing to begin")
    };
    let mut messages = Vec::new();
    loop {
        match socket.poll_next(&mut context) {
            Poll::Ready(Ok(message)) => messages.push(message),
            Poll::Ready(Err(ending)) => return (messages, ending),
            // It waits for a client that does not read.
            Poll::Pending if !reads => return (messages, Ending::Gone),
            Poll::Pending => panic!("there is more to read, or the end"),
        }
        let waiting = socket.wire().len();
        assert!(waiting <= WAITING, "{waiting} bytes wait for a client that was sent no message");
        if reads {
            assert!(matches!(socket.poll_flush(&mut context), Poll::Ready(Ok(()))));
            assert!(socket.wire().is_empty());
        }
    }
}

/// No message is larger than allowed, and all of them no larger than what came; the front can look at each.
fn check(messages: &[Message], came: usize) {
    // The words in a close are tungstenite's own where the client's make no sense.
    let data = messages.iter().filter(|message| !message.is_close());
    let total: usize = data.map(Message::len).sum();
    assert!(
        total <= came && messages.len() <= came,
        "{total} bytes in {} messages of {came}",
        messages.len()
    );
    for message in messages {
        assert!(message.len() <= MAX_FRAME);
        match message {
            Message::Text(text) => {
                let bytes = Bytes::copy_from_slice(text.as_bytes());
                let _ = (read_text(Version::V1, &bytes), read_text(Version::V2, &bytes));
            }
            Message::Binary(bytes) => drop((read_text(Version::V1, bytes), read_binary(bytes))),
            Message::Ping(bytes) | Message::Pong(bytes) => assert!(bytes.len() <= 125),
            Message::Close(_) => {}
            Message::Frame(frame) => panic!("{frame:?} is no message"),
        }
    }
}

fn frame(first: u8, mask: [u8; 4], body: &[u8], into: &mut Vec<u8>) {
    into.push(first);
    match u8::try_from(body.len()).ok().filter(|length| *length < 126) {
        Some(length) => into.push(0x80 | length),
        None => {
            into.push(0x80 | 126);
            into.extend_from_slice(&(body.len() as u16).to_be_bytes());
        }
    }
    into.extend_from_slice(&mask);
    into.extend(body.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

impl AsyncRead for Pipe<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.step.min(buffer.remaining()).min(self.input.len());
        let (now, later) = self.input.split_at(length);
        buffer.put_slice(now);
        self.input = later;
        Poll::Ready(Ok(()))
    }
}

impl Io for Pipe<'_> {
    fn poll_write_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reads { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // As much as came in at once goes out at once.
        Ok(slices.iter().map(|slice| slice.len()).sum::<usize>().min(self.step))
    }

    fn shut(&self) {}
}
