//! What `COMMAND` answers: the table of commands, for clients that want to know it.

use bytes::Bytes;

use crate::redis::command::{COMMANDS, Spec, find};
use crate::redis::reply::Writer;

/// `COMMAND`: all of them.
pub(crate) fn all(to: &mut Writer<'_>) {
    to.array(COMMANDS.len());
    COMMANDS.iter().for_each(|spec| describe(spec, to));
}

/// `COMMAND COUNT`
pub(crate) fn count(to: &mut Writer<'_>) {
    to.integer(COMMANDS.len() as i64);
}

/// `COMMAND LIST`
pub(crate) fn list(to: &mut Writer<'_>) {
    to.array(COMMANDS.len());
    COMMANDS.iter().for_each(|spec| to.bulk(spec.name.as_bytes()));
}

/// So many names may be asked for with one command: an answer is much longer than a name.
pub(crate) const NAMES: usize = 256;

/// `COMMAND INFO`: those of these names, or all.
pub(crate) fn info(names: &[Bytes], to: &mut Writer<'_>) {
    if names.is_empty() {
        return all(to);
    }
    to.array(names.len());
    for name in names {
        match named(name) {
            Some(spec) => describe(spec, to),
            None => to.null(),
        }
    }
}

/// `COMMAND DOCS`: those of these names that there are, or all.
pub(crate) fn docs(names: &[Bytes], to: &mut Writer<'_>) {
    let found: Vec<_> = if names.is_empty() {
        COMMANDS.iter().collect()
    } else {
        names.iter().filter_map(|name| named(name)).collect()
    };
    to.map(found.len());
    found.into_iter().for_each(|spec| document(spec, to));
}

/// A command, or a subcommand such as `client|id`.
fn named(name: &[u8]) -> Option<&'static Spec> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let spec = find(parts.next()?)?;
    let Some(second) = parts.next() else { return Some(spec) };
    spec.subcommands.iter().find(|sub| second.eq_ignore_ascii_case(sub.last_name().as_bytes()))
}

fn describe(spec: &Spec, to: &mut Writer<'_>) {
    to.array(10);
    to.bulk(spec.name.as_bytes());
    to.integer(spec.arity.into());
    // None of them touches a key, and all may be used at any time.
    to.set(2);
    to.simple("loading");
    to.simple("stale");
    (0..3).for_each(|_| to.integer(0));
    to.set(1);
    to.simple(if spec.group == "pubsub" { "@pubsub" } else { "@connection" });
    to.set(0);
    to.set(0);
    to.array(spec.subcommands.len());
    spec.subcommands.iter().for_each(|sub| describe(sub, to));
}

fn document(spec: &Spec, to: &mut Writer<'_>) {
    to.bulk(spec.name.as_bytes());
    let has_subcommands = !spec.subcommands.is_empty();
    to.map(3 + usize::from(has_subcommands));
    for (key, value) in [("summary", spec.summary), ("since", spec.since), ("group", spec.group)] {
        to.bulk(key.as_bytes());
        to.bulk(value.as_bytes());
    }
    if has_subcommands {
        to.bulk(b"subcommands");
        to.map(spec.subcommands.len());
        spec.subcommands.iter().for_each(|sub| document(sub, to));
    }
}

#[cfg(test)]
mod tests {
    use redis_protocol::resp3::decode::complete::decode;
    use redis_protocol::resp3::types::OwnedFrame;

    use super::*;
    use crate::redis::reply::Version;

    fn read(write: impl Fn(&mut Writer<'_>)) -> OwnedFrame {
        let mut out = Vec::new();
        write(&mut Writer::new(Version::Resp3, &mut out));
        let (frame, length) = decode(&out).expect("well formed").expect("complete");
        assert_eq!(length, out.len());
        frame
    }

    #[test]
    fn all_answers_are_whole() {
        let names = ["ping", "CLIENT|ID", "nope", "client|nope"].map(Bytes::from);
        let OwnedFrame::Array { data, .. } = read(|to| info(&names, to)) else { panic!("no array") };
        assert_eq!(data.iter().filter(|frame| **frame == OwnedFrame::Null).count(), 2);
        let OwnedFrame::Map { data, .. } = read(|to| docs(&names, to)) else { panic!("no map") };
        assert_eq!(data.len(), 2);
        let OwnedFrame::Map { data, .. } = read(|to| docs(&[], to)) else { panic!("no map") };
        assert_eq!(data.len(), COMMANDS.len());
        let OwnedFrame::Array { data, .. } = read(all) else { panic!("no array") };
        assert_eq!(data.len(), COMMANDS.len());
        let OwnedFrame::Array { data, .. } = read(list) else { panic!("no array") };
        assert_eq!(data.len(), COMMANDS.len());
    }
}
