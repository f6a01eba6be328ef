//! Whether a name matches a pattern, byte by byte and by the very rules of Redis (its `stringmatchlen`), oddities included:
//! clients compare.
//!
//! `*` is any bytes, `?` any one, `[abc]`, `[^abc]` and `[a-z]` one of a set, `\` takes the next byte as it is.

/// So many `*` may lie within each other; a pattern with more matches nothing.
const NESTING: usize = 1000;

/// Whether all of the name matches all of the pattern.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    matches_from(pattern, name, &mut false, 0)
}

/// `is_over`: what follows the last `*` was found nowhere in the name, and so no earlier `*` need take more of it.
fn matches_from(mut pattern: &[u8], mut name: &[u8], is_over: &mut bool, nesting: usize) -> bool {
    if nesting > NESTING {
        return false;
    }
    while let (Some((&first, rest)), Some((&byte, next))) = (pattern.split_first(), name.split_first()) {
        let rest = match first {
            b'*' => return matches_star(rest, name, is_over, nesting),
            b'?' => rest,
            b'[' => match after_set(rest, byte) {
                Some(rest) => rest,
                None => return false,
            },
            b'\\' if !rest.is_empty() => match rest.split_first() {
                Some((&escaped, rest)) if escaped == byte => rest,
                _ => return false,
            },
            _ if first == byte => rest,
            _ => return false,
        };
        (pattern, name) = (rest, next);
        if name.is_empty() {
            pattern = without_stars(pattern);
        }
    }
    pattern.is_empty() && name.is_empty()
}

/// What follows a `*`, somewhere in what is left of the name, which is not empty.
fn matches_star(rest: &[u8], name: &[u8], is_over: &mut bool, nesting: usize) -> bool {
    let rest = without_stars(rest);
    if rest.is_empty() {
        return true;
    }
    for from in 0..name.len() {
        if matches_from(rest, name.get(from..).unwrap_or_default(), is_over, nesting + 1) {
            return true;
        }
        if *is_over {
            return false;
        }
    }
    *is_over = true;
    false
}

fn without_stars(mut pattern: &[u8]) -> &[u8] {
    while let [b'*', rest @ ..] = pattern {
        pattern = rest;
    }
    pattern
}

/// What follows a set of which the byte is; `set` begins behind its `[`. One without a `]` ends with the pattern.
fn after_set(set: &[u8], byte: u8) -> Option<&[u8]> {
    let (is_negated, mut set) = match set {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let mut is_in = false;
    let rest = loop {
        set = match set {
            [b'\\', escaped, rest @ ..] => {
                is_in |= *escaped == byte;
                rest
            }
            [b']', rest @ ..] => break rest,
            [] => break set,
            [start, b'-', end, rest @ ..] => {
                // Redis compares chars, which have a sign.
                let (start, end, byte) = (*start as i8, *end as i8, byte as i8);
                is_in |= (start.min(end)..=start.max(end)).contains(&byte);
                rest
            }
            [own, rest @ ..] => {
                is_in |= *own == byte;
                rest
            }
        };
    };
    (is_in != is_negated).then_some(rest)
}

#[cfg(test)]
#[path = "glob_tests.rs"]
mod tests;
