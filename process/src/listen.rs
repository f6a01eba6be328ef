//! Listening: bind with advice when it fails, say where, and accept without ever giving up.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How many connections may wait to be accepted; the system may have a lower limit of its own.
const BACKLOG: u32 = 4096;

/// The wait after a failed accept, which is almost always for want of file descriptors: time for some to be freed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why an address could not be listened on, in words for the one who chose it.
#[derive(Debug)]
pub struct ListenError {
    /// The option and its value, such as `--listen 127.0.0.1:4000`.
    pub place: String,
    /// What is wrong and what to do.
    pub text: String,
    /// What the system said.
    pub source: io::Error,
}

/// Listens on `address` with SO_REUSEADDR, so that a restart does not wait for old connections. `option` is where
/// the address came from, such as `--listen`, for the error text.
///
/// # Errors
/// A taken port, a port that needs more rights, an address of another machine, and whatever else the system refuses.
pub async fn bind(address: SocketAddr, option: &str) -> Result<TcpListener, ListenError> {
    open(address).map_err(|source| ListenError {
        place: format!("{option} {address}"),
        text: advice(&source, option),
        source,
    })
}

/// Writes `listening ROLE ADDRESS` to stdout, for people and scripts. A closed stdout is no error.
pub fn announce(role: &str, address: SocketAddr) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "listening {role} {address}").and_then(|()| out.flush());
}

/// Warns when an address can be reached from other machines, since there is neither authentication nor TLS yet.
/// Whether it warned.
pub fn warn_if_public(role: &str, address: SocketAddr) -> bool {
    let public = !address.ip().to_canonical().is_loopback();
    if public {
        tracing::warn!(
            role,
            %address,
            "this address can be reached from other machines, and there is no authentication and no TLS yet: \
             anybody who reaches it may use it"
        );
    }
    public
}

/// The next connection. Failures are logged and waited out: a process that is out of file descriptors goes on
/// accepting when it has some again. Cancel safe: no accepted connection is lost.
pub async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The peer went away again before it was accepted.
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn advice(error: &io::Error, option: &str) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            "the port is taken by another process; choose another port with {option}, or port 0 for any free one"
        ),
        ErrorKind::PermissionDenied => {
            format!("this user may not listen there; choose a port from 1024 up with {option}")
        }
        ErrorKind::AddrNotAvailable => format!(
            "this machine does not have that address; choose one of its own with {option}, such as 127.0.0.1, \
             or 0.0.0.0 for all of them"
        ),
        _ => format!("cannot listen there: {error}; choose another address with {option}"),
    }
}

fn is_of_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

impl fmt::Display for ListenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.text)
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[tokio::test]
    async fn a_taken_port_names_the_option() {
        let first = bind(loopback(0), "--listen").await.unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address, "--listen").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "--listen {address}: the port is taken by another process; \
                 choose another port with --listen, or port 0 for any free one"
            )
        );
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_explained() {
        // 192.0.2.0/24 is reserved for documentation: no machine has it.
        let error = bind(SocketAddr::from(([192, 0, 2, 1], 0)), "--admin").await.unwrap_err();
        assert!(error.to_string().starts_with("--admin 192.0.2.1:0: this machine does not have"), "{error}");
    }

    #[test]
    fn missing_rights_are_explained() {
        let error = io::Error::from(ErrorKind::PermissionDenied);
        assert!(advice(&error, "--listen").contains("choose a port from 1024 up with --listen"));
    }

    #[tokio::test]
    async fn the_port_is_free_again_at_once() {
        let listener = bind(loopback(0), "--listen").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        // The side that closes first keeps the port in TIME_WAIT: without SO_REUSEADDR the bind would fail.
        let (server, _) = accept(&listener).await;
        drop((server, listener));
        drop(client);
        bind(address, "--listen").await.unwrap();
    }

    #[test]
    fn only_loopback_is_private() {
        let public = |text: &str| warn_if_public("test", text.parse().unwrap());
        assert!(!public("127.0.0.1:1") && !public("127.9.9.9:1") && !public("[::1]:1"));
        assert!(!public("[::ffff:127.0.0.1]:1"));
        assert!(public("0.0.0.0:1") && public("[::]:1") && public("10.0.0.1:1"));
    }
}
