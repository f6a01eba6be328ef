//! Peers that are there and do not answer: nothing waits for them without a deadline.

use std::net::SocketAddr;
use std::time::Duration;

use campanile_proto::FromTopicServer;
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::harness::fake_topic_server::FakeTopicServer;
use crate::harness::{Cluster, DEADLINE, equal, eventually};

fn short(settings: &mut campanile_gateway::Settings) {
    settings.owner_deadline = Duration::from_secs(1);
}

/// Attempts of the first gateway to reach the second topic server that came to nothing.
fn failures(cluster: &Cluster) -> u64 {
    cluster.gateways[0].metrics.link_failures.get_or_create(&[("member", "ts-b".to_owned())]).get()
}

/// A listener whose queue is full: the kernel drops what asks for a connection, as a cut network does.
async fn deaf(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut fillers = Vec::new();
    let filled = async || {
        let connecting = TcpStream::connect(address);
        match tokio::time::timeout(Duration::from_millis(300), connecting).await {
            Ok(connected) => {
                fillers.push(connected.unwrap());
                Err(fillers.len())
            }
            Err(_) => Ok(()),
        }
    };
    eventually("the queue is full", DEADLINE, filled).await;
    (listener, fillers)
}

#[tokio::test]
async fn a_connect_that_nobody_answers_is_tried_anew_within_two_seconds() {
    let mut cluster = Cluster::start(1, 2).await;
    let address = cluster.topic_servers[1].address;
    cluster.kill_topic_server(1).await;
    let _deaf = deaf(address).await;
    // The attempt that was under way when the queue became full may have got in.
    let next = async |before: u64| {
        let failed = async || if failures(&cluster) > before { Ok(()) } else { Err(before) };
        eventually("an attempt is given up", DEADLINE, failed).await;
    };
    next(failures(&cluster)).await;
    let before = failures(&cluster);
    let begin = Instant::now();
    next(before).await;
    next(before + 1).await;
    // Two attempts and two pauses of at most 1 s, on a machine that may be busy; what the kernel itself repeats comes 3 s
    // and 7 s after the first.
    assert!(begin.elapsed() < Duration::from_secs(7), "{:?} for two attempts", begin.elapsed());
}

#[tokio::test]
async fn an_owner_that_speaks_and_hears_nothing_is_given_up() {
    let mut fake = FakeTopicServer::listen().await;
    let cluster = Cluster::around(&fake, |_| {}).await;
    let link = fake.link().await;
    link.welcome(&cluster.ring(), 9).await;
    let begin = Instant::now();
    // As over a network that is cut one way: it asks, and answers nothing.
    let asking = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        loop {
            tick.tick().await;
            link.send(vec![FromTopicServer::Ping(1)]).await;
        }
    });
    let _next = fake.link().await;
    asking.abort();
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(4) && took < DEADLINE, "a new link after {took:?}");
}

#[tokio::test]
async fn an_owner_that_accepts_and_never_answers_is_unreachable_at_the_deadline() {
    let mut cluster = Cluster::start_with(1, 2, short, |_| {}).await;
    let (silent, alive) = (cluster.topic_of(1, "silent"), cluster.topic_of(0, "alive"));
    let mut client = cluster.client(0).await;
    client.join(&silent).await;
    client.join(&alive).await;
    let address = cluster.topic_servers[1].address;
    cluster.kill_topic_server(1).await;
    let known = async || equal(cluster.gateways[0].metrics.links.get(), 1);
    eventually("the gateway knows", DEADLINE, known).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(16).unwrap();
    let (_accepted, _) = listener.accept().await.unwrap();

    let start = Instant::now();
    let reference = client.ask_to_publish(&silent, "event", json!({})).await;
    let other = client.ask_to_publish(&alive, "event", json!({})).await;
    assert_eq!(client.reply(&other).await["status"], "ok");
    let response = json!({"reason": "owner unreachable", "outcome": "not_published", "retry": true});
    assert_eq!(client.reply(&reference).await["response"], response);
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
}
