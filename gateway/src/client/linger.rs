//! The end of a client's socket. Closing one that has unread input resets it, and what was sent last would be lost: so what
//! the client still sends is read and dropped, within bounds.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::client::wire::Io;

/// How long.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// How many bytes.
pub(crate) const LINGER_BYTES: usize = 4 << 20;

/// Reads and drops until the client has ended its side, or so much has been dropped; some has been before.
pub(crate) async fn drop_input(io: &mut impl Io, mut dropped: usize) {
    let mut bytes = [0; 4096];
    while dropped < LINGER_BYTES {
        match io.read(&mut bytes).await {
            Ok(read) if read > 0 => dropped += read,
            _ => break,
        }
    }
}
