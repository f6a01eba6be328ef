//! Topics: [`ownership`] says which may be here, [`table`] finds them, [`state`] holds the rules of one,
//! [`history`] what it keeps for those who were away, [`keys`] which publishes came before,
//! `fanout` sends what they decide to every subscribed gateway.

pub(crate) mod fanout;
pub mod history;
pub mod keys;
pub mod ownership;
pub mod state;
pub mod table;

pub use ownership::Ownership;
pub use table::{Entry, Table};
