use super::*;

const NAMES: &[&[u8]] = &[
    b"a", b"b", b"c", b"abc", b"a*c", b"a?c", b"a\\", b"\\", b"\\\\", b"", b"]", b"-", b"^", b"[", b"[a",
    b"ax", b"dx", b"news.it", b"news", b"naws", b"hello", b"hallo", b"\x80", b"\xff", b"\xffa", b"ab", b"a]",
    b"*", b"!", b"bac", b"xbcx", b"~", b"A",
];

/// Which of the names match, as a redis-server 7.0.15 on x86-64 has answered.
const TABLE: &[(&[u8], &[&[u8]])] = &[
    (
        b"*",
        &[
            b"a", b"b", b"c", b"abc", b"a*c", b"a?c", b"a\\", b"\\", b"\\\\", b"]", b"-", b"^", b"[", b"[a",
            b"ax", b"dx", b"news.it", b"news", b"naws", b"hello", b"hallo", b"\x80", b"\xff", b"\xffa",
            b"ab", b"a]", b"*", b"!", b"bac", b"xbcx", b"~", b"A",
        ],
    ),
    (b"", &[b""]),
    (b"?", &[b"a", b"b", b"c", b"\\", b"]", b"-", b"^", b"[", b"\x80", b"\xff", b"*", b"!", b"~", b"A"]),
    (b"a*", &[b"a", b"abc", b"a*c", b"a?c", b"a\\", b"ax", b"ab", b"a]"]),
    (b"*a", &[b"a", b"[a", b"\xffa"]),
    (b"**a", &[b"a", b"[a", b"\xffa"]),
    (
        b"*a*",
        &[
            b"a", b"abc", b"a*c", b"a?c", b"a\\", b"[a", b"ax", b"naws", b"hallo", b"\xffa", b"ab", b"a]",
            b"bac",
        ],
    ),
    (b"a?c", &[b"abc", b"a*c", b"a?c"]),
    (b"a\\*c", &[b"a*c"]),
    (b"a\\?c", &[b"a?c"]),
    (b"a\\", &[b"a\\"]),
    (b"\\", &[b"\\"]),
    (b"\\\\", &[b"\\"]),
    (b"[abc]", &[b"a", b"b", b"c"]),
    (b"[^abc]", &[b"\\", b"]", b"-", b"^", b"[", b"\x80", b"\xff", b"*", b"!", b"~", b"A"]),
    (b"[a-c]", &[b"a", b"b", b"c"]),
    (b"[c-a]", &[b"a", b"b", b"c"]),
    (b"[^a-c]x", &[b"dx"]),
    (b"[a", &[b"a"]),
    (b"[", &[]),
    (b"[^", &[b"a", b"b", b"c", b"\\", b"]", b"-", b"^", b"[", b"\x80", b"\xff", b"*", b"!", b"~", b"A"]),
    (b"[]", &[]),
    (b"[]a]", &[]),
    (b"[^]", &[b"a", b"b", b"c", b"\\", b"]", b"-", b"^", b"[", b"\x80", b"\xff", b"*", b"!", b"~", b"A"]),
    (b"[^]a", &[b"[a", b"\xffa"]),
    (b"[a\\]b]", &[b"a", b"b", b"]"]),
    (b"[\\a-c]", &[b"a", b"c", b"-"]),
    (b"[a-]", &[b"a", b"]", b"^"]),
    (b"[-a]", &[b"a", b"-"]),
    (b"[a-\\]]", &[b"a]"]),
    (b"[a-\xff]", &[b"a", b"\\", b"]", b"-", b"^", b"[", b"\xff", b"*", b"!", b"A"]),
    (b"[\x80-\xff]", &[b"\x80", b"\xff"]),
    (b"[\\", &[b"\\"]),
    (b"[\\]", &[b"]"]),
    (b"a[b-]", &[b"ab", b"a]"]),
    (b"news.*", &[b"news.it"]),
    (b"n[ae]ws*", &[b"news.it", b"news", b"naws"]),
    (b"*.*", &[b"news.it"]),
    (b"*a*b", &[b"ab"]),
    (
        b"?*",
        &[
            b"a", b"b", b"c", b"abc", b"a*c", b"a?c", b"a\\", b"\\", b"\\\\", b"]", b"-", b"^", b"[", b"[a",
            b"ax", b"dx", b"news.it", b"news", b"naws", b"hello", b"hallo", b"\x80", b"\xff", b"\xffa",
            b"ab", b"a]", b"*", b"!", b"bac", b"xbcx", b"~", b"A",
        ],
    ),
    (
        b"*?",
        &[
            b"a", b"b", b"c", b"abc", b"a*c", b"a?c", b"a\\", b"\\", b"\\\\", b"]", b"-", b"^", b"[", b"[a",
            b"ax", b"dx", b"news.it", b"news", b"naws", b"hello", b"hallo", b"\x80", b"\xff", b"\xffa",
            b"ab", b"a]", b"*", b"!", b"bac", b"xbcx", b"~", b"A",
        ],
    ),
    (b"a**", &[b"a", b"abc", b"a*c", b"a?c", b"a\\", b"ax", b"ab", b"a]"]),
    (b"a*?", &[b"abc", b"a*c", b"a?c", b"a\\", b"ax", b"ab", b"a]"]),
    (b"[!a]", &[b"a", b"!"]),
    (b"h[a-z]llo", &[b"hello", b"hallo"]),
    (b"\xff*", &[b"\xff", b"\xffa"]),
    (b"[^\xff]", &[b"a", b"b", b"c", b"\\", b"]", b"-", b"^", b"[", b"\x80", b"*", b"!", b"~", b"A"]),
    (b"a[", &[]),
    (b"*[ab]c*", &[b"abc", b"bac", b"xbcx"]),
    (b"*\\*", &[b"*"]),
];

#[test]
fn it_matches_what_redis_matches() {
    for (pattern, expected) in TABLE {
        let found: Vec<_> = NAMES.iter().copied().filter(|name| matches(pattern, name)).collect();
        assert_eq!(found, *expected, "{:?}", String::from_utf8_lossy(pattern));
    }
}

/// Without a stop, each of them would try every way to share the name out.
#[test]
fn many_stars_take_no_longer_than_few() {
    let pattern = b"*a".repeat(500);
    let name = [&b"a".repeat(1_000)[..], b"b"].concat();
    assert!(!matches(&pattern, &name));
    assert!(matches(&[&pattern[..], b"*"].concat(), &name));
    assert!(!matches(&b"*a".repeat(NESTING + 2), &b"a".repeat(NESTING + 2)), "too many within each other");
}
