//! What must hold for any bytes that files, clients and peers send: nothing panics, what is read can be written and read
//! again as the same value, nothing grows beyond a bound, and whatever is refused is refused with a reason.
//!
//! [`target`] lists the decoders. `frames` are those of a Phoenix client, `session` runs whole frames through the rules
//! of a session, `websocket` is the layer below; `redis` is what Redis clients send, run by the rules of their connections; `link` is what the two tiers say to each other and `handoff` what topic
//! servers say among themselves, `offers` the rings in it, and `topic_server` runs both; `ring_file`, `config_file` and `options` are what people
//! write. `input` cuts bytes into what a target wants of them.
//!
//! `fuzz/` searches for bytes that break a target, with cargo-fuzz (`scripts/fuzz`); what it has found worth keeping lies
//! in `fuzz/corpus`, and the tests here run all of it with any toolchain.
#![expect(clippy::expect_used, reason = "a target says by a panic what does not hold")]

pub mod target;

mod frames;

mod session;

mod websocket;

mod redis;

mod link;

mod handoff;

mod offers;

mod topic_server;

mod ring_file;

mod config_file;

mod options;

mod input;

pub use target::{TARGETS, Target, Verdict, find};
