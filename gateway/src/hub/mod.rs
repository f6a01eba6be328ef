//! The gateway's table of who listens locally to what. It knows no protocol: fronts bring their own [`codec`].
//!
//! In the order of a message's way: [`publish`] carries a message to its owner, [`state`] holds the rules of one
//! topic, [`table`] finds topics and runs their rules, `fanout` hands one delivery to every listener. [`reason`] lists why
//! something was not done.

pub mod codec;
pub(crate) mod fanout;
pub mod publish;
pub mod reason;
pub(crate) mod slots;
pub mod state;
pub mod table;

pub use table::{Hub, Joined};
