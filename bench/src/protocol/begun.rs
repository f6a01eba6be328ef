//! A stream of bytes that is read message by message, as it comes in pieces.

use std::cell::RefCell;

/// The beginning of a message whose end is in a later piece.
#[derive(Debug, Default)]
pub(super) struct Begun(RefCell<Vec<u8>>);

impl Begun {
    /// A piece has come. `whole` reads all messages that are there as a whole, and gives what is left. Nothing is copied
    /// while messages end where pieces end.
    pub(super) fn read(&self, piece: &[u8], mut whole: impl FnMut(&[u8]) -> &[u8]) {
        let mut begun = self.0.borrow_mut();
        if begun.is_empty() {
            begun.extend_from_slice(whole(piece));
        } else {
            begun.extend_from_slice(piece);
            let left = whole(&begun).len();
            let read = begun.len() - left;
            begun.drain(..read);
        }
    }
}
