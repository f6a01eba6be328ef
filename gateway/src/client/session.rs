//! One client's connection: a single task that reads what the client sends, hands it to the front, and writes what
//! lies in the client's outbox, unless that was written past it. It waits for nobody but its own socket.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::task::{Context, Poll, Waker};

use crate::client::close::Ending;
use crate::client::direct::WriteEvent;
use crate::client::outbox::{Found, Item, Outbox};
use crate::client::pause::{Pause, Reading};
use crate::client::wire::Wire;
use crate::hub::publish::Room;

/// Nothing more is taken from the outbox while so much waits for the socket: what a slow client cannot take stays
/// where it is counted.
const WIRE_HIGH: usize = 64 * 1024;

/// So many messages are received before what waits in the outbox has its turn, so that neither a busy client nor a busy
/// topic starves the other direction, and what a busy client is sent leaves with few writes.
const RECEIVED_HIGH: u8 = 32;

/// The socket of one client: reads whole messages of its protocol, and writes what is put into its [`Wire`].
pub trait Connection: Send {
    /// What a client sends.
    type Received;

    /// What waits to be written, to add some; not before the outbox has given the socket to the session
    /// ([`Outbox::poll_take`]).
    fn wire(&mut self) -> &mut Wire;

    /// The next message.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Self::Received, Ending>>;

    /// Writes what waits, as far as the socket takes it.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Says behind what waits why the connection ends, as far as the protocol has words for it, and closes.
    fn finish(self, ending: Ending) -> impl Future<Output = ()> + Send;
}

/// One client protocol: the rules of one session. None of its methods waits.
pub trait Front: Send {
    /// What a client sends.
    type Received;

    /// The client sent this.
    ///
    /// # Errors
    /// Why the connection is to be closed, behind all that is queued.
    fn receive(&mut self, received: Self::Received) -> Result<(), Ending>;

    /// Whether it takes what the client sends next; otherwise that waits until an item has changed it.
    fn may_receive(&self) -> bool {
        true
    }

    /// All that has come of the client has been received, for now.
    fn caught_up(&mut self) {}

    /// Whether others may write events past the session now, if it has anything of the kind.
    fn may_be_passed(&self) -> bool {
        true
    }

    /// How this session's events are written by whoever has them, while the session has nothing to write itself; as
    /// [`Front::item`] would. None if only the session can.
    fn direct(&self) -> Option<WriteEvent>;

    /// An item's turn has come: write what the client is to see of it.
    ///
    /// # Errors
    /// Why the connection is to be closed at once, whatever is queued behind the item.
    fn item(&mut self, item: Item, wire: &mut Wire) -> Result<(), Ending>;

    /// The least room that anything of the client has found since the last call: it decides whether the client is read
    /// more slowly for a while.
    fn room(&mut self) -> Room {
        Room::Ample
    }

    /// The session is over: give up everything it held.
    fn ended(&mut self);
}

/// What happened next.
enum Turn<R> {
    Received(Result<R, Ending>),
    Items,
    End(Ending),
}

/// A session's moving parts.
struct Session<C, F> {
    socket: C,
    outbox: Outbox,
    front: F,
    items: VecDeque<Item>,
    /// Messages received since the outbox was looked at last.
    received: u8,
    pause: Pause,
}

/// Runs a session to its end, and then says why it ended. The future holds the session once: an `async fn` would keep
/// what it was given beside what it made of it, and every idle connection would pay for that.
pub fn run<C: Connection, F: Front<Received = C::Received>>(
    socket: C,
    outbox: Outbox,
    front: F,
    ended: impl FnOnce(Ending),
) -> impl Future<Output = ()> {
    let (items, pause) = (VecDeque::new(), Pause::default());
    let mut session = Session { socket, outbox, front, items, received: 0, pause };
    async move {
        let ending = session.turns().await;
        session.front.ended();
        session.outbox.close();
        // Boxed: the end is rare, and its state would make every idle session larger.
        Box::pin(session.socket.finish(ending)).await;
        ended(ending);
    }
}

impl<C: Connection, F: Front<Received = C::Received>> Session<C, F> {
    async fn turns(&mut self) -> Ending {
        loop {
            let result = match poll_fn(|context| self.poll_turn(context)).await {
                Turn::Received(received) => received.and_then(|received| self.front.receive(received)),
                Turn::Items => match self.write_items() {
                    Ok(()) => Ok(()),
                    // Nothing that lies behind the item may be sent.
                    Err(ending) => return ending,
                },
                Turn::End(ending) => Err(ending),
            };
            if let Err(ending) = result {
                if ending != Ending::Gone {
                    self.take_last();
                }
                return ending;
            }
            let whole_turn = self.received >= RECEIVED_HIGH;
            match self.front.room() {
                Room::None => self.pause.refused(),
                Room::Scarce if whole_turn => self.pause.hurried(),
                Room::Ample if whole_turn => self.pause.ease(),
                Room::Ample | Room::Scarce => {}
            }
        }
    }

    /// What came before the end is answered, as far as the answers are there and the wire takes them.
    fn take_last(&mut self) {
        let context = &mut Context::from_waker(Waker::noop());
        // What was begun past the session, and what lies behind it.
        for _ in 0..2 {
            if self.write_items().is_err() || !self.items.is_empty() {
                return;
            }
            // Never empty as far as others are told: nobody else is to write any more.
            if let Poll::Ready(Found::Rest(rest)) = self.outbox.poll_take(context, &mut self.items, false) {
                *self.socket.wire() = *rest;
            }
        }
        let _ = self.write_items();
    }

    fn write_items(&mut self) -> Result<(), Ending> {
        let wire = self.socket.wire();
        while wire.len() < WIRE_HIGH
            && let Some(item) = self.items.pop_front()
        {
            self.front.item(item, wire)?;
        }
        Ok(())
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Turn<C::Received>> {
        if !self.socket.wire().is_empty()
            && let Poll::Ready(Err(_)) = self.socket.poll_flush(context)
        {
            return Poll::Ready(Turn::End(Ending::Gone));
        }
        let reading = self.pause.poll(context);
        if reading == Reading::Again {
            // It was not the client that was silent.
            self.outbox.heard();
        }
        let may_read = reading != Reading::Paused && self.front.may_receive();
        let read_first = self.received < RECEIVED_HIGH;
        if read_first
            && may_read
            && let Poll::Ready(received) = self.socket.poll_next(context)
        {
            self.received += 1;
            return Poll::Ready(Turn::Received(received));
        }
        self.received = 0;
        self.front.caught_up();
        if self.socket.wire().len() < WIRE_HIGH {
            if !self.items.is_empty() {
                return Poll::Ready(Turn::Items);
            }
            let may_be_passed = self.socket.wire().is_empty() && self.front.may_be_passed();
            match self.outbox.poll_take(context, &mut self.items, may_be_passed) {
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
        if !read_first
            && may_read
            && let Poll::Ready(received) = self.socket.poll_next(context)
        {
            return Poll::Ready(Turn::Received(received));
        }
        Poll::Pending
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
