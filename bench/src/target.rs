//! Where to connect: what `--url` accepts, and the source addresses that many connections need.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::lookup_host;

use crate::protocol::Protocol;

/// Connections per source address: Linux gives out about 28,000 ports for each.
const PER_SOURCE: usize = 20_000;

/// A gateway's address as given by the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    authority: String,
    /// None where the protocol does without WebSocket.
    path_and_query: Option<String>,
}

impl Url {
    /// Reads `host:port`, `ws://host:port` or a full URL. `http://` is taken for `ws://`, because that is what a
    /// gateway's page has in its address line.
    pub(crate) fn parse(protocol: Protocol, text: &str) -> Result<Self, String> {
        let plain = protocol.is_plain();
        let usual = if plain { "redis" } else { "ws" };
        let fault = |what: &str| format!("--url {text}: {what}; expected host:port or {usual}://host:port");
        let rest = match text.split_once("://") {
            Some(("redis", rest)) if plain => rest,
            Some(("ws" | "http", rest)) if !plain => rest,
            Some(("wss" | "https" | "rediss", _)) => return Err(fault("TLS is not supported yet")),
            Some((scheme, _)) => return Err(fault(&format!("unknown scheme {scheme}"))),
            None => text,
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let authority =
            if authority.starts_with(':') { format!("127.0.0.1{authority}") } else { authority.into() };
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
        if !has_port {
            return Err(fault("the port is missing or wrong"));
        }
        if plain {
            return match path {
                "" | "/" => Ok(Self { authority, path_and_query: None }),
                _ => Err(fault("there is no path")),
            };
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = if path.is_empty() || path == "/" { protocol.default_path() } else { path };
        let mut pairs: Vec<String> =
            query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
        for (name, value) in protocol.query() {
            if !pairs.iter().any(|pair| pair.split('=').next() == Some(name)) {
                pairs.push(format!("{name}={value}"));
            }
        }
        let mark = if pairs.is_empty() { "" } else { "?" };
        let path_and_query = format!("{path}{mark}{}", pairs.join("&"));
        Ok(Self { authority, path_and_query: Some(path_and_query) })
    }

    /// Looks the host up; the first address is taken.
    pub(crate) async fn resolve(&self) -> Result<Target, String> {
        let found = lookup_host(&self.authority).await;
        let first = found.map_err(|error| format!("cannot look up {}: {error}", self.authority))?.next();
        let address = first.ok_or_else(|| format!("{} has no address", self.authority))?;
        Ok(Target {
            address,
            label: self.authority.clone(),
            request: self.path_and_query.as_ref().map(|path| format!("ws://{}{path}", self.authority)),
        })
    }
}

/// A gateway to connect to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// As the user named it.
    pub(crate) label: String,
    /// The whole URL of the WebSocket request, if there is one.
    pub(crate) request: Option<String>,
}

/// The source addresses to use for this many connections: those given, or several of 127.0.0.0/8 when all
/// targets are on the loopback and one address has too few ports, or none (the system chooses).
pub(crate) fn sources(given: &[IpAddr], targets: &[Target], connections: usize) -> Vec<IpAddr> {
    let loopback = targets
        .iter()
        .all(|target| matches!(target.address.ip(), IpAddr::V4(address) if address.is_loopback()));
    if !given.is_empty() || !loopback || connections <= PER_SOURCE {
        return given.to_vec();
    }
    let count = connections.div_ceil(PER_SOURCE).min(250);
    (0..count).map(|index| IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2 + index as u8))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_in_every_accepted_form() {
        let with = |protocol, text: &str| {
            let url = Url::parse(protocol, text).unwrap();
            format!("{}{}", url.authority, url.path_and_query.as_deref().unwrap_or(" without WebSocket"))
        };
        let full = |text: &str| with(Protocol::Phoenix, text);
        let usual = "127.0.0.1:4000/socket/websocket?vsn=2.0.0";
        for text in [
            "127.0.0.1:4000",
            ":4000",
            "ws://127.0.0.1:4000",
            "ws://127.0.0.1:4000/",
            "http://127.0.0.1:4000/",
        ] {
            assert_eq!(full(text), usual);
        }
        assert_eq!(full("ws://h:1/x/y"), "h:1/x/y?vsn=2.0.0");
        assert_eq!(full("ws://h:1?token=a"), "h:1/socket/websocket?token=a&vsn=2.0.0");
        assert_eq!(full("ws://h:1/x?vsn=1.0.0"), "h:1/x?vsn=1.0.0");
        assert_eq!(full("[::1]:4000"), "[::1]:4000/socket/websocket?vsn=2.0.0");
        assert_eq!(with(Protocol::Nats, "h:1"), "h:1/");
        assert_eq!(with(Protocol::SocketIo, "h:1"), "h:1/socket.io/?EIO=4&transport=websocket");
        for text in ["h:1", "redis://h:1", "redis://h:1/"] {
            assert_eq!(with(Protocol::Redis, text), "h:1 without WebSocket");
        }
        assert_eq!(with(Protocol::SocketIo, "h:1/x/?EIO=3"), "h:1/x/?EIO=3&transport=websocket");
    }

    #[test]
    fn faults_name_the_url_and_what_is_expected() {
        for text in ["", "localhost", "ws://h", "h:0", "h:99999", "wss://h:1", "ftp://h:1"] {
            let fault = Url::parse(Protocol::Phoenix, text).unwrap_err();
            assert!(fault.starts_with(&format!("--url {text}: ")) && fault.contains("expected"), "{fault}");
        }
        for text in ["h", "ws://h:1", "redis://h:1/path", "rediss://h:1"] {
            let fault = Url::parse(Protocol::Redis, text).unwrap_err();
            assert!(fault.contains("expected host:port or redis://host:port"), "{fault}");
        }
    }

    #[test]
    fn sources_only_where_ports_would_run_out() {
        let target =
            |address: &str| Target { address: address.parse().unwrap(), label: String::new(), request: None };
        let near = [target("127.0.0.1:4000"), target("127.0.0.1:4001")];
        assert!(sources(&[], &near, 20_000).is_empty());
        assert_eq!(sources(&[], &near, 40_001).len(), 3);
        assert!(sources(&[], &[target("10.0.0.1:4000")], 40_000).is_empty());
        let given = ["127.0.0.9".parse().unwrap()];
        assert_eq!(sources(&given, &near, 40_000), given);
    }
}
