//! What a connection gets that is turned away: one answer, whatever it asks for, and its end. Of those who are turned
//! away only so many are answered at a time; the others are closed at once, since even an answer costs something.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::client::accept::HEADER_BYTES;
use crate::client::admission::Turned;

/// How many are answered at a time. File descriptors are kept for more than these beside all connections.
const ANSWERED: usize = 64;

/// How long one may take to ask and to read its answer.
const TIME: Duration = Duration::from_secs(2);

/// When to come back, in seconds: between these, so that those who left together do not come together.
const COME_BACK: std::ops::RangeInclusive<u8> = 1..=10;

/// Those who are being turned away.
#[derive(Debug)]
pub(crate) struct TurnAway(Arc<Semaphore>);

impl TurnAway {
    /// Nobody.
    pub(crate) fn new() -> Self {
        Self::at_most(ANSWERED)
    }

    fn at_most(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Answers a connection and ends it, or ends it at once if too many are being answered.
    pub(crate) fn turn_away(&self, io: TcpStream, why: Turned) {
        self.answer(answer_one(io, why));
    }

    /// Runs an answer to its end, or to the end of its time; not at all if too many are being answered.
    pub(crate) fn answer(&self, answer: impl Future<Output = ()> + Send + 'static) {
        if let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() {
            tokio::spawn(async move {
                // Whatever becomes of it, it was nobody that we know.
                let _ = tokio::time::timeout(TIME, answer).await;
                drop(permit);
            });
        }
    }
}

async fn answer_one(io: TcpStream, why: Turned) {
    let service = service_fn(async |_request| Ok::<_, Infallible>(answer(why)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TIME)
        .max_buf_size(HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(io), service);
    let _ = connection.await;
}

/// The answer to whoever is turned away.
pub(crate) fn answer(why: Turned) -> Response<Body> {
    let mut response = Response::new(Body::from(why.text()));
    *response.status_mut() = StatusCode::from_u16(why.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(u16::from(fastrand::u8(COME_BACK))));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What a client gets that says this.
    async fn said(turn_away: &TurnAway, why: Turned, request: &[u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
        client.write_all(request).await.expect("written");
        turn_away.turn_away(listener.accept().await.expect("accepted").0, why);
        let mut answer = Vec::new();
        // A reset is an end, too.
        let _ = client.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("text")
    }

    #[tokio::test]
    async fn every_request_gets_the_answer_and_the_end() {
        let turn_away = TurnAway::new();
        for (why, status) in [(Turned::Full, "503"), (Turned::Memory, "503"), (Turned::Address, "429")] {
            let request = b"GET /socket/websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\r\n";
            let answer = said(&turn_away, why, request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(
                answer.contains("\r\nretry-after: ") && answer.contains("\r\nconnection: close\r\n"),
                "{answer}"
            );
            assert!(answer.ends_with(why.text()), "{answer}");
        }
    }

    #[tokio::test]
    async fn who_comes_when_too_many_are_answered_is_closed_without_a_word() {
        let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(said(&TurnAway::at_most(0), Turned::Full, request).await, "");
    }

    /// It would keep its place among those who are answered.
    #[tokio::test(start_paused = true)]
    async fn who_asks_for_nothing_is_closed_soon() {
        let turn_away = TurnAway::at_most(1);
        said(&turn_away, Turned::Full, b"GET").await;
        assert_eq!(turn_away.0.available_permits(), 1);
    }
}
