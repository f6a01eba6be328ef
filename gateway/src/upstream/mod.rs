//! The topic servers' side of a gateway: `route` names a topic's owner by the newest ring, [`links`] knows the
//! members, `sight` which of them it sees, `past` the rings before the newest; `outbox` queues what goes to one member,
//! `link` keeps the stream to it, `lag` says whether that lags.

pub(crate) mod lag;
pub(crate) mod link;
pub mod links;
pub(crate) mod outbox;
pub(crate) mod past;
pub(crate) mod route;
pub(crate) mod sight;

pub use links::{Links, MemberState};
