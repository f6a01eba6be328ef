//! How many connections a gateway takes, and how fast: what the others get, and that every place is free again however
//! its connection ended.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use campanile_process::token_bucket::Rate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::harness::http::{self, Answer};
use crate::harness::{Cluster, DEADLINE, equal, eventually};

/// A connection from this address of the machine, and what it got when it asked for an upgrade.
async fn connect_from(from: Ipv4Addr, to: SocketAddr) -> (TcpStream, Answer) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut tcp = timeout(DEADLINE, socket.connect(to)).await.unwrap().unwrap();
    let request = format!(
        "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    tcp.write_all(request.as_bytes()).await.unwrap();
    let answer = timeout(DEADLINE, http::read(&mut tcp)).await.expect("answers in time");
    (tcp, answer)
}

async fn connect(to: SocketAddr) -> (TcpStream, u16) {
    let (tcp, answer) = connect_from(Ipv4Addr::LOCALHOST, to).await;
    (tcp, answer.status)
}

fn refused(cluster: &Cluster, reason: &'static str) -> u64 {
    cluster.gateways[0].metrics.connections_refused.get_or_create(&[("reason", reason)]).get()
}

#[tokio::test]
async fn beyond_its_bound_a_gateway_says_when_to_come_back() {
    let cluster =
        Cluster::start_with(1, 1, |settings| settings.admission.connections = Some(2), |_| {}).await;
    let address = cluster.gateways[0].address;
    let (first, status) = connect(address).await;
    assert_eq!(status, 101);
    let (_second, status) = connect(address).await;
    assert_eq!(status, 101);
    for number in 1..=3 {
        let (mut tcp, answer) = connect_from(Ipv4Addr::LOCALHOST, address).await;
        assert_eq!((answer.status, refused(&cluster, "full")), (503, number));
        assert_eq!(answer.body, "this gateway has as many connections as it may have");
        let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=10).contains(&seconds));
        assert_eq!(
            timeout(DEADLINE, tcp.read(&mut [0])).await.unwrap().unwrap(),
            0,
            "and the connection ends"
        );
    }
    drop(first);
    let again = async || equal(connect(address).await.1, 101);
    eventually("the place is free again", DEADLINE, again).await;
}

/// The bound is one: a place that is not given back locks everybody out.
#[tokio::test]
async fn a_place_is_free_again_however_its_connection_ended() {
    let change = |settings: &mut campanile_gateway::Settings| {
        settings.admission.connections = Some(1);
        settings.client.idle = Duration::from_secs(1);
    };
    let cluster = Cluster::start_with(1, 1, change, |_| {}).await;
    let address = cluster.gateways[0].address;
    let session = async |what: &str| {
        let get = async || {
            let (tcp, status) = connect(address).await;
            if status == 101 { Ok(tcp) } else { Err(status) }
        };
        eventually(what, DEADLINE, get).await
    };
    let mut tcp = session("a first one").await;
    // A masked close frame with code 1000.
    tcp.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await.unwrap();
    let mut tcp = session("after a client's close").await;
    // A masked text frame that is no JSON.
    tcp.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'x']).await.unwrap();
    drop(session("after a malformed frame").await);
    let tcp = session("after an end without a word").await;
    tcp.set_zero_linger().unwrap();
    drop(tcp);
    let _silent = session("after a reset").await;
    let mut tcp = {
        let get = async || {
            let mut tcp = TcpStream::connect(address).await.unwrap();
            tcp.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let status = timeout(DEADLINE, http::read(&mut tcp)).await.unwrap().status;
            if status == 200 { Ok(tcp) } else { Err(status) }
        };
        eventually("after the idle time", DEADLINE, get).await
    };
    assert_eq!(connect(address).await.1, 503, "a page's connection has a place, too");
    tcp.write_all(b"nonsense\r\n\r\n").await.unwrap();
    let _last = session("after nonsense").await;
    assert_eq!(connect(address).await.1, 503);
}

#[tokio::test]
async fn an_address_beyond_its_bound_keeps_nobody_else_out() {
    let change = |settings: &mut campanile_gateway::Settings| settings.admission.per_address = Some(2);
    let cluster = Cluster::start_with(1, 1, change, |_| {}).await;
    let address = cluster.gateways[0].address;
    let mut places = vec![connect(address).await, connect(address).await];
    let (_, status) = connect(address).await;
    assert_eq!((status, refused(&cluster, "address")), (429, 1));
    let (_other, answer) = connect_from(Ipv4Addr::new(127, 0, 0, 2), address).await;
    assert_eq!(answer.status, 101);
    places.pop();
    let again = async || equal(connect(address).await.1, 101);
    eventually("the place is free again", DEADLINE, again).await;
}

#[tokio::test]
async fn connections_are_taken_at_the_pace_and_no_faster() {
    let change = |settings: &mut campanile_gateway::Settings| {
        settings.admission.pace = Some(Rate::every(Duration::from_millis(100), 2));
    };
    let mut cluster = Cluster::start_with(1, 1, change, |_| {}).await;
    let (address, start) = (cluster.gateways[0].address, Instant::now());
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(cluster.client(0).await);
    }
    // One was allowed before it came, two more pass at once, and three have to wait.
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
    // Who is connected does not wait.
    for client in &mut clients {
        client.expect_silence().await;
    }
    // And an end does not wait for the pace.
    let _waiting = TcpStream::connect(address).await.unwrap();
    cluster.gateways[0].node.drain();
    drop(clients);
    cluster.gateways[0].node.ended().await;
}
