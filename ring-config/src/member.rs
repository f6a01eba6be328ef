//! A member of the ring, and what its name, address and weight may be.

use std::net::SocketAddr;

/// Longest name of a member, in bytes.
pub const NAME_BYTES: usize = 64;

/// Largest weight of a member. The smallest is 1: a member that is to own nothing is removed.
pub const WEIGHT_MAX: u32 = 1_000;

const GOOD_ADDRESS: &str =
    "write host:port, like \"127.0.0.1:5001\", \"[::1]:5001\" or \"ts-a.example.net:5001\"";

/// One topic server as the ring names it.
///
/// Its identity is name and address: under another address it is another process, and everything that it
/// owns counts as moved. Its place on the ring follows from its name and weight alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    name: String,
    address: String,
    weight: u32,
}

impl Member {
    /// A member as given; [`crate::Ring::new`] checks it.
    pub fn new(name: impl Into<String>, address: impl Into<String>, weight: u32) -> Self {
        Self { name: name.into(), address: address.into(), weight }
    }

    /// 1 to 64 bytes of letters, digits, `-`, `_` and `.`; unique in its ring.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `host:port` that gateways and other topic servers dial, unique in its ring; in canonical form (IPv6 in
    /// brackets and as short as it goes, DNS names in lower case) once the member is part of a ring.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its share of the topics relative to the other members', from 1 to [`WEIGHT_MAX`].
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// The same member at another address.
    pub fn at(&self, address: impl Into<String>) -> Self {
        Self { address: address.into(), ..self.clone() }
    }

    /// Whether both are the same process as far as a ring can tell: same name, same address.
    pub fn is_same_process(&self, other: &Member) -> bool {
        self.name == other.name && self.address == other.address
    }
}

/// Says what is wrong with a name, or nothing.
pub(crate) fn fault_in_name(name: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() {
        Some("name is empty".to_owned())
    } else if name.len() > NAME_BYTES {
        Some(format!("name is {} bytes long; at most {NAME_BYTES} are allowed", name.len()))
    } else if !name.bytes().all(allowed) {
        Some(format!("name {name:?} may only hold letters, digits, '-', '_' and '.'"))
    } else {
        None
    }
}

/// Says what is wrong with a weight, or nothing.
pub(crate) fn fault_in_weight(weight: i64) -> Option<String> {
    match weight {
        0 => Some("weight is 0; a member that is to own nothing is removed instead".to_owned()),
        weight if (1..=i64::from(WEIGHT_MAX)).contains(&weight) => None,
        weight => Some(format!("weight is {weight}; it must be from 1 to {WEIGHT_MAX}")),
    }
}

/// The address in canonical form, or what is wrong with it.
pub(crate) fn canonical_address(address: &str) -> Result<String, String> {
    let bad = |why: &str| format!("address {address:?} {why}: {GOOD_ADDRESS}");
    if let Ok(address) = address.parse::<SocketAddr>() {
        return match address {
            address if address.port() == 0 => Err(bad("has port 0, which nobody can dial")),
            address if address.ip().is_unspecified() => Err(bad("names no host that others can dial")),
            address => Ok(address.to_string()),
        };
    }
    let Some((host, port)) = address.rsplit_once(':') else {
        return Err(bad("has no port"));
    };
    if host.is_empty() {
        return Err(bad("has no host"));
    }
    if host.starts_with('[') {
        return Err(bad("is no IPv6 address with a port"));
    }
    if host.contains(':') {
        return Err(bad("has too many colons (an IPv6 address stands in brackets)"));
    }
    if !is_dns_name(host) {
        return Err(bad("has neither an IP address nor a DNS name before its port"));
    }
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad("has no number as its port"));
    }
    match port.parse::<u16>() {
        Ok(0) => Err(bad("has port 0, which nobody can dial")),
        Ok(port) => Ok(format!("{}:{port}", host.to_ascii_lowercase())),
        Err(_) => Err(bad("has a port above 65535")),
    }
}

/// Letters, digits, `-` and `_` (which service names of container networks hold) in labels of up to 63 bytes.
fn is_dns_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // A last label of digits alone is an IPv4 address gone wrong, such as 127.0.0.256.
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    host.len() <= 253 && host.split('.').all(is_label) && !host.rsplit('.').next().is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["ts-a", "a", "TS_1.eu", "0", &"x".repeat(64)] {
            assert_eq!(fault_in_name(good), None);
        }
        for (bad, says) in [
            ("", "empty"),
            (&*"x".repeat(65), "65 bytes"),
            ("ts a", "may only hold"),
            ("ts/a", "may only hold"),
            ("tś", "may only hold"),
            ("ts\n", "may only hold"),
        ] {
            let fault = fault_in_name(bad).unwrap();
            assert!(fault.contains(says), "{bad:?}: {fault}");
        }
    }

    #[test]
    fn weights() {
        for good in [1, 2, 1_000] {
            assert_eq!(fault_in_weight(good), None);
        }
        for bad in [0, -1, 1_001, i64::MAX, i64::MIN] {
            assert!(fault_in_weight(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn good_addresses_become_canonical() {
        for (given, canonical) in [
            ("127.0.0.1:5001", "127.0.0.1:5001"),
            ("[::1]:5001", "[::1]:5001"),
            ("[0:0:0::1]:5001", "[::1]:5001"),
            ("localhost:1", "localhost:1"),
            ("TS-A.Example.net:65535", "ts-a.example.net:65535"),
            ("ts_a:05001", "ts_a:5001"),
            ("ts-a.default.svc.:5001", "ts-a.default.svc.:5001"),
        ] {
            assert_eq!(canonical_address(given).as_deref(), Ok(canonical));
        }
    }

    #[test]
    fn bad_addresses_say_why_and_what_a_good_one_looks_like() {
        let long = format!("{}:1", "x".repeat(64));
        for (bad, says) in [
            ("", "has no port"),
            ("127.0.0.1", "has no port"),
            (":5001", "has no host"),
            ("127.0.0.1:0", "port 0"),
            ("[::1]:0", "port 0"),
            ("localhost:0", "port 0"),
            ("0.0.0.0:5001", "names no host"),
            ("[::]:5001", "names no host"),
            ("::1:5001", "too many colons"),
            ("[::1]", "no IPv6"),
            ("[::1:5001", "no IPv6"),
            ("[ts-a]:5001", "no IPv6"),
            ("localhost:", "no number"),
            ("localhost:+5", "no number"),
            ("localhost:http", "no number"),
            ("localhost:65536", "above 65535"),
            ("127.0.0.256:5001", "neither"),
            ("1234:5001", "neither"),
            ("http://localhost:5001", "too many colons"),
            ("host/x:5001", "neither"),
            (" localhost:5001", "neither"),
            ("a..b:5001", "neither"),
            ("-a:5001", "neither"),
            (&long, "neither"),
        ] {
            let fault = canonical_address(bad).unwrap_err();
            assert!(fault.contains(says), "{bad:?}: {fault}");
            assert!(fault.contains("write host:port, like"), "{fault}");
        }
    }
}
