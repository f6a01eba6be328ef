//! All settings of a gateway: names, defaults, bounds and help in one table.

use std::time::Duration;

use campanile_process::settings::{Kind, Resolver, Setting};

use crate::client::accept::Limits;
use crate::client::origin::Origins;
use crate::phoenix::channel;

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
        name: "idle-seconds",
        value: "SECONDS",
        kind: Kind::Seconds { min: 1, max: 86_400 },
        default: "60",
        help: "A client that sends nothing for so long, not even a ping, is closed with 1001",
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
    /// What a Phoenix session may have.
    pub session: channel::Limits,
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
                idle: resolver.seconds("idle-seconds"),
            },
            session: channel::Limits { channels: to_usize(resolver.count("channels-per-session")) },
            owner_outbox: to_usize(resolver.bytes("owner-outbox")),
            owner_deadline: resolver.seconds("owner-deadline-seconds"),
            drain,
        }
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
