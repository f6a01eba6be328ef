//! Topics: [`ownership`] says which may be here, [`table`] finds them, [`entry`] is one of them there, [`state`] holds
//! its rules, [`history`] what it keeps for those who were away, [`keys`] which publishes came before, `fanout` sends
//! what they decide to every subscribed gateway. [`moving`] is how a topic comes here with its state, or leaves;
//! `portable` is that state in pieces.

pub mod entry;
pub(crate) mod fanout;
pub mod history;
pub mod keys;
pub mod moving;
pub mod ownership;
pub(crate) mod portable;
pub mod state;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;

pub use ownership::Ownership;
pub use table::{Entry, Table};
