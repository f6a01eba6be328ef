//! The admin port, read by hand; and what the kernel tells of processes.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Status and body of a page.
pub(crate) async fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(PATIENCE, asking).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The sum of all samples of a metric; 0 if it has counted nothing yet.
pub(crate) async fn metric(address: SocketAddr, name: &str) -> io::Result<f64> {
    let (_, body) = get(address, "/metrics").await?;
    Ok(sum(&body, name))
}

/// The samples of a metric by its label `reason`, as `REASON COUNT`.
pub(crate) async fn reasons(address: SocketAddr, name: &str) -> io::Result<Vec<String>> {
    let (_, body) = get(address, "/metrics").await?;
    let lines = body.lines().filter(|line| line.starts_with(name));
    let reason = |line: &str| {
        let (_, rest) = line.split_once("reason=\"")?;
        let (reason, _) = rest.split_once('"')?;
        Some(format!("{reason} {}", line.rsplit(' ').next()?))
    };
    Ok(lines.filter_map(reason).collect())
}

/// The sum of all samples of a metric on a page.
pub(crate) fn sum(body: &str, name: &str) -> f64 {
    let is_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
    body.lines().filter(is_it).filter_map(value).sum()
}

/// Resident memory of a process, in bytes.
pub(crate) fn memory(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes =
        line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Open descriptors of a process.
pub(crate) fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count)
}

/// Memory of all TCP sockets of this network namespace's kernel, in bytes.
pub(crate) fn kernel_memory() -> u64 {
    let stat = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let tcp = stat.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default();
    let pages = tcp.split_whitespace().skip_while(|word| *word != "mem").nth(1);
    pages.and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_metric_are_added_and_no_others() {
        let body = "# TYPE a_total counter\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_total_b 9\nb 7\n";
        assert_eq!((sum(body, "a_total"), sum(body, "b"), sum(body, "c")), (5.0, 7.0, 0.0));
    }
}
