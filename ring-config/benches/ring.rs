//! Who owns a topic: asked for every join, and for every topic that comes back.

#![expect(clippy::expect_used, reason = "a bench ends at what it did not expect")]

use std::hint::black_box;
use std::process::ExitCode;

use campanile_measure::{Work, data, run};
use campanile_ring_config::Ring;

const MEMBERS: usize = 20;
const TOPICS: usize = 16_384;

fn main() -> ExitCode {
    run(&[("ring lookup", lookup)])
}

/// 20 members with 512 virtual nodes each, the default.
fn lookup() -> Work {
    let ring = Ring::example_resized(MEMBERS).expect("a ring");
    let topics = data::topics(TOPICS);
    let mut next = 0;
    Box::new(move || {
        black_box(ring.owner(black_box(topics[next].as_bytes())));
        next = (next + 1) % TOPICS;
    })
}
