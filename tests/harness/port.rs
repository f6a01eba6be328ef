//! A port that must be known before anybody listens on it, or that is listened on again after a while.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A port of this machine that is bound here and not listened on: no other socket gets it by chance, and one that
/// binds it by its number with SO_REUSEADDR, as every listener of ours does, may listen.
#[derive(Debug)]
pub(crate) struct ReservedPort {
    pub(crate) address: SocketAddr,
    _socket: TcpSocket,
}

impl ReservedPort {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        Self { address, _socket: socket }
    }
}
