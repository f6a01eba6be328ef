//! The upgrade: what a gateway answers, and in which order it checks.

use crate::harness::Cluster;
use crate::harness::http::{Answer, exchange};

const UPGRADE: [&str; 5] = [
    "Host: gateway.test",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

/// Asks with the upgrade's headers, less those that start with `without`, and these ones.
async fn ask(cluster: &Cluster, line: &str, without: &str, more: &[&str]) -> Answer {
    let kept = UPGRADE.iter().filter(|header| without.is_empty() || !header.starts_with(without));
    let headers: Vec<&str> = kept.chain(more).copied().collect();
    let request = format!("{line} HTTP/1.1\r\n{}\r\n\r\n", headers.join("\r\n"));
    exchange(cluster.gateways[0].address, &request).await
}

const V2: &str = "GET /socket/websocket?vsn=2.0.0";

#[tokio::test]
async fn h1_a_proper_upgrade_is_answered_with_its_key() {
    let cluster = Cluster::start(1, 1).await;
    let answer = ask(&cluster, V2, "", &[]).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    // The example of RFC 6455.
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(answer.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")));
    assert!(answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
    assert_eq!(answer.header("sec-websocket-protocol"), None);
}

#[tokio::test]
async fn header_values_may_be_lists_in_any_case() {
    let cluster = Cluster::start(1, 1).await;
    let answer = ask(&cluster, V2, "Connection", &["connection: keep-alive, UPGRADE"]).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    let answer = ask(&cluster, V2, "Upgrade", &["upgrade: h2c, WebSocket"]).await;
    assert_eq!(answer.status, 101, "{answer:?}");
}

#[tokio::test]
async fn an_offered_extension_is_not_accepted() {
    let cluster = Cluster::start(1, 1).await;
    let answer = ask(&cluster, V2, "", &["Sec-WebSocket-Extensions: permessage-deflate"]).await;
    assert_eq!((answer.status, answer.header("sec-websocket-extensions")), (101, None));
}

#[tokio::test]
async fn h5_upgrade_headers_that_are_missing_are_named() {
    let cluster = Cluster::start(1, 1).await;
    let request = "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = exchange(cluster.gateways[0].address, request).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("'connection' header must contain 'upgrade'"), "{answer:?}");
    for (without, named) in [
        ("Connection", "'connection' header must contain 'upgrade'"),
        ("Upgrade", "'upgrade' header must contain 'websocket'"),
        ("Sec-WebSocket-Key", "sec-websocket-key"),
        ("Sec-WebSocket-Version", "sec-websocket-version"),
    ] {
        let answer = ask(&cluster, V2, without, &[]).await;
        assert_eq!(answer.status, 400, "{without}");
        assert!(answer.body.to_ascii_lowercase().contains(named), "{without}: {answer:?}");
    }
}

#[tokio::test]
async fn another_websocket_version_is_refused() {
    let cluster = Cluster::start(1, 1).await;
    let answer = ask(&cluster, V2, "Sec-WebSocket-Version", &["Sec-WebSocket-Version: 8"]).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.to_ascii_lowercase().contains("sec-websocket-version"), "{answer:?}");
}

#[tokio::test]
async fn h6_other_methods_get_400_without_a_body() {
    let cluster = Cluster::start(1, 1).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = ask(&cluster, &format!("{method} /socket/websocket"), "", &[]).await;
        assert_eq!((answer.status, answer.body.as_str()), (400, ""), "{method}");
    }
}

#[tokio::test]
async fn h9_the_subprotocol_phoenix_is_echoed_and_no_other() {
    let cluster = Cluster::start(1, 1).await;
    for (offered, echoed) in [
        ("phoenix, base64url.bearer.phx.dG9rLTEyMw", Some("phoenix")),
        ("phoenix,base64url.bearer.phx.dG9rLTEyMw", Some("phoenix")),
        ("base64url.bearer.phx.dG9rLTEyMw, phoenix", Some("phoenix")),
        ("phoenix", Some("phoenix")),
        ("phoenix, base64url.bearer.phx.%%%", Some("phoenix")),
        ("other", None),
        ("phoenix2", None),
    ] {
        let header = format!("Sec-WebSocket-Protocol: {offered}");
        let answer = ask(&cluster, V2, "", &[&header]).await;
        assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, echoed), "{offered}");
    }
    let two = ["Sec-WebSocket-Protocol: other", "Sec-WebSocket-Protocol: phoenix"];
    let answer = ask(&cluster, V2, "", &two).await;
    assert_eq!(answer.header("sec-websocket-protocol"), Some("phoenix"));
}

#[tokio::test]
async fn method_goes_before_origin_before_vsn_before_upgrade_headers() {
    let cluster = Cluster::start(1, 1).await;
    let evil = "Origin: http://evil.test";
    let answer = ask(&cluster, "POST /socket/websocket?vsn=9.9.9", "Connection", &[evil]).await;
    assert_eq!((answer.status, answer.body.as_str()), (400, ""));
    let answer = ask(&cluster, "GET /socket/websocket?vsn=9.9.9", "Connection", &[evil]).await;
    assert_eq!((answer.status, answer.body.as_str()), (403, ""));
    let answer = ask(&cluster, "GET /socket/websocket?vsn=9.9.9", "Connection", &[]).await;
    assert_eq!((answer.status, answer.body.as_str()), (403, ""));
    let answer = ask(&cluster, V2, "Connection", &[]).await;
    assert_eq!(answer.status, 400);
    assert!(!answer.body.is_empty());
}
