use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::phoenix::frame::{Version, read_binary, read_text};

const T: &str = "topics:matrix";

/// Where every topic stands.
const POSITION: (Epoch, u64) = (Epoch(7), 41);

/// A session's channels, and the other side of them: what they lead to, as short lines.
///
/// `reply JOIN_REF REF TOPIC RESPONSE`, `close JOIN_REF TOPIC`, `join #ID TOPIC JOIN_REF`, `leave #ID`,
/// `publish #ID REF EVENT PAYLOAD`; refs and topics as JSON, so that 1 and "1" differ.
struct World {
    channels: Channels,
    effects: Vec<Effect>,
    is_open: fn(&str) -> bool,
}

impl World {
    fn new() -> Self {
        Self::with_channels(100)
    }

    fn with_channels(channels: usize) -> Self {
        Self { channels: Channels::new(Limits { channels }), effects: Vec::new(), is_open: |_| true }
    }

    /// One channel on [`T`], joined with join_ref "1".
    fn joined() -> Self {
        let mut world = Self::new();
        world.text(&format!(r#"["1","1","{T}","phx_join",{{}}]"#));
        world.confirm(0);
        world
    }

    fn frame(&mut self, frame: Frame) -> Vec<String> {
        self.channels.receive(frame, self.is_open, &mut self.effects);
        self.lines()
    }

    fn text(&mut self, frame: &str) -> Vec<String> {
        self.frame(read(frame))
    }

    fn texts(&mut self, frames: &[&str]) -> Vec<String> {
        frames.iter().flat_map(|frame| self.text(frame)).collect()
    }

    fn binary(&mut self, fields: [&str; 4], payload: &[u8]) -> Vec<String> {
        let mut frame = vec![0];
        frame.extend(fields.iter().map(|field| field.len() as u8));
        frame.extend(fields.concat().as_bytes());
        frame.extend(payload);
        self.frame(read_binary(&frame.into()).expect("a frame"))
    }

    /// The hub: the channel listens.
    fn confirm(&mut self, id: u32) -> Vec<String> {
        self.channels.joined(ChannelId(id), POSITION, None, &mut self.effects);
        self.resume(id)
    }

    /// The hub: it does not.
    fn fail(&mut self, id: u32) -> Vec<String> {
        let reason = Reason::OwnerUnreachable;
        let held = self.channels.join_failed(ChannelId(id), reason, &mut self.effects);
        for frame in held {
            self.channels.receive(frame, self.is_open, &mut self.effects);
        }
        self.lines()
    }

    /// The hub: a publish with this ref is answered.
    fn answer(&mut self, id: u32, reference: &str, result: Result<u64, Reason>) -> Vec<String> {
        let reference = Ref::Text(reference.into());
        self.channels.answered(ChannelId(id), reference, result, &mut self.effects);
        self.resume(id)
    }

    /// The hub: messages are lost, up to offset 60 of epoch 8.
    fn lost(&mut self, id: u32, rejoin: bool) -> Vec<String> {
        let position = (Epoch(8), 60);
        let held = self.channels.lost(ChannelId(id), position, |_| rejoin, &mut self.effects);
        for frame in held {
            self.channels.receive(frame, self.is_open, &mut self.effects);
        }
        self.resume(id)
    }

    fn resume(&mut self, id: u32) -> Vec<String> {
        self.channels.resume(ChannelId(id), self.is_open, &mut self.effects);
        self.lines()
    }

    fn lines(&mut self) -> Vec<String> {
        let effects = std::mem::take(&mut self.effects);
        effects.into_iter().map(line).collect()
    }
}

fn read(frame: &str) -> Frame {
    read_text(Version::V2, &Bytes::copy_from_slice(frame.as_bytes())).expect("a frame")
}

fn line(effect: Effect) -> String {
    let json = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut json = Vec::new();
        write(&mut json);
        String::from_utf8(json).expect("JSON")
    };
    match effect {
        Effect::Reply { join_ref, reference, topic, response } => {
            let response = match response {
                Response::Ok => "ok".to_owned(),
                Response::Joined(epoch, offset, None) => format!("joined {}:{offset}", epoch.0),
                Response::Joined(epoch, offset, Some(Resumed { recovered, .. })) => {
                    format!("joined {}:{offset} recovered {recovered}", epoch.0)
                }
                Response::Offset(offset) => format!("offset {offset}"),
                Response::Error(reason) => format!("error {reason:?}"),
                Response::PublishError(reason) => format!("publish error {reason:?}"),
            };
            let join_ref = json(&|into| join_ref.write(into));
            let reference = json(&|into| reference.write(into));
            let topic = json(&|into| topic.write(into));
            format!("reply {join_ref} {reference} {topic} {response}")
        }
        Effect::Closed { join_ref, topic } => {
            let join_ref = json(&|into| join_ref.write(into));
            format!("close {join_ref} {}", json(&|into| topic.write(into)))
        }
        Effect::Failed { join_ref, topic } => {
            let join_ref = json(&|into| join_ref.write(into));
            format!("fail {join_ref} {}", json(&|into| topic.write(into)))
        }
        Effect::Join { channel, topic, join_ref, .. } => {
            format!("join #{} {topic} {}", channel.0, json(&|into| join_ref.write(into)))
        }
        Effect::Leave { channel } => format!("leave #{}", channel.0),
        Effect::Position { join_ref, topic, epoch, offset } => {
            let join_ref = json(&|into| join_ref.write(into));
            format!("position {join_ref} {} {}:{offset}", json(&|into| topic.write(into)), epoch.0)
        }
        Effect::Publish { channel, reference, message, key } => format!(
            "publish #{} {} {} {}{}",
            channel.0,
            json(&|into| reference.write(into)),
            String::from_utf8_lossy(&message.event),
            String::from_utf8_lossy(&message.payload),
            key.map_or(String::new(), |key| format!(" key {}", String::from_utf8_lossy(&key)))
        ),
    }
}

// Rule 1: heartbeats.

#[test]
fn a_heartbeat_is_answered_without_a_join_and_without_its_join_ref() {
    for (frame, reply) in [
        (r#"[null,"2","phoenix","heartbeat",{}]"#, r#"reply null "2" "phoenix" ok"#),
        (r#"["7","2","phoenix","heartbeat",{}]"#, r#"reply null "2" "phoenix" ok"#),
        (r#"[null,null,"phoenix","heartbeat",null]"#, r#"reply null null "phoenix" ok"#),
        (r#"[null,12,"phoenix","heartbeat","x"]"#, r#"reply null 12 "phoenix" ok"#),
    ] {
        assert_eq!(World::new().text(frame), [reply]);
    }
}

#[test]
fn the_topic_phoenix_is_no_topic_for_anything_else() {
    let frames = [
        (r#"["1","1","phoenix","phx_join",{}]"#, r#"reply null "1" "phoenix" error UnmatchedTopic"#),
        (r#"["1","1","phoenix","other",{}]"#, r#"reply null "1" "phoenix" error UnmatchedTopic"#),
        (r#"["1","1","phoenix","phx_leave",{}]"#, r#"reply "1" "1" "phoenix" ok"#),
        (r#"["1","1","other","heartbeat",{}]"#, r#"reply null "1" "other" error UnmatchedTopic"#),
    ];
    for (frame, reply) in frames {
        assert_eq!(World::new().text(frame), [reply], "{frame}");
    }
}

// Rule 4: joins.

#[test]
fn a_join_is_answered_when_the_hub_says_so() {
    let mut world = World::new();
    assert_eq!(world.text(&format!(r#"["1","2","{T}","phx_join",{{}}]"#)), [format!("join #0 {T} \"1\"")]);
    assert_eq!(world.confirm(0), [format!("reply \"1\" \"2\" \"{T}\" ok")]);
    assert_eq!(world.confirm(0), Vec::<String>::new(), "once");
}

#[test]
fn a_join_that_fails_says_why_and_leaves_the_topic_unjoined() {
    let mut world = World::new();
    world.text(&format!(r#"["1","2","{T}","phx_join",{{}}]"#));
    assert_eq!(world.fail(0), [format!("reply \"1\" \"2\" \"{T}\" error OwnerUnreachable")]);
    assert_eq!(world.fail(0), Vec::<String>::new(), "once");
    assert_eq!(
        world.text(&format!(r#"["1","3","{T}","publish",["e",{{}}]]"#)),
        [format!("reply null \"3\" \"{T}\" error UnmatchedTopic")]
    );
    assert_eq!(world.text(&format!(r#"["4","4","{T}","phx_join",{{}}]"#)), [format!("join #1 {T} \"4\"")]);
}

#[test]
fn a_join_of_what_is_no_topic_or_not_open_is_unmatched() {
    let long = "x".repeat(256);
    for topic in [
        "\"\"",
        r#""a\nb""#,
        r#""a\u0000""#,
        r#""a\u0085""#,
        &format!("\"{long}\""),
        "1",
        "null",
        "{}",
        r#"["t"]"#,
    ] {
        let shown = match topic {
            r#""a\u0085""# => "\"a\u{85}\"",
            topic => topic,
        };
        assert_eq!(
            World::new().text(&format!(r#"["1","1",{topic},"phx_join",{{}}]"#)),
            [format!("reply null \"1\" {shown} error UnmatchedTopic")]
        );
    }
    let longest = "x".repeat(255);
    assert_eq!(
        World::new().text(&format!(r#"["1","1","{longest}","phx_join",{{}}]"#)),
        [format!("join #0 {longest} \"1\"")]
    );
    let mut world = World::new();
    world.is_open = |topic| topic.starts_with("topics:");
    assert_eq!(
        world.text(r#"["1","1","nope","phx_join",{}]"#),
        [r#"reply null "1" "nope" error UnmatchedTopic"#]
    );
    assert_eq!(world.text(r#"["1","1","topics:","phx_join",{}]"#), [r#"join #0 topics: "1""#]);
}

#[test]
fn the_cap_counts_joining_channels_and_frees_a_place_with_each_leave() {
    let mut world = World::with_channels(2);
    world.texts(&[r#"["1","1","a","phx_join",{}]"#, r#"["2","2","b","phx_join",{}]"#]);
    assert_eq!(world.text(r#"["3","3","c","phx_join",{}]"#), [r#"reply "3" "3" "c" error TooManyChannels"#]);
    world.confirm(0);
    assert_eq!(world.text(r#"[null,4,"c","phx_join",{}]"#), [r#"reply null 4 "c" error TooManyChannels"#]);
    assert_eq!(
        world.text(r#"["5","5","a","phx_join",{}]"#),
        ["leave #0", r#"join #2 a "5""#],
        "a second join replaces the first and needs no place"
    );
    world.fail(1);
    assert_eq!(world.text(r#"["6","6","c","phx_join",{}]"#), [r#"join #3 c "6""#]);
    world.confirm(3);
    world.text(r#"["6","7","c","phx_leave",{}]"#);
    assert_eq!(world.text(r#"["8","8","d","phx_join",{}]"#), [r#"join #4 d "8""#]);
    assert_eq!(world.channels.ids().count(), 2);
}

// Rule 2: a second join.

#[test]
fn a_second_join_is_answered_before_the_first_is_closed() {
    let mut world = World::joined();
    assert_eq!(
        world.text(&format!(r#"["2","3","{T}","phx_join",{{}}]"#)),
        ["leave #0".to_owned(), format!("join #1 {T} \"2\"")]
    );
    assert_eq!(world.confirm(1), [format!("reply \"2\" \"3\" \"{T}\" ok"), format!("close \"1\" \"{T}\"")]);
    assert_eq!(
        world.text(&format!(r#"["1","4","{T}","publish",["e",{{}}]]"#)),
        Vec::<String>::new(),
        "the old join_ref is stale"
    );
    assert_eq!(world.text(&format!(r#"["2","4","{T}","publish",["e",{{}}]]"#)), [r#"publish #1 "4" e {}"#]);
}

#[test]
fn a_second_join_that_fails_closes_the_first_all_the_same() {
    let mut world = World::joined();
    world.text(&format!(r#"["2","3","{T}","phx_join",{{}}]"#));
    assert_eq!(
        world.fail(1),
        [format!("reply \"2\" \"3\" \"{T}\" error OwnerUnreachable"), format!("close \"1\" \"{T}\"")]
    );
}

#[test]
fn a_second_join_behind_one_that_is_under_way_waits_for_its_answer() {
    let mut world = World::new();
    let first = format!(r#"["1","1","{T}","phx_join",{{}}]"#);
    let second = format!(r#"["2","2","{T}","phx_join",{{}}]"#);
    assert_eq!(world.texts(&[&first, &second]), [format!("join #0 {T} \"1\"")]);
    assert_eq!(
        world.confirm(0),
        [format!("reply \"1\" \"1\" \"{T}\" ok"), "leave #0".to_owned(), format!("join #1 {T} \"2\"")]
    );
    assert_eq!(world.confirm(1), [format!("reply \"2\" \"2\" \"{T}\" ok"), format!("close \"1\" \"{T}\"")]);
}

/// Rule 2 goes on as rule 4: the config may have changed since the first join.
#[test]
fn a_second_join_of_a_topic_that_is_no_longer_open_is_unmatched_and_closes_the_first() {
    let mut world = World::joined();
    world.is_open = |_| false;
    assert_eq!(
        world.text(&format!(r#"["2","3","{T}","phx_join",{{}}]"#)),
        [
            "leave #0".to_owned(),
            format!("reply null \"3\" \"{T}\" error UnmatchedTopic"),
            format!("close \"1\" \"{T}\"")
        ]
    );
}

// Rules 3 and 6: leaves.

#[test]
fn a_leave_is_answered_and_then_the_channel_is_closed() {
    for join_ref in ["\"1\"", "null"] {
        let mut world = World::joined();
        assert_eq!(
            world.text(&format!(r#"[{join_ref},"9","{T}","phx_leave",{{}}]"#)),
            ["leave #0".to_owned(), format!("reply \"1\" \"9\" \"{T}\" ok"), format!("close \"1\" \"{T}\"")]
        );
        assert_eq!(
            world.text(&format!(r#"["1","3","{T}","publish",["e",{{}}]]"#)),
            [format!("reply null \"3\" \"{T}\" error UnmatchedTopic")]
        );
    }
}

#[test]
fn a_leave_of_another_join_ref_is_ignored() {
    let mut world = World::joined();
    for join_ref in ["\"0\"", "1", "\"\""] {
        assert_eq!(world.text(&format!(r#"[{join_ref},"2","{T}","phx_leave",{{}}]"#)), Vec::<String>::new());
    }
    assert_eq!(
        world.text(&format!(r#"["1","2","{T}","publish",["e",{{}}]]"#)),
        [r#"publish #0 "2" e {}"#],
        "still joined"
    );
}

#[test]
fn a_leave_of_what_is_not_joined_is_answered_without_a_close() {
    for (join_ref, reference) in [("\"4\"", "\"5\""), ("null", "null"), ("4", "5")] {
        assert_eq!(
            World::new().text(&format!(r#"[{join_ref},{reference},"{T}","phx_leave",{{}}]"#)),
            [format!("reply {join_ref} {reference} \"{T}\" ok")]
        );
    }
}

#[test]
fn a_leave_waits_for_the_answers_to_the_publishes_before_it() {
    let mut world = World::joined();
    world.text(&format!(r#"["1","2","{T}","publish",["e",{{}}]]"#));
    world.text(&format!(r#"["1","3","{T}","publish",["e",{{}}]]"#));
    assert_eq!(world.text(&format!(r#"["1","4","{T}","phx_leave",{{}}]"#)), Vec::<String>::new());
    assert_eq!(
        world.text(&format!(r#"["5","5","{T}","phx_join",{{}}]"#)),
        Vec::<String>::new(),
        "behind the leave"
    );
    assert_eq!(world.answer(0, "2", Ok(42)), [format!("reply \"1\" \"2\" \"{T}\" ok")]);
    assert_eq!(
        world.answer(0, "3", Err(Reason::Unanswered)),
        [
            format!("reply \"1\" \"3\" \"{T}\" publish error Unanswered"),
            "leave #0".to_owned(),
            format!("reply \"1\" \"4\" \"{T}\" ok"),
            format!("close \"1\" \"{T}\""),
            format!("join #1 {T} \"5\""),
        ]
    );
    assert_eq!(world.confirm(1), [format!("reply \"5\" \"5\" \"{T}\" ok")], "the close has been sent");
}

#[test]
fn a_second_join_waits_for_the_answers_too() {
    let mut world = World::joined();
    world.text(&format!(r#"["1","2","{T}","publish",["e",{{}}]]"#));
    assert_eq!(world.text(&format!(r#"["3","3","{T}","phx_join",{{}}]"#)), Vec::<String>::new());
    assert_eq!(
        world.answer(0, "2", Ok(42)),
        [format!("reply \"1\" \"2\" \"{T}\" ok"), "leave #0".to_owned(), format!("join #1 {T} \"3\"")]
    );
}

#[test]
fn leave_and_join_back_to_back_close_the_old_and_join_the_new() {
    let mut world = World::joined();
    assert_eq!(
        world.text(&format!(r#"["1","3","{T}","phx_leave",{{}}]"#)),
        ["leave #0".to_owned(), format!("reply \"1\" \"3\" \"{T}\" ok"), format!("close \"1\" \"{T}\"")]
    );
    assert_eq!(world.text(&format!(r#"["4","4","{T}","phx_join",{{}}]"#)), [format!("join #1 {T} \"4\"")]);
    assert_eq!(world.confirm(1), [format!("reply \"4\" \"4\" \"{T}\" ok")]);
}

// Rules 5 and 7: everything else.

#[test]
fn a_publish_goes_out_and_its_answer_carries_the_channels_join_ref() {
    for join_ref in ["\"1\"", "null"] {
        let mut world = World::joined();
        assert_eq!(
            world.text(&format!(r#"[{join_ref},"2","{T}","publish",["event", {{"m": 1}}]]"#)),
            [r#"publish #0 "2" event {"m": 1}"#]
        );
        assert_eq!(world.answer(0, "2", Ok(42)), [format!("reply \"1\" \"2\" \"{T}\" ok")]);
    }
}

#[test]
fn a_stale_event_is_dropped_without_a_reply() {
    let mut world = World::joined();
    for join_ref in ["\"0\"", "\"11\"", "1", "\"\""] {
        for event in ["publish", "other", "phx_close"] {
            assert_eq!(
                world.text(&format!(r#"[{join_ref},"2","{T}","{event}",["e",{{}}]]"#)),
                Vec::<String>::new()
            );
        }
    }
}

#[test]
fn what_cannot_be_published_is_answered_to_its_sender_alone() {
    let long = "x".repeat(256);
    let cases = [
        (r#""publish",{}"#, "InvalidPublish"),
        (r#""publish",["e"]"#, "InvalidPublish"),
        (r#""publish",["e",{},{},{}]"#, "InvalidPublish"),
        (r#""publish",null"#, "InvalidPublish"),
        (r#""publish",[1,{}]"#, "InvalidEvent"),
        (r#""publish",["",{}]"#, "InvalidEvent"),
        (&*format!(r#""publish",["{long}",{{}}]"#), "InvalidEvent"),
        (r#""publish",["phx_close",{}]"#, "ReservedEvent"),
        (r#""publish",["phx_reply",{}]"#, "ReservedEvent"),
        (r#""publish",["phx_",{}]"#, "ReservedEvent"),
        (r#""publish",["\u0070hx_error",{}]"#, "ReservedEvent"),
        (r#""publish",["presence_state",{}]"#, "ReservedEvent"),
        (r#""publish",["position",{}]"#, "ReservedEvent"),
        (r#""publish",["e",[]]"#, "InvalidPayload"),
        (r#""publish",["e",1]"#, "InvalidPayload"),
        (r#""publish",["e",null]"#, "InvalidPayload"),
        (r#""foo",{}"#, "UnknownEvent"),
        (r#""phx_reply",{}"#, "UnknownEvent"),
        (r#""phx_close",{}"#, "UnknownEvent"),
        (r#""phx_error",{}"#, "UnknownEvent"),
        (r#""heartbeat",{}"#, "UnknownEvent"),
        (r#""",{}"#, "UnknownEvent"),
        (r#"17,{}"#, "UnknownEvent"),
        (r#"{"a":1},{}"#, "UnknownEvent"),
    ];
    for (rest, reason) in cases {
        let mut world = World::joined();
        assert_eq!(
            world.text(&format!(r#"["1","2","{T}",{rest}]"#)),
            [format!("reply \"1\" \"2\" \"{T}\" publish error {reason}")],
            "{rest}"
        );
        assert_eq!(
            world.text(&format!(r#"["1","3","{T}","publish",["positions",{{}}]]"#)),
            [r#"publish #0 "3" positions {}"#],
            "the channel survives {rest}"
        );
    }
}

#[test]
fn anything_but_a_leave_is_unmatched_where_nothing_is_joined() {
    for (rest, reply) in [
        (format!(r#""1","5","{T}","publish",["e",{{}}]"#), format!("null \"5\" \"{T}\"")),
        (format!(r#"1,null,"{T}","foo",1"#), format!("null null \"{T}\"")),
        (r#""1","5",{"a":1},"phx_close",{}"#.to_owned(), r#"null "5" {"a":1}"#.to_owned()),
        (r#""1","5",null,null,null"#.to_owned(), r#"null "5" null"#.to_owned()),
    ] {
        assert_eq!(World::new().text(&format!("[{rest}]")), [format!("reply {reply} error UnmatchedTopic")]);
    }
}

#[test]
fn an_event_longer_than_a_byte_can_count_is_refused_and_the_longest_is_not() {
    let mut world = World::joined();
    let longest = "x".repeat(255);
    assert_eq!(
        world.text(&format!(r#"["1","2","{T}","publish",["{longest}",{{}}]]"#)),
        [format!("publish #0 \"2\" {longest} {{}}")]
    );
}

// Refs.

#[test]
fn numbers_stay_numbers_and_differ_from_strings() {
    let mut world = World::new();
    assert_eq!(world.text(&format!(r#"[1,1,"{T}","phx_join",{{}}]"#)), [format!("join #0 {T} 1")]);
    assert_eq!(world.confirm(0), [format!("reply 1 1 \"{T}\" ok")]);
    assert_eq!(world.text(&format!(r#"["1",2,"{T}","phx_leave",{{}}]"#)), Vec::<String>::new());
    assert_eq!(
        world.text(&format!(r#"[1,2,"{T}","phx_leave",{{}}]"#)),
        ["leave #0".to_owned(), format!("reply 1 2 \"{T}\" ok"), format!("close 1 \"{T}\"")]
    );
}

/// The odd corner of section 5.1: the join's ref is the channel's join_ref on the way out, and stale on the way in.
#[test]
fn a_join_without_join_ref_goes_by_its_ref_on_the_way_out() {
    let mut world = World::new();
    assert_eq!(world.text(&format!(r#"[null,"7","{T}","phx_join",{{}}]"#)), [format!("join #0 {T} \"7\"")]);
    assert_eq!(world.confirm(0), [format!("reply null \"7\" \"{T}\" ok")]);
    assert_eq!(world.text(&format!(r#"["7","8","{T}","publish",["e",{{}}]]"#)), Vec::<String>::new());
    assert_eq!(world.text(&format!(r#"[null,"8","{T}","publish",["e",{{}}]]"#)), [r#"publish #0 "8" e {}"#]);
    assert_eq!(world.answer(0, "8", Ok(42)), [format!("reply \"7\" \"8\" \"{T}\" ok")]);
    assert_eq!(
        world.text(&format!(r#"[null,"9","{T}","phx_leave",{{}}]"#)),
        ["leave #0".to_owned(), format!("reply \"7\" \"9\" \"{T}\" ok"), format!("close null \"{T}\"")]
    );
}

#[test]
fn binary_pushes_publish_their_bytes_under_their_own_event() {
    let mut world = World::joined();
    assert_eq!(world.binary(["1", "2", T, "bin"], b"\x01x"), ["publish #0 \"2\" bin \u{1}x"]);
    assert_eq!(
        world.binary(["1", "3", T, "publish"], b""),
        [r#"publish #0 "3" publish "#],
        "zero bytes are bytes"
    );
    for (event, reason) in [
        ("", "InvalidEvent"),
        ("phx_close", "ReservedEvent"),
        ("position", "ReservedEvent"),
        ("presence_diff", "ReservedEvent"),
    ] {
        assert_eq!(
            world.binary(["1", "4", T, event], b"x"),
            [format!("reply \"1\" \"4\" \"{T}\" publish error {reason}")]
        );
    }
}

#[test]
fn binary_refs_are_compared_as_text_and_an_empty_one_is_stale() {
    // Stored join_ref, join_ref of the push, whether it is meant.
    for (stored, push, is_meant) in [
        ("\"1\"", "1", true),
        ("1", "1", true),
        ("\"1\"", "", false),
        ("1", "", false),
        ("\"1\"", "2", false),
        ("null", "", false),
        ("null", "2", false),
        ("\"\"", "", true),
    ] {
        let mut world = World::new();
        world.text(&format!(r#"[{stored},"2","{T}","phx_join",{{}}]"#));
        world.confirm(0);
        let lines = world.binary([push, "3", T, "bin"], b"x");
        assert_eq!(!lines.is_empty(), is_meant, "{stored} and {push:?}: {lines:?}");
    }
}

#[test]
fn a_binary_heartbeat_join_and_leave_are_what_they_say() {
    let mut world = World::new();
    assert_eq!(world.binary(["", "9", "phoenix", "heartbeat"], b""), [r#"reply null "9" "phoenix" ok"#]);
    assert_eq!(world.binary(["1", "1", T, "phx_join"], b""), [format!("join #0 {T} \"1\"")]);
    world.confirm(0);
    assert_eq!(world.binary(["1", "2", T, "phx_leave"], b"").len(), 3);
}

// What waits for a join.

#[test]
fn frames_behind_a_join_wait_for_it_and_then_go_in_order() {
    let mut world = World::new();
    world.text(&format!(r#"["1","1","{T}","phx_join",{{}}]"#));
    for reference in 2..5 {
        let frame = format!(r#"["1","{reference}","{T}","publish",["e{reference}",{{}}]]"#);
        assert_eq!(world.text(&frame), Vec::<String>::new());
    }
    assert_eq!(world.text(r#"[null,"h","phoenix","heartbeat",{}]"#).len(), 1, "not its topic");
    assert_eq!(world.text(r#"["o","o","other","phx_join",{}]"#), [r#"join #1 other "o""#]);
    assert_eq!(
        world.confirm(0),
        [
            format!("reply \"1\" \"1\" \"{T}\" ok"),
            r#"publish #0 "2" e2 {}"#.to_owned(),
            r#"publish #0 "3" e3 {}"#.to_owned(),
            r#"publish #0 "4" e4 {}"#.to_owned(),
        ]
    );
}

#[test]
fn frames_behind_a_join_that_fails_are_unmatched() {
    let mut world = World::new();
    world.text(&format!(r#"["1","1","{T}","phx_join",{{}}]"#));
    world.text(&format!(r#"["1","2","{T}","publish",["e",{{}}]]"#));
    world.text(&format!(r#"["1","3","{T}","phx_leave",{{}}]"#));
    world.text(&format!(r#"["4","4","{T}","phx_join",{{}}]"#));
    world.text(&format!(r#"["4","5","{T}","publish",["e",{{}}]]"#));
    assert_eq!(
        world.fail(0),
        [
            format!("reply \"1\" \"1\" \"{T}\" error OwnerUnreachable"),
            format!("reply null \"2\" \"{T}\" error UnmatchedTopic"),
            format!("reply \"1\" \"3\" \"{T}\" ok"),
            format!("join #1 {T} \"4\""),
        ]
    );
    assert_eq!(
        world.confirm(1),
        [format!("reply \"4\" \"4\" \"{T}\" ok"), r#"publish #1 "5" e {}"#.to_owned()]
    );
}

#[test]
fn a_leave_behind_a_join_comes_after_its_answer() {
    let mut world = World::new();
    world.text(&format!(r#"["1","1","{T}","phx_join",{{}}]"#));
    assert_eq!(world.text(&format!(r#"["1","2","{T}","phx_leave",{{}}]"#)), Vec::<String>::new());
    assert_eq!(
        world.confirm(0),
        [
            format!("reply \"1\" \"1\" \"{T}\" ok"),
            "leave #0".to_owned(),
            format!("reply \"1\" \"2\" \"{T}\" ok"),
            format!("close \"1\" \"{T}\""),
        ]
    );
}

#[test]
fn at_most_100_frames_wait() {
    let mut world = World::new();
    world.text(&format!(r#"["1","1","{T}","phx_join",{{}}]"#));
    for reference in 0..HELD_FRAMES {
        let frame = format!(r#"["1","p{reference}","{T}","publish",["e",{{}}]]"#);
        assert_eq!(world.text(&frame), Vec::<String>::new());
    }
    assert_eq!(
        world.text(&format!(r#"["1","over","{T}","publish",["e",{{}}]]"#)),
        [format!("reply \"1\" \"over\" \"{T}\" publish error Overloaded")]
    );
    assert_eq!(
        world.text(&format!(r#"["1","over","{T}","phx_leave",{{}}]"#)),
        [format!("reply \"1\" \"over\" \"{T}\" error Overloaded")]
    );
    assert_eq!(world.confirm(0).len(), 1 + HELD_FRAMES, "those that waited run");
}

#[test]
fn at_most_64_kib_wait() {
    let mut world = World::new();
    world.text(&format!(r#"["1","1","{T}","phx_join",{{}}]"#));
    let large = "x".repeat(30 * 1024);
    let frame = format!(r#"["1","2","{T}","publish",["e",{{"a":"{large}"}}]]"#);
    assert_eq!(world.text(&frame), Vec::<String>::new());
    assert_eq!(world.text(&frame), Vec::<String>::new());
    assert_eq!(world.text(&frame), [format!("reply \"1\" \"2\" \"{T}\" publish error Overloaded")]);
    assert_eq!(
        world.text(&format!(r#"["1","3","{T}","publish",["e",{{}}]]"#)),
        Vec::<String>::new(),
        "a small one has room"
    );
    assert_eq!(world.confirm(0).len(), 1 + 3);
    assert_eq!(world.channels.channels.get(ChannelId(0)).unwrap().held_bytes, 0, "the room is given back");
}

/// A client tells the answer to its join by the join_ref that it sent.
#[test]
fn a_join_that_finds_no_room_to_wait_is_answered_with_its_own_join_ref() {
    let mut world = World::new();
    world.text(&format!(r#"["1","1","{T}","phx_join",{{}}]"#));
    for _ in 0..HELD_FRAMES {
        world.text(&format!(r#"["1","2","{T}","publish",["e",{{}}]]"#));
    }
    assert_eq!(
        world.text(&format!(r#"["7","7","{T}","phx_join",{{}}]"#)),
        [format!("reply \"7\" \"7\" \"{T}\" error Overloaded")]
    );
}

// Positions.

#[test]
fn a_channel_that_asks_for_positions_gets_them_and_others_get_plain_frames() {
    let mut world = World::new();
    world.text(&format!(r#"["1","1","{T}","phx_join",{{"positions":true}}]"#));
    assert_eq!(world.confirm(0), [format!("reply \"1\" \"1\" \"{T}\" joined 7:41")]);
    world.text(&format!(r#"["1","2","{T}","publish",["e",{{}}]]"#));
    assert_eq!(world.answer(0, "2", Ok(42)), [format!("reply \"1\" \"2\" \"{T}\" offset 42")]);
    assert_eq!(world.lost(0, false), [format!("position \"1\" \"{T}\" 8:60")]);
    let mut world = World::joined();
    assert_eq!(world.lost(0, false), Vec::<String>::new());
}

#[test]
fn a_plain_channel_that_lost_messages_is_sent_to_rejoin_where_the_config_says_so() {
    let mut world = World::joined();
    assert_eq!(world.lost(0, true), ["leave #0".to_owned(), format!("fail \"1\" \"{T}\"")]);
    assert_eq!(world.text(&format!(r#"["2","2","{T}","phx_join",{{}}]"#)), [format!("join #1 {T} \"2\"")]);
}

/// What waits belongs to the topic, not to the channel: no join goes without an answer.
#[test]
fn frames_that_waited_when_the_channel_is_sent_to_rejoin_are_not_forgotten() {
    let mut world = World::joined();
    world.text(&format!(r#"["1","2","{T}","publish",["e",{{}}]]"#));
    world.text(&format!(r#"["1","3","{T}","phx_leave",{{}}]"#));
    world.text(&format!(r#"["4","4","{T}","phx_join",{{}}]"#));
    let lines = world.lost(0, true);
    assert!(lines.contains(&format!("reply \"1\" \"3\" \"{T}\" ok")), "{lines:?}");
    assert!(lines.contains(&format!("join #1 {T} \"4\"")), "{lines:?}");
}

#[test]
fn a_key_goes_with_its_publish_and_a_bad_one_is_refused() {
    let mut world = World::joined();
    assert_eq!(
        world.text(&format!(r#"["1","2","{T}","publish",["e",{{}},{{"key":"k"}}]]"#)),
        [r#"publish #0 "2" e {} key k"#]
    );
    for key in ["\"\"", "1", "null", &format!("\"{}\"", "x".repeat(65))] {
        assert_eq!(
            world.text(&format!(r#"["1","3","{T}","publish",["e",{{}},{{"key":{key}}}]]"#)),
            [format!("reply \"1\" \"3\" \"{T}\" publish error InvalidKey")]
        );
    }
}

// Anything in any order.

/// A session at random, with a hub that answers when it likes.
#[derive(Default)]
struct Walk {
    /// Channels with a place in the hub, and whether the hub has told them of it.
    places: BTreeMap<u32, bool>,
    left: BTreeSet<u32>,
    /// Publishes without an answer.
    publishes: Vec<(u32, Ref)>,
    /// Joins by their ref, each with its number of replies.
    joins: BTreeMap<String, usize>,
    /// Publishes of joined channels by their ref.
    answered: BTreeMap<String, usize>,
}

impl Walk {
    fn see(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Join { channel, .. } => {
                    assert_eq!(self.places.insert(channel.0, false), None, "an id is never used twice");
                    assert!(!self.left.contains(&channel.0));
                }
                Effect::Leave { channel } => {
                    assert!(self.places.remove(&channel.0).is_some(), "left without a place");
                    assert!(self.left.insert(channel.0), "left twice");
                }
                Effect::Publish { channel, reference, .. } => {
                    assert_eq!(self.places.get(&channel.0), Some(&true), "published before the join");
                    self.publishes.push((channel.0, reference));
                }
                Effect::Reply { reference, .. } => {
                    if let Ref::Text(reference) = reference {
                        if let Some(replies) = self.joins.get_mut(&*reference) {
                            *replies += 1;
                            assert_eq!(*replies, 1, "join {reference} answered twice");
                        } else {
                            *self.answered.entry(reference.into()).or_default() += 1;
                        }
                    }
                }
                Effect::Closed { .. } | Effect::Failed { .. } | Effect::Position { .. } => {}
            }
        }
    }

    /// The hub says something, if there is anything to say.
    fn hub(&mut self, random: &mut fastrand::Rng, channels: &mut Channels) {
        let mut effects = Vec::new();
        let waiting: Vec<u32> = self.places.iter().filter_map(|(id, told)| (!told).then_some(*id)).collect();
        match random.choice(&waiting) {
            Some(&id) if random.bool() => {
                if random.u8(..4) == 0 {
                    let held = channels.join_failed(ChannelId(id), Reason::OwnerUnreachable, &mut effects);
                    self.places.remove(&id);
                    self.left.insert(id);
                    for frame in held {
                        channels.receive(frame, is_open, &mut effects);
                    }
                } else {
                    self.places.insert(id, true);
                    channels.joined(ChannelId(id), POSITION, None, &mut effects);
                    channels.resume(ChannelId(id), is_open, &mut effects);
                }
            }
            _ if !self.publishes.is_empty() => {
                let (id, reference) = self.publishes.swap_remove(random.usize(..self.publishes.len()));
                let result = if random.bool() { Ok(42) } else { Err(Reason::Unanswered) };
                channels.answered(ChannelId(id), reference, result, &mut effects);
                channels.resume(ChannelId(id), is_open, &mut effects);
            }
            _ => {}
        }
        self.see(effects);
    }

    fn frame(&mut self, random: &mut fastrand::Rng, number: usize, channels: &mut Channels) {
        const TOPICS: [&str; 6] = ["\"a\"", "\"b\"", "\"c\"", "\"closed\"", "\"phoenix\"", "[1]"];
        const EVENTS: [&str; 8] = [
            "\"phx_join\"",
            "\"phx_join\"",
            "\"phx_leave\"",
            "\"publish\"",
            "\"publish\"",
            "\"foo\"",
            "\"heartbeat\"",
            "null",
        ];
        const PAYLOADS: [&str; 3] = ["{}", r#"["e",{}]"#, r#"["phx_close",{}]"#];
        const JOIN_REFS: [&str; 5] = ["null", "\"1\"", "\"2\"", "1", "\"\""];
        let topic = TOPICS[random.usize(..TOPICS.len())];
        let event = EVENTS[random.usize(..EVENTS.len())];
        let join_ref = JOIN_REFS[random.usize(..JOIN_REFS.len())];
        let payload = PAYLOADS[random.usize(..PAYLOADS.len())];
        let mut frame = read(&format!(r#"[{join_ref},"r{number}",{topic},{event},{payload}]"#));
        if random.u8(..8) == 0 {
            frame.payload = Payload::Binary(Bytes::from_static(b"bytes"));
        }
        if event == "\"phx_join\"" {
            self.joins.insert(format!("r{number}"), 0);
        }
        let mut effects = Vec::new();
        channels.receive(frame, is_open, &mut effects);
        self.see(effects);
    }

    fn check(&self, channels: &Channels) {
        let ids: BTreeSet<u32> = channels.ids().map(|id| id.0).collect();
        assert!(ids.iter().eq(self.places.keys()), "one place in the hub for each channel");
        assert_eq!(channels.by_topic.len(), channels.channels.len());
        for (topic, id) in &channels.by_topic {
            assert_eq!(&channels.channels.get(*id).unwrap().topic, topic);
        }
        for id in channels.channels.keys() {
            let channel = channels.channels.get(id).unwrap();
            assert_eq!(channel.joining.is_none(), self.places[&id.0]);
            let unanswered = self.publishes.iter().filter(|(of, _)| *of == id.0).count();
            assert_eq!(channel.unanswered, unanswered);
            let held: usize = channel.held.iter().map(Frame::size).sum();
            assert_eq!(channel.held_bytes, held);
            assert!(channel.held.len() <= HELD_FRAMES && held <= HELD_BYTES);
        }
    }
}

fn is_open(topic: &str) -> bool {
    topic != "closed"
}

#[test]
fn any_frames_and_answers_in_any_order_keep_the_rules() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut channels = Channels::new(Limits { channels: 2 });
        let mut walk = Walk::default();
        let patience = random.u8(1..8);
        for number in 0..300 {
            if random.u8(..8) < patience {
                walk.frame(&mut random, number, &mut channels);
            } else {
                walk.hub(&mut random, &mut channels);
            }
            walk.check(&channels);
        }
        while walk.places.values().any(|told| !told) || !walk.publishes.is_empty() {
            walk.hub(&mut random, &mut channels);
            walk.check(&channels);
        }
        for (join, replies) in &walk.joins {
            assert_eq!(*replies, 1, "join {join} of seed {seed}");
        }
        assert!(walk.answered.values().all(|replies| *replies == 1), "seed {seed}");
    }
}
