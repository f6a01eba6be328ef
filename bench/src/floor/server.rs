//! The floor server's connections and topics. One thread: cells, no locks.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::{Rc, Weak};

use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_tungstenite::accept_async;

use super::frame::{Frame, read, text};
use crate::protocol::floor::{HEARTBEAT, SUBSCRIBE};

/// Bytes that may wait for one subscriber's socket; beyond, it is cut.
const BACKLOG: usize = 64 << 20;
/// What one read takes at most.
const READ: usize = 64 << 10;

/// The clients that listen to one topic.
type Subscribers = RefCell<Vec<Rc<Client>>>;

/// All topics with subscribers, and the one buffer that all reads use.
#[derive(Debug)]
struct Topics {
    subscribers: RefCell<HashMap<Vec<u8>, Weak<Subscribers>>>,
    buffer: RefCell<Vec<u8>>,
}

/// One connection, and what its socket would not take at once.
#[derive(Debug)]
struct Client {
    stream: TcpStream,
    backlog: RefCell<VecDeque<u8>>,
    began: Notify,
    cut: Cell<bool>,
}

/// Takes connections until the listener fails.
pub(super) async fn serve(listener: TcpListener) -> io::Result<()> {
    let buffer = RefCell::new(vec![0; READ]);
    let topics = Rc::new(Topics { subscribers: RefCell::default(), buffer });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let topics = topics.clone();
        tokio::task::spawn_local(async move {
            // The client says nothing before it has the answer to its upgrade, so nothing is left in a buffer.
            if let Ok(socket) = accept_async(stream).await {
                let client = Rc::new(Client {
                    stream: socket.into_inner(),
                    backlog: RefCell::default(),
                    began: Notify::new(),
                    cut: Cell::new(false),
                });
                let mut joined = None;
                // However it ends, the client is gone.
                let _ = client.live(&topics, &mut joined).await;
                if let Some(subscribers) = joined {
                    subscribers.borrow_mut().retain(|other| !Rc::ptr_eq(other, &client));
                }
            }
        });
    }
}

impl Topics {
    fn subscribers(&self, topic: &[u8]) -> Rc<Subscribers> {
        let mut topics = self.subscribers.borrow_mut();
        if let Some(found) = topics.get(topic).and_then(Weak::upgrade) {
            return found;
        }
        topics.retain(|_, subscribers| subscribers.strong_count() > 0);
        let subscribers = Rc::<Subscribers>::default();
        topics.insert(topic.to_vec(), Rc::downgrade(&subscribers));
        subscribers
    }
}

impl Client {
    /// Reads until the client goes, or is cut.
    async fn live(self: &Rc<Self>, topics: &Topics, joined: &mut Option<Rc<Subscribers>>) -> io::Result<()> {
        let mut begun = Vec::new();
        loop {
            let waits = !self.backlog.borrow().is_empty();
            let interest = if waits { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            tokio::select! {
                ready = self.stream.ready(interest) => {
                    let ready = ready?;
                    if ready.is_writable() {
                        self.drain()?;
                    }
                    if ready.is_readable() && !self.take(&mut begun, topics, joined)? {
                        return Ok(());
                    }
                }
                () = self.began.notified() => {}
            }
            if self.cut.get() {
                return Ok(());
            }
        }
    }

    /// One read and what came with it; whether the client stays.
    fn take(
        self: &Rc<Self>,
        begun: &mut Vec<u8>,
        topics: &Topics,
        joined: &mut Option<Rc<Subscribers>>,
    ) -> io::Result<bool> {
        let mut buffer = topics.buffer.borrow_mut();
        let count = match self.stream.try_read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        begun.extend_from_slice(&buffer[..count]);
        let mut used = 0;
        while let Ok(Some((frame, size))) = read(&begun[used..]).map_err(|_| self.cut.set(true)) {
            used += size;
            match frame {
                Frame::Message(message) => self.said(&message, topics, joined),
                Frame::Close => return Ok(false),
                Frame::Other => {}
            }
        }
        begun.drain(..used);
        if begun.is_empty() {
            *begun = Vec::new();
        }
        Ok(true)
    }

    fn said(self: &Rc<Self>, message: &[u8], topics: &Topics, joined: &mut Option<Rc<Subscribers>>) {
        if message == HEARTBEAT.as_bytes() {
            self.send(&text(message));
        } else if let Some(topic) = message.strip_prefix(SUBSCRIBE.as_bytes()) {
            let subscribers = joined.get_or_insert_with(|| topics.subscribers(topic));
            subscribers.borrow_mut().push(self.clone());
            self.send(&text(SUBSCRIBE.as_bytes()));
        } else if let Some(subscribers) = joined {
            let frame = text(message);
            subscribers.borrow().iter().for_each(|subscriber| subscriber.send(&frame));
        }
    }

    /// One `send`; what the socket does not take waits.
    fn send(&self, frame: &[u8]) {
        let mut backlog = self.backlog.borrow_mut();
        let sent = if backlog.is_empty() { self.stream.try_write(frame).unwrap_or(0) } else { 0 };
        if sent == frame.len() || self.cut.get() {
            return;
        }
        backlog.extend(&frame[sent..]);
        self.cut.set(backlog.len() > BACKLOG);
        self.began.notify_one();
    }

    fn drain(&self) -> io::Result<()> {
        let mut backlog = self.backlog.borrow_mut();
        while !backlog.is_empty() {
            match self.stream.try_write(backlog.as_slices().0) {
                Ok(sent) => drop(backlog.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        // What a burst needed is given back.
        *backlog = VecDeque::new();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::{Report, command, perform};

    /// What the generator reports of a floor server; the server ends with the test.
    fn report(arguments: &str) -> Report {
        let (tell, told) = std::sync::mpsc::channel::<SocketAddr>();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let server = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(tokio::runtime::LocalOptions::default());
            runtime.unwrap().block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    served = serve(listener) => served.unwrap(),
                    _ = ended => {}
                }
            });
        });
        let address = told.recv().unwrap();
        let line = format!("bench {arguments} --protocol floor --url {address}");
        let report = perform(&command().get_matches_from(line.split(' '))).unwrap();
        drop(end);
        server.join().unwrap();
        report
    }

    #[test]
    fn every_subscriber_has_every_publish_once_and_in_order() {
        let fanout = report("fanout --subscribers 20 --in-flight 8 --seconds 0.3 --warm-up 0");
        assert!(fanout.ok() && fanout.result("deliveries").unwrap() > 0.0, "{}", fanout.table());
        let rooms = report("rooms --rooms 5 --members 4 --rate 200 --seconds 0.3 --warm-up 0");
        assert!(rooms.ok() && rooms.result("publishes").unwrap() > 40.0, "{}", rooms.table());
    }

    #[test]
    fn more_than_sockets_take_goes_through() {
        let arguments = "pipe --subscribers 3 --payload-bytes 1024 --payload-bytes 2000000 --in-flight 4";
        let pipe = report(&format!("{arguments} --seconds 0.3 --warm-up 0"));
        assert!(pipe.ok() && pipe.parts().len() == 2, "{}", pipe.table());
        assert!(pipe.parts().iter().all(|part| part.result("bytes_per_second").unwrap() > 0.0));
    }

    #[test]
    fn connections_come_and_go_and_stand() {
        let connect = report("connect --in-flight 4 --topics 3 --seconds 0.2");
        assert!(connect.ok() && connect.result("joined").unwrap() > 0.0, "{}", connect.table());
        let idle = report("idle --connections 20 --seconds 0.2");
        assert!(idle.ok() && idle.result("alive_at_the_end") == Some(20.0), "{}", idle.table());
    }
}
