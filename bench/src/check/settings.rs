//! The options of `check`.

use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command};

use crate::arguments::{Reader, option};

pub(crate) fn command() -> Command {
    Command::new("check")
        .about("Whether every acknowledged publish arrives once, in one order, through whatever happens meanwhile")
        .long_about(
            "Publishers and subscribers that reconnect and resume by themselves, on another gateway than before, \
             while you kill, restart and edit what you like. Publishes that are answered `unknown`, or not at all, \
             are sent again with the same key. At the end everybody catches up, and the contract is judged.",
        )
        .arg(option("publishers", "N", "20", "Publishers, each on one topic, where it listens too (1 to 100000)"))
        .arg(option("subscribers", "N", "100", "Subscribers, each on one topic (0 to 1000000)"))
        .arg(option("topics", "K", "10", "Topics, at most as many as publishers (1 to 100000)"))
        .arg(option("rate", "R", "200", "Publishes per second in all (0.01 to 1000000)"))
        .arg(option("payload-bytes", "B", "128", "Length of each payload's JSON text (50 to 8388608)"))
        .arg(option(
            "churn",
            "SHARE",
            "0.33",
            "Share of the subscribers that disconnect and resume at random, all the time (0 to 1)",
        ))
        .arg(option(
            "keys",
            "SHARE",
            "1",
            "Share of the publishes with an idempotency key; the others are never sent again (0 to 1)",
        ))
        .arg(option("seconds", "S", "30", "How long to publish, in seconds (0.1 to 604800)"))
        .arg(option(
            "catch-up",
            "S",
            "30",
            "Seconds that everybody has at the end to come back and to get everything (0.1 to 3600)",
        ))
        .arg(
            Arg::new("lossless")
                .long("lossless")
                .action(ArgAction::SetTrue)
                .value_parser(BoolishValueParser::new())
                .help("Count losses that are honestly told as faults too: for runs in which no owner dies"),
        )
}

/// How to run.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(super) publishers: usize,
    pub(super) subscribers: usize,
    pub(super) topics: usize,
    pub(super) rate: f64,
    pub(super) payload_bytes: usize,
    pub(super) churn: f64,
    pub(super) keys: f64,
    pub(super) seconds: Duration,
    pub(super) catch_up: Duration,
    /// Whether a loss that is told is a fault, too.
    pub(super) lossless: bool,
}

impl Settings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let settings = Self {
            publishers: reader.number("publishers", 1..=100_000),
            subscribers: reader.number("subscribers", 0..=1_000_000),
            topics: reader.number("topics", 1..=100_000),
            rate: reader.number("rate", 0.01..=1_000_000.0),
            payload_bytes: reader.number("payload-bytes", crate::frame::SMALLEST_PAYLOAD..=8 << 20),
            churn: reader.number("churn", 0.0..=1.0),
            keys: reader.number("keys", 0.0..=1.0),
            seconds: reader.duration("seconds", 0.1..=604_800.0),
            catch_up: reader.duration("catch-up", 0.1..=3_600.0),
            lossless: reader.flag("lossless"),
        };
        if settings.topics > settings.publishers {
            reader.fault(format!(
                "--topics {}: each topic needs a publisher, and --publishers is {}",
                settings.topics, settings.publishers
            ));
        }
        settings
    }

    /// Publishers and subscribers.
    pub(super) fn members(&self) -> usize {
        self.publishers + self.subscribers
    }

    /// How many subscribers come and go.
    pub(super) fn churning(&self) -> usize {
        (self.subscribers as f64 * self.churn).round() as usize
    }
}
