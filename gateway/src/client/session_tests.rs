use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::client::socket::Socket;
use crate::client::wire::Opcode;

/// Says when each text came, and that all that it asked for was refused.
struct Refusing(mpsc::Sender<Instant>, bool);

impl Front for Refusing {
    type Received = Message;

    fn receive(&mut self, _: Message) -> Result<(), Ending> {
        self.1 = true;
        self.0.try_send(Instant::now()).map_err(|_| Ending::Gone)
    }

    fn direct(&self) -> Option<WriteEvent> {
        None
    }

    fn item(&mut self, item: Item, wire: &mut Wire) -> Result<(), Ending> {
        if let Item::Frame(bytes) = item {
            wire.frame(Opcode::Text, &[&bytes]);
        }
        Ok(())
    }

    fn was_refused(&mut self) -> bool {
        std::mem::take(&mut self.1)
    }

    fn ended(&mut self) {}
}

/// The clock stands still while anything can run, so the times are those of the timers.
#[tokio::test(start_paused = true)]
async fn who_is_refused_is_read_more_slowly_and_written_to_as_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connects");
    let (io, _) = listener.accept().await.expect("accepted");
    let (reading, writing) = io.into_split();
    writing.forget();
    let outbox = Outbox::new(1 << 20);
    let (sender, mut texts) = mpsc::channel(16);
    let socket = Socket::new(reading, Bytes::new(), 1 << 20, outbox.clone()).await;
    tokio::spawn(run(socket, outbox.clone(), Refusing(sender, false), |_| ()));
    // Eight masked frames of one byte.
    client.write_all(&b"\x81\x81\0\0\0\0x".repeat(8)).await.expect("sent");
    let mut times = Vec::new();
    for _ in 0..7 {
        times.push(texts.recv().await.expect("a text"));
    }
    outbox.push(Item::Frame(Bytes::from_static(b"event")));
    let mut frame = [0; 7];
    client.read_exact(&mut frame).await.expect("a frame");
    assert_eq!(&frame, b"\x81\x05event");
    assert!(texts.try_recv().is_err(), "written within the pause");
    times.push(texts.recv().await.expect("the last text"));
    let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let wanted = [2, 4, 8, 16, 32, 64, 100];
    for (pause, wanted) in pauses.iter().zip(wanted.map(Duration::from_millis)) {
        let longest = wanted + Duration::from_millis(2);
        assert!((wanted..=longest).contains(pause), "{pauses:?}");
    }
}
