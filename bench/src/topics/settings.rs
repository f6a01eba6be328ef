//! The options of `topics`.

use std::time::Duration;

use clap::Command;

use crate::arguments::{Pace, Reader, option, pace, rate_and_time};
use crate::frame::SMALLEST_PAYLOAD;
use crate::protocol::Protocol;
use crate::target::Url;

/// Where a topic server listens that nobody has told otherwise: the first of the example ring.
pub(super) const ADDRESS: &str = "127.0.0.1:5001";

pub(crate) fn command() -> Command {
    let command = Command::new("topics")
        .about("Very many topics on one topic server, each with one subscribed gateway: memory each, publishes per second")
        .after_help(
            "It opens a link to the topic server as a gateway does. The server must own every topic: give it a ring of \
             its own with this one member.",
        )
        .arg(option("topics", "K", "100000", "Topics to subscribe to, and then to publish to at random (1 to 10000000)"))
        .arg(option("name", "NAME", "ts-a", "The topic server's name in its ring"))
        .arg(option("payload-bytes", "B", "128", "Length of each payload's JSON text (50 to 8388608)"))
        .arg(option(
            "in-flight",
            "N",
            "",
            "Closed loop: publishes in flight over all topics; one is in flight until it is answered and delivered \
             [default: 64]",
        ));
    rate_and_time(command)
}

#[derive(Debug)]
pub(crate) struct Settings {
    /// The one that was given.
    pub(super) url: Option<Url>,
    pub(super) topics: usize,
    pub(super) name: String,
    pub(super) payload_bytes: usize,
    pub(super) pace: Pace,
    pub(super) seconds: Duration,
    pub(super) warm_up: Duration,
}

impl Settings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        // Faults of each are named where all workloads read theirs.
        let mut urls = reader.list("url", |text| Ok(Url::parse(Protocol::Phoenix, text).ok()));
        if urls.len() > 1 {
            reader.fault("--url: `topics` measures one topic server".into());
        }
        Self {
            url: urls.pop().flatten(),
            topics: reader.number("topics", 1..=10_000_000),
            name: reader.text("name"),
            payload_bytes: reader.number("payload-bytes", SMALLEST_PAYLOAD..=8 << 20),
            pace: pace(reader, 64),
            seconds: reader.duration("seconds", 0.1..=86_400.0),
            warm_up: reader.duration("warm-up", 0.0..=3_600.0),
        }
    }
}
