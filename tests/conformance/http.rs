//! What else a gateway's port answers.

use crate::harness::Cluster;
use crate::harness::http::{exchange, get};

#[tokio::test]
async fn the_page_is_there_and_other_paths_are_not() {
    let cluster = Cluster::start(1, 1).await;
    let address = cluster.gateways[0].address;
    let page = get(address, "/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").is_some_and(|value| value.starts_with("text/html")), "{page:?}");
    assert!(page.body.contains("<html"));
    for path in ["/nothing", "/socket", "/socket/websocket/", "/metrics", "/../etc/passwd"] {
        assert_eq!(get(address, path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_page_needs_nothing_from_elsewhere() {
    let cluster = Cluster::start(1, 1).await;
    let page = get(cluster.gateways[0].address, "/").await;
    for word in ["src=\"http", "href=\"http", "src=\"//", "href=\"//", "url(http"] {
        assert!(!page.body.contains(word), "{word}");
    }
}

#[tokio::test]
async fn a_request_head_that_is_too_large_is_refused() {
    let cluster = Cluster::start(1, 1).await;
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(exchange(cluster.gateways[0].address, &request).await.status, 431);
}
