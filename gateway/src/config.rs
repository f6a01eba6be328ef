//! All settings of a gateway: names, defaults, bounds and help in one table.

use std::time::Duration;

use campanile_process::memory::Pressure;
use campanile_process::settings::{Kind, Resolver, Setting};
use campanile_process::token_bucket::Rate;

use crate::client::accept::Limits;
use crate::client::admission::Bounds;
use crate::client::origin::Origins;
use crate::phoenix::channel;
use crate::redis::connection;

/// Who a gateway is, and where.
pub const IDENTITY: &[Setting] = &[
    Setting {
        name: "listen",
        value: "ADDR",
        kind: Kind::Address,
        default: "127.0.0.1:4000",
        help: "Listen for clients here; port 0 takes any free one",
    },
    Setting {
        name: "name",
        value: "NAME",
        kind: Kind::Text,
        default: "",
        help: "The gateway's name in the logs of topic servers; without it, the address it listens on",
    },
    Setting {
        name: "redis",
        value: "ADDR",
        kind: Kind::Address,
        default: "",
        help: "Listen here for clients that speak the pub/sub commands of Redis, such as 127.0.0.1:6379; without it, \
               there is no such front",
    },
];

/// What a gateway's clients and links may take, and what they may do.
pub const LIMITS: &[Setting] = &[
    Setting {
        name: "origin",
        value: "any|same|LIST",
        kind: Kind::Text,
        default: "same",
        help: "Which web pages may connect: any; same, whose host is the one they connect to; or a list such as \
               https://example.com,//*.example.org",
    },
    Setting {
        name: "max-connections",
        value: "COUNT",
        kind: Kind::Count { min: 1, max: 10_000_000 },
        default: "",
        help: "Connections at a time; without it, as many as the open-files limit leaves room for. Further ones get \
               503, or are closed",
    },
    Setting {
        name: "connections-per-address",
        value: "COUNT",
        kind: Kind::Count { min: 1, max: 10_000_000 },
        default: "",
        help: "Connections at a time from one IPv4 address or one IPv6 /64, as the socket shows it; without it, there \
               is no such bound. Further ones get 429, or are closed",
    },
    Setting {
        name: "accept-rate",
        value: "COUNT",
        kind: Kind::Count { min: 1, max: 10_000_000 },
        default: "10000",
        help: "New connections per second, and a tenth of it at once; more wait in the kernel's queue, so that a \
               storm does not starve those who are connected",
    },
    Setting {
        name: "session-publish-rate",
        value: "COUNT",
        kind: Kind::Count { min: 1, max: 1_000_000 },
        default: "",
        help: "Publishes per second of one connection; without it, there is no such bound. Further ones are refused \
               as rate limited",
    },
    Setting {
        name: "session-publish-burst",
        value: "COUNT",
        kind: Kind::Count { min: 1, max: 1_000_000 },
        default: "",
        help: "Publishes that one connection may make at once after a pause; without it, those of one second",
    },
    Setting {
        name: "channels-per-session",
        value: "COUNT",
        kind: Kind::Count { min: 1, max: 100_000 },
        default: "100",
        help: "Channels that one connection may have joined at a time",
    },
    Setting {
        name: "max-frame",
        value: "BYTES",
        kind: Kind::Bytes { min: 1024, max: 16 << 20 },
        default: "256 KiB",
        help: "Largest frame and largest message of a client; larger ones close the connection with 1009",
    },
    Setting {
        name: "client-outbox",
        value: "BYTES",
        kind: Kind::Bytes { min: 4096, max: 4 << 30 },
        default: "1 MiB",
        help: "Queue to one client; when it is full, the client is closed with 1013 and may come back",
    },
    Setting {
        name: "client-send-buffer",
        value: "BYTES",
        kind: Kind::Bytes { min: 4096, max: 64 << 20 },
        default: "128 KiB",
        help: "The kernel's send buffer of a client's socket",
    },
    Setting {
        name: "client-receive-buffer",
        value: "BYTES",
        kind: Kind::Bytes { min: 4096, max: 64 << 20 },
        default: "64 KiB",
        help: "The kernel's receive buffer of a client's socket; the kernel takes up to twice as much",
    },
    Setting {
        name: "idle-seconds",
        value: "SECONDS",
        kind: Kind::Seconds { min: 1, max: 86_400 },
        default: "60",
        help: "A client that sends nothing for so long, not even a ping, is closed with 1001",
    },
    Setting {
        name: "redis-outbox",
        value: "BYTES",
        kind: Kind::Bytes { min: 4096, max: 4 << 30 },
        default: "8 MiB",
        help: "Queue to one Redis client; when it is full, the connection is closed and the client may come back",
    },
    Setting {
        name: "redis-bulk",
        value: "BYTES",
        kind: Kind::Bytes { min: 1024, max: 16 << 20 },
        default: "1 MiB",
        help: "Largest argument of a Redis command, and so the largest message; a larger one ends the connection",
    },
    Setting {
        name: "redis-subscriptions",
        value: "COUNT",
        kind: Kind::Count { min: 1, max: 1_000_000 },
        default: "100000",
        help: "Channels and patterns that one Redis connection may be subscribed to at a time",
    },
    Setting {
        name: "owner-outbox",
        value: "BYTES",
        kind: Kind::Bytes { min: 65_536, max: 4 << 30 },
        default: "8 MiB",
        help: "Publishes queued for one topic server; when it is full, publishes are refused as overloaded",
    },
    Setting {
        name: "owner-deadline-seconds",
        value: "SECONDS",
        kind: Kind::Seconds { min: 1, max: 60 },
        default: "5",
        help: "How long a join or a publish waits for the topic's owner before it is answered with an error",
    },
];

/// What a running gateway needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The gateway's name in the logs of topic servers.
    pub name: Option<String>,
    /// Which pages may connect.
    pub origins: Origins,
    /// What a client connection may take.
    pub client: Limits,
    /// Who may connect.
    pub admission: Bounds,
    /// How often one session may publish.
    pub session_publishes: Option<Rate>,
    /// Whether the process is short of memory: set by whoever watches it.
    pub memory: Pressure,
    /// What a Phoenix session may have.
    pub session: channel::Limits,
    /// What a Redis connection may have.
    pub redis: connection::Limits,
    /// Bytes of publishes queued for one topic server.
    pub owner_outbox: usize,
    /// How long joins and publishes wait for their owner.
    pub owner_deadline: Duration,
    /// How long an orderly end may take.
    pub drain: Duration,
}

impl Settings {
    /// From flags, variables and file; faults stay in the resolver.
    pub fn resolve(resolver: &mut Resolver<'_>, name: Option<String>, drain: Duration) -> Self {
        let origins = resolver.text("origin").unwrap_or_default();
        let origins = Origins::parse(&origins).unwrap_or_else(|text| {
            let place = resolver.place("origin");
            resolver.fault(place, text);
            Origins::Same
        });
        Self {
            name,
            origins,
            client: Limits {
                frame: to_usize(resolver.bytes("max-frame")),
                outbox: to_usize(resolver.bytes("client-outbox")),
                send_buffer: to_usize(resolver.bytes("client-send-buffer")),
                receive_buffer: to_usize(resolver.bytes("client-receive-buffer")),
                idle: resolver.seconds("idle-seconds"),
            },
            admission: Bounds {
                connections: resolver.count_if_given("max-connections").map(to_usize),
                per_address: resolver.count_if_given("connections-per-address").map(to_usize),
                pace: Some(pace(resolver.count("accept-rate"))),
            },
            session_publishes: resolver.rate_if_given("session-publish-rate", "session-publish-burst"),
            memory: Pressure::default(),
            session: channel::Limits { channels: to_usize(resolver.count("channels-per-session")) },
            redis: connection::Limits {
                outbox: to_usize(resolver.bytes("redis-outbox")),
                bulk: to_usize(resolver.bytes("redis-bulk")),
                subscriptions: to_usize(resolver.count("redis-subscriptions")),
            },
            owner_outbox: to_usize(resolver.bytes("owner-outbox")),
            owner_deadline: resolver.seconds("owner-deadline-seconds"),
            drain,
        }
    }

    /// Where nobody has said how many connections there may be, there may be so many as the open-files limit leaves
    /// room for.
    pub fn for_open_files(mut self, connections: u64) -> Self {
        self.admission.connections.get_or_insert(to_usize(connections));
        self
    }
}

/// So many per second, and a tenth of a second's at once.
fn pace(per_second: u64) -> Rate {
    Rate::new(per_second, per_second / 10)
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
