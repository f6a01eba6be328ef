//! Commands as people type them into telnet: words between spaces, with quotes where a word has some of its own.

use bytes::Bytes;

use crate::redis::decode::Fault;

/// The words of a line; none if it is empty.
///
/// # Errors
/// A quote without its other half, or with something right behind it.
pub(crate) fn split(line: &[u8]) -> Result<Vec<Bytes>, Fault> {
    // A line ends where a C string does.
    let end = line.iter().position(|byte| *byte == 0).unwrap_or(line.len());
    let mut rest = line.get(..end).unwrap_or_default();
    let mut words = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        // Not white to Rust, but to C.
        if let Some(behind) = rest.strip_prefix(b"\x0b") {
            rest = behind;
            continue;
        }
        if rest.is_empty() {
            return Ok(words);
        }
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        words.push(Bytes::from(word));
    }
}

/// Moves a word out of a line that begins with it; returns what follows.
fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], Fault> {
    loop {
        match rest {
            [quote @ (b'"' | b'\''), behind @ ..] => {
                rest = take_quoted(behind, *quote, word)?;
                return match rest.first() {
                    Some(byte) if !is_space(*byte) => Err(Fault::Quotes),
                    _ => Ok(rest),
                };
            }
            [byte, behind @ ..] if !is_space(*byte) => {
                word.push(*byte);
                rest = behind;
            }
            _ => return Ok(rest),
        }
    }
}

/// The same for what stands behind a quote; what follows begins behind its other half.
fn take_quoted<'a>(mut rest: &'a [u8], quote: u8, word: &mut Vec<u8>) -> Result<&'a [u8], Fault> {
    loop {
        let (byte, behind) = match (quote, rest) {
            (_, []) => return Err(Fault::Quotes),
            (_, [byte, behind @ ..]) if *byte == quote => return Ok(behind),
            (b'"', [b'\\', b'x', high, low, behind @ ..]) => match hex(*high, *low) {
                Some(byte) => (byte, behind),
                None => (b'x', rest.get(2..).unwrap_or_default()),
            },
            (b'"', [b'\\', escaped, behind @ ..]) => (unescaped(*escaped), behind),
            (b'\'', [b'\\', b'\'', behind @ ..]) => (b'\'', behind),
            (_, [byte, behind @ ..]) => (*byte, behind),
        };
        word.push(byte);
        rest = behind;
    }
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As redis-server 7.0.15 takes the same lines.
    #[test]
    fn words_quotes_and_escapes() {
        for (line, words) in [
            (&b"PING\r\n"[..], &[&b"PING"[..]][..]),
            (b"  PUBLISH\tnews   hello \r\n", &[b"PUBLISH", b"news", b"hello"]),
            (b"PING 'a\\'b'\n", &[b"PING", b"a'b"]),
            (b"PING \"a\\x41\\n\\\"b\"\r\n", &[b"PING", b"aA\n\"b"]),
            (b"PING \"\\xzz\"", &[b"PING", b"xzz"]),
            (b"PING \"a b\" 'c d'", &[b"PING", b"a b", b"c d"]),
            (b"ECHO \"\"", &[b"ECHO", b""]),
            (b"ECHO a\"b\"", &[b"ECHO", b"ab"]),
            (b"ECHO \xff\xfe", &[b"ECHO", b"\xff\xfe"]),
            (b"ECHO a\0b c", &[b"ECHO", b"a"]),
            (b" \r\n", &[]),
            (b"\n", &[]),
            (b"", &[]),
        ] {
            assert_eq!(split(line).expect("words"), words, "{:?}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn quotes_that_do_not_fit_are_refused() {
        for line in ["\"PING", "'PING", "PING \"a\"b", "PING 'a'b", "PING \"a\\\"", "PING \"\\"] {
            assert_eq!(split(line.as_bytes()), Err(Fault::Quotes), "{line}");
        }
    }
}
