//! Topics: [`ownership`] says which may be here, [`table`] finds them, [`entry`] is one of them there, [`state`] holds
//! its rules, [`history`] what it keeps for those who were away, `histories` who gives that up first, [`keys`] which
//! publishes came before, `accepted` under which offsets; `fanout` sends what they decide to every subscribed gateway.
//! [`moving`] is how a topic comes here with its state, or leaves; `portable` is that state in pieces. [`reach`] is
//! whom a topic's messages reach beside its subscribed gateways: listeners that count, and `patterns`, which it meets in `meeting`;
//! `queries` answers what is asked about both. `name` and [`few`] keep an entry in one piece of memory.

mod accepted;
pub mod entry;
pub(crate) mod fanout;
pub mod few;
mod histories;
pub mod history;
pub mod keys;
mod meeting;
pub mod moving;
mod name;
pub mod ownership;
pub(crate) mod patterns;
pub(crate) mod portable;
mod queries;
pub mod reach;
pub mod state;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;

pub use ownership::Ownership;
pub use table::{Entry, Table};
