//! Which pages may connect.

use campanile_gateway::client::origin::Origins;

use crate::harness::Cluster;
use crate::harness::http::exchange;

async fn status(cluster: &Cluster, host: &str, origin: &str) -> u16 {
    let origin = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
    let answer = exchange(
        cluster.gateways[0].address,
        &format!(
            "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: {host}\r\n{origin}Connection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ),
    )
    .await;
    assert_eq!(answer.body, "");
    answer.status
}

#[tokio::test]
async fn h7_by_default_the_origins_host_must_be_the_hosts() {
    let cluster = Cluster::start(1, 1).await;
    for (host, origin, expected) in [
        ("app.test:4000", "", 101),
        ("app.test:4000", "http://app.test:4000", 101),
        ("app.test:4000", "https://app.test", 101),
        ("app.test:4000", "http://APP.test:9", 101),
        ("[::1]:4000", "http://[::1]:8080", 101),
        ("app.test:4000", "http://evil.test:4000", 403),
        ("app.test:4000", "http://sub.app.test:4000", 403),
        ("app.test:4000", "http://app.test.evil.test", 403),
        ("app.test:4000", "null", 403),
        ("app.test:4000", "file://", 403),
        ("app.test:4000", "app.test", 403),
    ] {
        assert_eq!(status(&cluster, host, origin).await, expected, "{host} {origin}");
    }
}

#[tokio::test]
async fn a_list_names_who_may() {
    let change = |settings: &mut campanile_gateway::Settings| {
        settings.origins = Origins::parse("https://example.com,//*.other.com,//dev.test:3000").unwrap();
    };
    let cluster = Cluster::start_with(1, 1, change, |_| {}).await;
    for (origin, expected) in [
        ("", 101),
        ("https://example.com", 101),
        ("https://example.com:8443", 101),
        ("http://example.com", 403),
        ("https://sub.example.com", 403),
        ("https://other.com", 101),
        ("http://a.b.other.com:7", 101),
        ("https://another.com", 403),
        ("http://dev.test:3000", 101),
        ("http://dev.test:3001", 403),
        ("null", 403),
        // The connection's own host is not in the list.
        ("http://gateway.test", 403),
    ] {
        assert_eq!(status(&cluster, "gateway.test", origin).await, expected, "{origin}");
    }
}

#[tokio::test]
async fn any_is_any() {
    let change = |settings: &mut campanile_gateway::Settings| settings.origins = Origins::Any;
    let cluster = Cluster::start_with(1, 1, change, |_| {}).await;
    for origin in ["", "http://evil.test", "null"] {
        assert_eq!(status(&cluster, "gateway.test", origin).await, 101, "{origin}");
    }
}
