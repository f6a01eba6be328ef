//! From the text that somebody wrote to a value, or to a sentence that says what to write instead.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::table::Kind;

/// `IP:port`, `[IPv6]:port` or `localhost:port` (which is 127.0.0.1). Port 0 is let through.
///
/// # Errors
/// A sentence that says what is wrong and what to write.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let advice = "give IP:port, such as 127.0.0.1:4000 (port 0 for any free one)";
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        return match port.parse() {
            Ok(port) if is_digits(port_text(text)) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            _ => Err(format!("{text:?} has no port of 0 to 65535; {advice}")),
        };
    }
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Err(format!("{text:?} has no port; {advice}"));
    }
    Err(format!("{text:?} is not an address; {advice}"))
}

pub(super) fn parse_count(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let kind = Kind::Count { min, max };
    let number = if is_digits(text) { text.parse().ok() } else { None };
    match number {
        Some(number) if (min..=max).contains(&number) => Ok(number),
        _ if is_digits(text) => Err(format!("{text} is out of bounds; give {}", kind.bounds())),
        _ => Err(format!("{text:?} is not a whole number; give {}", kind.bounds())),
    }
}

pub(super) fn parse_bytes(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let bounds = Kind::Bytes { min, max }.bounds();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let size = match unit.trim() {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => 0,
    };
    if number.is_empty() || size == 0 {
        let advice = "give bytes, or a whole number with KiB, MiB or GiB";
        return Err(format!("{text:?} is not a size; {advice}, {bounds}"));
    }
    // What is too large for a u64 is beyond any upper bound but u64::MAX itself, where it is a fault as well.
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(size)) {
        Some(bytes) if (min..=max).contains(&bytes) => Ok(bytes),
        _ => Err(format!("{text} is out of bounds; give {bounds}")),
    }
}

pub(super) fn parse_seconds(text: &str, min: u64, max: u64) -> Result<Duration, String> {
    let bounds = Kind::Seconds { min, max }.bounds();
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if !is_digits(whole) || !is_digits(decimals) {
        return Err(format!("{text:?} is not a number of seconds; give {bounds}, such as 5 or 0.25"));
    }
    let span = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match span {
        Some(span) if span >= Duration::from_secs(min) && span <= Duration::from_secs(max) => Ok(span),
        _ => Err(format!("{text} is out of bounds; give {bounds} seconds")),
    }
}

pub(super) fn parse_choice(text: &str, words: &'static [&'static str]) -> Result<&'static str, String> {
    let found = words.iter().find(|word| **word == text).copied();
    found.ok_or_else(|| format!("{text:?} is not one of its words; give one of {}", words.join(", ")))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn port_text(address: &str) -> &str {
    address.rsplit_once(':').map_or("", |(_, port)| port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(parse_address("127.0.0.1:4000"), Ok(SocketAddr::from(([127, 0, 0, 1], 4000))));
        assert_eq!(parse_address("localhost:0"), Ok(SocketAddr::from(([127, 0, 0, 1], 0))));
        assert_eq!(parse_address("[::1]:5001").map(|address| address.is_ipv6()), Ok(true));
        for (text, part) in [
            ("4000", "is not an address"),
            ("127.0.0.1", "has no port"),
            ("localhost", "is not an address"),
            ("localhost:", "no port of 0 to 65535"),
            ("localhost:+1", "no port of 0 to 65535"),
            ("localhost:65536", "no port of 0 to 65535"),
            ("example.org:1", "is not an address"),
            ("", "is not an address"),
        ] {
            let fault = parse_address(text).unwrap_err();
            assert!(fault.contains(part) && fault.contains("give IP:port"), "{text}: {fault}");
        }
    }

    #[test]
    fn counts() {
        assert_eq!(parse_count("1", 1, 9), Ok(1));
        assert_eq!(parse_count("9", 1, 9), Ok(9));
        assert_eq!(parse_count("18446744073709551615", 0, u64::MAX), Ok(u64::MAX));
        assert_eq!(parse_count("0", 1, 9), Err("0 is out of bounds; give 1 to 9".into()));
        assert_eq!(parse_count("10", 1, 9), Err("10 is out of bounds; give 1 to 9".into()));
        assert_eq!(
            parse_count("18446744073709551616", 1, u64::MAX),
            Err("18446744073709551616 is out of bounds; give 1 or more".into())
        );
        for text in ["", "-1", "+1", "1.0", "1e3", " 1", "one", "\u{663}"] {
            assert!(
                parse_count(text, 1, 9).unwrap_err().contains("is not a whole number; give 1 to 9"),
                "{text}"
            );
        }
    }

    #[test]
    fn sizes() {
        let parse = |text| parse_bytes(text, 1, 1 << 30);
        assert_eq!(parse("1"), Ok(1));
        assert_eq!(parse("256 KiB"), Ok(256 << 10));
        assert_eq!(parse("1MiB"), Ok(1 << 20));
        assert_eq!(parse("1 GiB"), Ok(1 << 30));
        assert_eq!(parse("2 GiB"), Err("2 GiB is out of bounds; give 1 to 1 GiB".into()));
        assert_eq!(parse("0"), Err("0 is out of bounds; give 1 to 1 GiB".into()));
        assert!(parse("99999999999999999999").unwrap_err().contains("out of bounds"));
        assert!(parse("18446744073709551615 GiB").unwrap_err().contains("out of bounds"));
        for text in ["", "KiB", "1 KB", "1 kib", "1.5 MiB", "-1", "1 MiB 2", "é"] {
            assert!(parse(text).unwrap_err().contains("is not a size; give bytes"), "{text}");
        }
    }

    #[test]
    fn spans_of_time() {
        let parse = |text| parse_seconds(text, 0, 60);
        assert_eq!(parse("0"), Ok(Duration::ZERO));
        assert_eq!(parse("60"), Ok(Duration::from_secs(60)));
        assert_eq!(parse("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("60.001"), Err("60.001 is out of bounds; give 0 to 60 seconds".into()));
        assert!(parse_seconds(&"9".repeat(400), 0, 60).unwrap_err().contains("out of bounds"));
        assert!(parse_seconds("0.5", 1, 60).is_err());
        for text in ["", ".", "1.", ".5", "-1", "1e1", "inf", "NaN", "5s", "1.2.3"] {
            assert!(parse(text).unwrap_err().contains("is not a number of seconds; give 0 to 60"), "{text}");
        }
    }

    #[test]
    fn choices() {
        assert_eq!(parse_choice("any", &["any", "same"]), Ok("any"));
        let fault = parse_choice("Any", &["any", "same"]).unwrap_err();
        assert_eq!(fault, "\"Any\" is not one of its words; give one of any, same");
    }
}
