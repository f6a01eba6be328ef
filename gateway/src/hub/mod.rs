//! The gateway's table of who listens locally to what. It knows no protocol: fronts bring their own [`codec`].
//!
//! In the order of a message's way: [`publish`] carries a message to its owner, [`table`] finds topics and runs their
//! rules, [`state`] holds the rules of one, [`effect`] is what these take and give, `fanout` hands one delivery to
//! every listener. `binding` says which topic server and link a topic's requests go to, `unanswered` holds what it has
//! published, [`counting`] how many of its listeners count. `everywhere` is what concerns all topic servers: `patterns`, with
//! `holds` for what comes too early, and [`queries`]. `catch_up` is for listeners that are behind, [`replay`] for what they missed. `slots` numbers topics,
//! [`reason`] lists why something was not done.

pub(crate) mod binding;
pub(crate) mod catch_up;
pub mod codec;
pub mod counting;
pub mod effect;
pub(crate) mod everywhere;
pub mod fanout;
pub(crate) mod holds;
pub(crate) mod patterns;
pub mod publish;
pub mod queries;
pub mod reason;
pub mod replay;
pub(crate) mod slots;
pub mod state;
pub mod table;
pub(crate) mod unanswered;

#[cfg(test)]
pub(crate) mod testing;

pub use queries::{Query, Space, Told};
pub use table::{Hub, Joined, JoinedPattern};
