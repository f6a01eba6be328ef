//! The targets: each decoder by name.

use crate::{
    config_file, frames, handoff, link, offers, options, redis, ring_file, session, topic_server, websocket,
};

/// Something that takes any bytes. It panics if something does not hold that must.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(&[u8]) -> Verdict,
    /// At no moment it may have more memory than this, in bytes, …
    pub memory: usize,
    /// … and so many bytes for each byte that it is given.
    pub memory_per_byte: usize,
}

/// What became of the bytes. A target whose inputs are all refused tests little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They were something.
    Accepted,
    /// They were nothing, and were refused with a reason.
    Refused,
}

/// All targets, in the order of a message's way.
pub const TARGETS: &[Target] = &[
    // What it reads it also keeps, in two lists of messages, of which the smallest take three bytes.
    target("websocket", websocket::run, 64 << 10, 200),
    target("frame_v1", frames::v1, 16 << 10, 100),
    target("frame_v2", frames::v2, 16 << 10, 100),
    target("frame_binary", frames::binary, 16 << 10, 20),
    target("session", session::run, 1 << 20, 100),
    // An answer to `COMMAND` is long, and the target's own reader of it takes several times as much.
    target("redis", redis::run, 256 << 10, 400),
    target("from_gateway", link::from_gateway, 16 << 10, 400),
    target("from_topic_server", link::from_topic_server, 16 << 10, 400),
    target("handoff", handoff::run, 16 << 10, 400),
    target("topic_server", topic_server::run, 2 << 20, 1_000),
    target("offers", offers::run, 32 << 20, 1_000),
    target("ring_file", ring_file::run, 32 << 20, 1_000),
    target("config_file", config_file::run, 256 << 10, 1_000),
    target("options", options::run, 1 << 20, 100),
];

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

const fn target(
    name: &'static str,
    run: fn(&[u8]) -> Verdict,
    memory: usize,
    memory_per_byte: usize,
) -> Target {
    Target { name, run, memory, memory_per_byte }
}
