//! What the front says of itself, in the words that clients look for: `HELLO`, `INFO`, `CONFIG GET`.

use bytes::Bytes;
use campanile_proto::glob;

use crate::redis::reply::{Version, Writer};

/// The release of Redis whose replies these are. Clients choose by it what they may send.
pub const REDIS_VERSION: &str = "7.0.15";

/// What is known of the gateway at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// The port that the front listens on.
    pub port: u16,
    /// How long it has done so, in seconds.
    pub uptime: u64,
    /// Its connections.
    pub connections: usize,
    /// How many connections there may be.
    pub max_connections: Option<usize>,
    /// Bytes of an argument, at most.
    pub bulk: usize,
    /// Bytes that wait for a client, at most.
    pub outbox: usize,
}

/// The answer to `HELLO`.
pub(crate) fn hello(version: Version, id: u64, to: &mut Writer<'_>) {
    to.map(7);
    to.bulk(b"server");
    to.bulk(b"redis");
    to.bulk(b"version");
    to.bulk(REDIS_VERSION.as_bytes());
    to.bulk(b"proto");
    to.integer(match version {
        Version::Resp2 => 2,
        Version::Resp3 => 3,
    });
    to.bulk(b"id");
    to.integer(id.cast_signed());
    for (key, value) in [("mode", "standalone"), ("role", "master")] {
        to.bulk(key.as_bytes());
        to.bulk(value.as_bytes());
    }
    to.bulk(b"modules");
    to.array(0);
}

/// The answer to `INFO`, with these sections or with all.
pub(crate) fn info(wanted: &[Bytes], facts: &Facts, to: &mut Writer<'_>) {
    let is_wanted = |section: &str| {
        let all = ["all", "default", "everything"];
        wanted.is_empty()
            || wanted.iter().any(|wanted| {
                wanted.eq_ignore_ascii_case(section.as_bytes())
                    || all.iter().any(|all| wanted.eq_ignore_ascii_case(all.as_bytes()))
            })
    };
    let mut text = String::new();
    for (section, lines) in sections(facts) {
        if is_wanted(section) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            text.push_str(&format!("# {section}\r\n"));
            lines.iter().for_each(|(key, value)| text.push_str(&format!("{key}:{value}\r\n")));
        }
    }
    to.verbatim(&text);
}

type Section = (&'static str, Vec<(&'static str, String)>);

fn sections(facts: &Facts) -> [Section; 6] {
    let text = str::to_owned;
    [
        (
            "Server",
            vec![
                ("redis_version", text(REDIS_VERSION)),
                ("redis_mode", text("standalone")),
                ("server_name", text("campanile")),
                ("campanile_version", text(env!("CARGO_PKG_VERSION"))),
                ("arch_bits", usize::BITS.to_string()),
                ("process_id", std::process::id().to_string()),
                ("tcp_port", facts.port.to_string()),
                ("uptime_in_seconds", facts.uptime.to_string()),
                ("uptime_in_days", (facts.uptime / 86_400).to_string()),
            ],
        ),
        (
            "Clients",
            vec![
                ("connected_clients", facts.connections.to_string()),
                ("maxclients", max_clients(facts)),
                ("blocked_clients", text("0")),
            ],
        ),
        ("Persistence", vec![("loading", text("0")), ("async_loading", text("0"))]),
        ("Replication", vec![("role", text("master")), ("connected_slaves", text("0"))]),
        ("Cluster", vec![("cluster_enabled", text("0"))]),
        ("Keyspace", Vec::new()),
    ]
}

/// The answer to `CONFIG GET` with these names or patterns.
pub(crate) fn config(wanted: &[Bytes], facts: &Facts, to: &mut Writer<'_>) {
    let all = [
        ("appendonly", "no".to_owned()),
        ("bind", String::new()),
        ("client-output-buffer-limit", format!("normal {0} 0 0 slave {0} 0 0 pubsub {0} 0 0", facts.outbox)),
        ("databases", "1".to_owned()),
        ("maxclients", max_clients(facts)),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("notify-keyspace-events", String::new()),
        ("port", facts.port.to_string()),
        ("proto-max-bulk-len", facts.bulk.to_string()),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
    ];
    let wanted: Vec<_> = wanted.iter().map(|wanted| wanted.to_ascii_lowercase()).collect();
    let is_wanted = |name: &str| wanted.iter().any(|wanted| glob::matches(wanted, name.as_bytes()));
    let found: Vec<_> = all.iter().filter(|(name, _)| is_wanted(name)).collect();
    to.map(found.len());
    for (name, value) in found {
        to.bulk(name.as_bytes());
        to.bulk(value.as_bytes());
    }
}

fn max_clients(facts: &Facts) -> String {
    facts.max_connections.unwrap_or(10_000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Writer<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Writer::new(Version::Resp2, &mut out));
        String::from_utf8(out).expect("text")
    }

    /// ioredis looks for `loading`, node-redis and others for the version.
    #[test]
    fn info_has_what_ready_checks_look_for() {
        let all = text(|to| info(&[], &Facts::default(), to));
        for line in ["redis_version:7.0.15", "loading:0", "redis_mode:standalone", "role:master"] {
            assert!(all.contains(&format!("{line}\r\n")), "{all}");
        }
        let server = text(|to| info(&[Bytes::from("sErVer")], &Facts::default(), to));
        assert!(server.contains("\r\n# Server\r\n") && !server.contains("loading"), "{server}");
        assert_eq!(text(|to| info(&[Bytes::from("nope")], &Facts::default(), to)), "$0\r\n\r\n");
    }

    #[test]
    fn settings_are_found_by_name_and_by_pattern() {
        let get = |wanted: &[&'static str]| {
            let wanted: Vec<_> = wanted.iter().map(|wanted| Bytes::from(*wanted)).collect();
            text(|to| config(&wanted, &Facts { bulk: 7, ..Facts::default() }, to))
        };
        assert_eq!(get(&["PROTO-max-bulk-len"]), "*2\r\n$18\r\nproto-max-bulk-len\r\n$1\r\n7\r\n");
        assert_eq!(get(&["time*", "timeout", "nope"]), "*2\r\n$7\r\ntimeout\r\n$1\r\n0\r\n");
        assert!(get(&["*"]).starts_with("*24\r\n"));
        assert_eq!(get(&["no-such-*"]), "*0\r\n");
        assert!(get(&["*max*n*s"]).starts_with("*2\r\n$10\r\nmaxclients\r\n"));
    }
}
