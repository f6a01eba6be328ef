//! The topic servers' side of a gateway: `route` names a topic's owner by the newest ring, [`links`] knows the
//! members, `outbox` queues what goes to one, `link` keeps the stream to it.

pub(crate) mod link;
pub mod links;
pub(crate) mod outbox;
pub(crate) mod route;

pub use links::{Links, MemberState};
