//! One client's connection: a single task that reads what the client sends, hands it to the front, and writes what
//! lies in the client's outbox, unless that was written past it. It waits for nobody but its own socket.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::client::close::Ending;
use crate::client::direct::WriteEvent;
use crate::client::outbox::{Found, Item, Outbox};
use crate::client::socket::Socket;
use crate::client::wire::Wire;

/// Nothing more is taken from the outbox while so much waits for the socket: what a slow client cannot take stays
/// where it is counted.
const WIRE_HIGH: usize = 64 * 1024;

/// One client protocol: the rules of one session. None of its methods waits.
pub trait Front: Send {
    /// The client sent text.
    ///
    /// # Errors
    /// Why the connection is to be closed.
    fn text(&mut self, text: Utf8Bytes) -> Result<(), Ending>;

    /// The client sent bytes.
    ///
    /// # Errors
    /// Why the connection is to be closed.
    fn binary(&mut self, bytes: Bytes) -> Result<(), Ending>;

    /// How this session's events are written by whoever has them, while the session has nothing to write itself; as
    /// [`Front::item`] would. None if only the session can.
    fn direct(&self) -> Option<WriteEvent>;

    /// An item's turn has come: write what the client is to see of it.
    fn item(&mut self, item: Item, wire: &mut Wire);

    /// The session is over: give up everything it held.
    fn ended(&mut self);
}

/// What happened next.
enum Turn {
    Received(Result<Message, Ending>),
    Items,
    End(Ending),
}

/// A session's moving parts.
struct Session<F: Front> {
    socket: Socket,
    outbox: Outbox,
    front: F,
    items: VecDeque<Item>,
    /// Who is asked first, so that neither a busy client nor a busy topic starves the other direction.
    read_first: bool,
}

/// Runs a session to its end, and then says why it ended. The future holds the session once: an `async fn` would keep
/// what it was given beside what it made of it, and every idle connection would pay for that.
pub fn run<F: Front>(
    socket: Socket,
    outbox: Outbox,
    front: F,
    ended: impl FnOnce(Ending),
) -> impl Future<Output = ()> {
    let mut session = Session { socket, outbox, front, items: VecDeque::new(), read_first: true };
    async move {
        let ending = session.turns().await;
        session.front.ended();
        session.outbox.close();
        // Boxed: the end is rare, and its state would make every idle session larger.
        Box::pin(session.socket.finish(ending)).await;
        ended(ending);
    }
}

impl<F: Front> Session<F> {
    async fn turns(&mut self) -> Ending {
        loop {
            let result = match poll_fn(|context| self.poll_turn(context)).await {
                Turn::Received(Ok(Message::Text(text))) => self.front.text(text),
                Turn::Received(Ok(Message::Binary(bytes))) => self.front.binary(bytes),
                Turn::Received(Ok(_)) => Ok(()),
                Turn::Received(Err(ending)) => Err(ending),
                Turn::Items => {
                    let wire = self.socket.wire();
                    while wire.len() < WIRE_HIGH
                        && let Some(item) = self.items.pop_front()
                    {
                        self.front.item(item, wire);
                    }
                    Ok(())
                }
                Turn::End(ending) => Err(ending),
            };
            if let Err(ending) = result {
                return ending;
            }
        }
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        if !self.socket.wire().is_empty()
            && let Poll::Ready(Err(_)) = self.socket.poll_flush(context)
        {
            return Poll::Ready(Turn::End(Ending::Gone));
        }
        self.read_first = !self.read_first;
        if self.read_first
            && let Poll::Ready(received) = self.socket.poll_next(context)
        {
            return Poll::Ready(Turn::Received(received));
        }
        if self.socket.wire().len() < WIRE_HIGH {
            if !self.items.is_empty() {
                return Poll::Ready(Turn::Items);
            }
            let wire_is_empty = self.socket.wire().is_empty();
            match self.outbox.poll_take(context, &mut self.items, wire_is_empty) {
                Poll::Ready(Found::Items) => return Poll::Ready(Turn::Items),
                Poll::Ready(Found::Rest(rest)) => {
                    *self.socket.wire() = *rest;
                    // The loop comes back to write it.
                    return Poll::Ready(Turn::Items);
                }
                Poll::Ready(Found::End(ending)) => return Poll::Ready(Turn::End(ending)),
                Poll::Pending => {}
            }
        } else if let Poll::Ready(ending) = self.outbox.poll_end(context) {
            return Poll::Ready(Turn::End(ending));
        }
        if !self.read_first
            && let Poll::Ready(received) = self.socket.poll_next(context)
        {
            return Poll::Ready(Turn::Received(received));
        }
        Poll::Pending
    }
}
