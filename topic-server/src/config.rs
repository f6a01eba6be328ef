//! All settings of a topic server: names, defaults, bounds and help in one table.

use std::net::SocketAddr;
use std::time::Duration;

use campanile_process::memory::Pressure;
use campanile_process::settings::{Kind, Resolver, Setting};
use campanile_process::token_bucket::Rate;

/// Who a topic server is, and where.
pub const IDENTITY: &[Setting] = &[
    Setting {
        name: "name",
        value: "NAME",
        kind: Kind::Text,
        default: "",
        help: "The server's name in the ring",
    },
    Setting {
        name: "listen",
        value: "ADDR",
        kind: Kind::Address,
        default: "",
        help: "Listen for gateways here; without it, on the address that the ring gives the name. A name that is \
               not in the ring needs it, and waits as a standby",
    },
];

/// What a topic server's links and topics may take.
pub const LIMITS: &[Setting] = &[
    Setting {
        name: "link-outbox",
        value: "BYTES",
        kind: Kind::Bytes { min: 65_536, max: 4 << 30 },
        default: "8 MiB",
        help: "Queue to one gateway; when it is full, the link is cut and the gateway comes back",
    },
    Setting {
        name: "max-topics",
        value: "COUNT",
        kind: Kind::Count { min: 1, max: u32::MAX as u64 },
        default: "4294967295",
        help: "Topics held at a time; publishes and joins beyond are refused as overloaded",
    },
    Setting {
        name: "topic-publish-rate",
        value: "COUNT",
        kind: Kind::Count { min: 1, max: 1_000_000 },
        default: "",
        help: "Publishes per second to one topic; without it, there is no such bound. Further ones are refused as rate \
               limited",
    },
    Setting {
        name: "topic-publish-burst",
        value: "COUNT",
        kind: Kind::Count { min: 1, max: 1_000_000 },
        default: "",
        help: "Publishes that may be made to one topic at once after a pause; without it, those of one second",
    },
    Setting {
        name: "history-memory",
        value: "BYTES",
        kind: Kind::Bytes { min: 0, max: 1 << 40 },
        default: "256 MiB",
        help: "Memory for the histories of all topics; beyond it, topics that nobody has published to lately give \
               theirs up",
    },
];

/// What a running topic server needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server's name in the ring.
    pub name: String,
    /// Bytes queued for one gateway.
    pub link_outbox: usize,
    /// Topics held at a time.
    pub max_topics: usize,
    /// How often each topic may be published to.
    pub topic_publishes: Option<Rate>,
    /// Whether the process is short of memory: set by whoever watches it.
    pub memory: Pressure,
    /// Bytes of the histories of all topics.
    pub history_memory: usize,
    /// The address that was given to listen on in place of the ring's.
    pub listen: Option<SocketAddr>,
    /// When it is told to end, it waits so long for an edit of the ring that was made just before: it may say that its
    /// topics are to be handed over first.
    pub edit_grace: Duration,
    /// How long an orderly end may take.
    pub drain: Duration,
}

impl Settings {
    /// From flags, variables and file; faults stay in the resolver.
    pub fn resolve(resolver: &mut Resolver<'_>, name: String, drain: Duration) -> Self {
        Self {
            name,
            link_outbox: to_usize(resolver.bytes("link-outbox")),
            max_topics: to_usize(resolver.count("max-topics")),
            topic_publishes: resolver.rate_if_given("topic-publish-rate", "topic-publish-burst"),
            memory: Pressure::default(),
            history_memory: to_usize(resolver.bytes("history-memory")),
            listen: None,
            edit_grace: Duration::ZERO,
            drain,
        }
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
