//! The port as a client sees it, over real sockets on loopback.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

struct Served {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    end: CancellationToken,
    task: JoinHandle<()>,
}

async fn serve_one() -> Served {
    let listener = listen::bind(SocketAddr::from(([127, 0, 0, 1], 0)), "--admin").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut registry = Registry::default();
    registry.register("jobs", "Jobs done", Counter::<u64>::default());
    let ready = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&ready);
    let admin = Admin {
        registries: vec![Arc::new(registry)],
        ready: Arc::new(move || Readiness {
            ready: asked.load(Ordering::Relaxed),
            body: "{\"missing\":[]}".into(),
        }),
    };
    let end = CancellationToken::new();
    let task = tokio::spawn(serve(listener, admin, end.clone()));
    Served { address, ready, end, task }
}

async fn get(served: &Served, path: &str) -> String {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn check(answer: &str, parts: &[&str]) {
    for part in parts {
        assert!(answer.contains(part), "{part:?} is not in:\n{answer}");
    }
}

#[tokio::test]
async fn shows_metrics_health_and_readiness() {
    let served = serve_one().await;
    let metrics = get(&served, "/metrics").await;
    check(&metrics, &["HTTP/1.1 200", METRICS_TYPE, "\njobs_total 0\n# EOF\n"]);
    check(&get(&served, "/healthz").await, &["HTTP/1.1 200", "\r\n\r\nok"]);
    let json = ["content-type: application/json", "\r\n\r\n{\"missing\":[]}"];
    check(&get(&served, "/readyz").await, &["HTTP/1.1 503", json[0], json[1]]);
    served.ready.store(true, Ordering::Relaxed);
    check(&get(&served, "/readyz").await, &["HTTP/1.1 200", json[0], json[1]]);
    check(&get(&served, "/").await, &["HTTP/1.1 404", "/metrics, /healthz and /readyz"]);
}

#[tokio::test]
async fn garbage_ends_nobody_else() {
    let served = serve_one().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"\x16\x03\x01 no http\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    check(&get(&served, "/healthz").await, &["HTTP/1.1 200"]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    for sent in ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let served = serve_one().await;
        let start = Instant::now();
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let age = start.elapsed();
        assert!(age >= HEAD_TIME && age <= HEAD_TIME * 2, "{sent:?} was closed after {age:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_closes_the_port_and_idle_connections() {
    let served = serve_one().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    served.end.cancel();
    let start = Instant::now();
    served.task.await.unwrap();
    assert!(start.elapsed() <= END_TIME);
    let _ = stream.read_to_end(&mut Vec::new()).await;
    TcpStream::connect(served.address).await.unwrap_err();
}
