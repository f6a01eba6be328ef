//! How a topic's message becomes what a client's socket takes. The hub knows that there are codecs, and no more.

use std::fmt::Debug;

use bytes::Bytes;
use campanile_proto::Message;

/// How many codecs a gateway may have.
pub const CODECS: usize = 8;

/// One encoding of messages, the same for everybody who uses it: a message is encoded once per codec and gateway,
/// however many listeners there are.
pub trait Codec: Debug + Send + Sync + 'static {
    /// Its own number, below [`CODECS`].
    fn index(&self) -> usize;

    /// The part of the frame that is the same for all.
    fn encode(&self, topic: &[u8], message: &Message, offset: u64) -> Bytes;
}
