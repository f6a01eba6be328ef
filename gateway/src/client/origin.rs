//! Which pages may connect: browsers say where a page comes from, and other clients say nothing.

use axum::http::{HeaderValue, Uri};

/// The pages that may connect. Clients without an `Origin` header always may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Every page.
    Any,
    /// Pages whose host is the one that the client connected to, on any port.
    Same,
    /// Pages that one of these matches.
    List(Vec<Pattern>),
}

/// One allowed origin; a part that is absent matches anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    scheme: Option<String>,
    host: String,
    /// The pattern began with `*.`: the host itself and every sub-domain match.
    subdomains: bool,
    port: Option<u16>,
}

impl Origins {
    /// `any`, `same`, or a list such as `https://example.com,//*.example.org,//localhost:3000`.
    ///
    /// # Errors
    /// The entry that makes no sense, and what one looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self::Any),
            "same" => Ok(Self::Same),
            list => list
                .split(',')
                .map(|entry| Pattern::parse(entry.trim()))
                .collect::<Result<_, _>>()
                .map(Self::List),
        }
    }

    /// Whether a page of this origin may connect to this host.
    pub(crate) fn allow(&self, origin: Option<&HeaderValue>, host: Option<&HeaderValue>) -> bool {
        let Some(origin) = origin else { return true };
        let Some((scheme, name, port)) = origin.to_str().ok().and_then(parts) else {
            return *self == Self::Any;
        };
        match self {
            Self::Any => true,
            Self::Same => {
                let own =
                    host.and_then(|host| host.to_str().ok()).and_then(|host| parts(&format!("//{host}")));
                own.is_some_and(|(_, own, _)| own == name)
            }
            Self::List(patterns) => {
                patterns.iter().any(|pattern| pattern.matches(scheme.as_deref(), &name, port))
            }
        }
    }
}

impl Pattern {
    fn parse(entry: &str) -> Result<Self, String> {
        let (plain, subdomains) = match entry.split_once("//*.") {
            Some((scheme, host)) => (format!("{scheme}//{host}"), true),
            None if entry.contains("//") => (entry.to_owned(), false),
            None => (format!("//{entry}"), false),
        };
        match parts(&plain) {
            Some((scheme, host, port)) if !host.contains('*') => Ok(Self { scheme, host, subdomains, port }),
            _ => Err(format!(
                "{entry:?} is no origin; write any, same, or a list such as https://example.com,//*.example.org"
            )),
        }
    }

    fn matches(&self, scheme: Option<&str>, host: &str, port: Option<u16>) -> bool {
        let default_port = match scheme {
            Some("http" | "ws") => Some(80),
            Some("https" | "wss") => Some(443),
            _ => None,
        };
        let host_matches = host == self.host
            || (self.subdomains
                && host
                    .strip_suffix(&self.host)
                    .is_some_and(|front| front.ends_with('.') && front.len() > 1));
        host_matches
            && self.scheme.as_deref().is_none_or(|own| Some(own) == scheme)
            && self.port.is_none_or(|own| Some(own) == port.or(default_port))
    }
}

/// Scheme, host and port of `scheme://host:port` or `//host:port`; nothing without a host.
fn parts(text: &str) -> Option<(Option<String>, String, Option<u16>)> {
    let (scheme, authority) = text.split_once("//")?;
    let scheme = match scheme {
        "" => None,
        scheme => Some(scheme.strip_suffix(':')?.to_ascii_lowercase()),
    };
    let uri: Uri = format!("http://{authority}").parse().ok()?;
    let host = uri.host()?.to_ascii_lowercase();
    let only_host = matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.contains('@');
    (only_host && !host.is_empty()).then(|| (scheme, host, uri.port_u16()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(setting: &str, origin: &str, host: &str) -> bool {
        let value = |text: &str| HeaderValue::from_str(text).expect("a header");
        Origins::parse(setting).expect("origins").allow(Some(&value(origin)), Some(&value(host)))
    }

    #[test]
    fn without_an_origin_everybody_may() {
        for setting in ["any", "same", "https://example.com"] {
            assert!(Origins::parse(setting).expect("origins").allow(None, None));
        }
    }

    #[test]
    fn same_compares_hosts_and_no_ports() {
        assert!(allows("same", "http://127.0.0.1:4000", "127.0.0.1:4001"));
        assert!(allows("same", "https://Example.com", "example.com"));
        assert!(allows("same", "http://[::1]:1", "[::1]:2"));
        assert!(!allows("same", "http://localhost:4000", "127.0.0.1:4000"));
        assert!(!allows("same", "null", "127.0.0.1"));
        assert!(!allows("same", "file://", "127.0.0.1"));
        assert!(!allows("same", "http://example.com.evil.org", "example.com"));
        assert!(!allows("same", "http://example.com@evil.org", "example.com"));
    }

    #[test]
    fn any_means_any() {
        assert!(allows("any", "null", "127.0.0.1"));
    }

    #[test]
    fn a_list_matches_by_the_parts_that_are_there() {
        let list = "https://example.com, //*.other.com, //localhost:3000";
        for (origin, allowed) in [
            ("https://example.com", true),
            ("https://example.com:8443", true),
            ("http://example.com", false),
            ("https://www.example.com", false),
            ("http://other.com", true),
            ("http://a.b.other.com", true),
            ("http://another.com", false),
            ("http://localhost:3000", true),
            ("http://localhost:3001", false),
            ("null", false),
        ] {
            assert_eq!(allows(list, origin, "x"), allowed, "{origin}");
        }
        assert!(allows("//a.org:443", "https://a.org", "x"));
    }

    #[test]
    fn nonsense_is_no_setting() {
        for text in ["", "https://", "https://*", "a b", "https://example.com/path", "//*.*.com"] {
            assert!(Origins::parse(text).is_err(), "{text}");
        }
    }
}
