use serde_json::{Value, json};

use super::*;

fn read(version: Version, text: &str) -> Result<Frame, Malformed> {
    read_text(version, &Bytes::copy_from_slice(text.as_bytes()))
}

fn v1(text: &str) -> Result<Frame, Malformed> {
    read(Version::V1, text)
}

fn v2(text: &str) -> Result<Frame, Malformed> {
    read(Version::V2, text)
}

fn text(text: &str) -> Ref {
    Ref::Text(text.into())
}

fn name(text: &str) -> Name {
    Name::Text(text.into())
}

fn payload(frame: &Frame) -> &[u8] {
    match &frame.payload {
        Payload::Json(bytes) | Payload::Binary(bytes) => bytes,
    }
}

fn binary(kind: u8, fields: [&[u8]; 4], payload: &[u8]) -> Bytes {
    let mut frame = vec![kind];
    frame.extend(fields.iter().map(|field| field.len() as u8));
    frame.extend(fields.concat());
    frame.extend(payload);
    frame.into()
}

#[test]
fn a_version_2_frame_is_an_array_of_five() {
    let frame = v2(r#"["1","2","topics:matrix","publish",["event",{"m":1}]]"#).expect("a frame");
    let expected = Frame {
        join_ref: text("1"),
        reference: text("2"),
        topic: name("topics:matrix"),
        event: name("publish"),
        payload: Payload::Json(Bytes::from_static(br#"["event",{"m":1}]"#)),
    };
    assert_eq!(frame, expected);
}

#[test]
fn more_elements_are_ignored_whatever_they_are() {
    let five = v2(r#"["1","1","t","e",{}]"#);
    assert!(five.is_ok());
    assert_eq!(v2(r#"["1","1","t","e",{},"extra",42]"#), five);
    assert_eq!(v2(r#"["1","1","t","e",{},[[{"a":null}]],1e999,"\u0000"]"#), five);
    assert_eq!(v2(r#"["1","1","t","e",{},]"#), Err(Malformed));
    assert_eq!(v2(r#"["1","1","t","e",{},nonsense]"#), Err(Malformed));
}

#[test]
fn whatever_is_no_array_of_five_is_malformed_in_version_2() {
    for input in [
        "",
        " ",
        "not json",
        "null",
        "1",
        r#""text""#,
        "{}",
        r#"{"topic":"t","event":"e","payload":{},"ref":"1"}"#,
        "[]",
        r#"["1","1","t","phx_join"]"#,
        r#"["1","1","t","e",{}"#,
        r#"["1","1","t","e",{}]]"#,
        r#"["1","1","t","e",{}] x"#,
        r#"["1","1","t","e",{}][]"#,
        r#"['1',"1","t","e",{}]"#,
        r#"["1","1","t","e",{a:1}]"#,
        r#"["1","1","t","e",01]"#,
        "[\"1\",\"1\",\"t\",\"e\",\"\n\"]",
        "\u{feff}[\"1\",\"1\",\"t\",\"e\",{}]",
    ] {
        assert_eq!(v2(input), Err(Malformed), "{input:?}");
    }
    let not_utf8 = Bytes::from_static(b"[\"1\",\"1\",\"\xff\",\"e\",{}]");
    assert_eq!(read_text(Version::V2, &not_utf8), Err(Malformed));
}

#[test]
fn whitespace_between_the_parts_means_nothing() {
    let frame = v2(" \t\r\n[ \"1\" ,\n\"2\" , \"t\" ,\"e\" , { \"a\" : 1 } ]\r\n ").expect("a frame");
    assert_eq!(payload(&frame), br#"{ "a" : 1 }"#, "as it came");
    let frame =
        v1(" {\n\"topic\" : \"t\", \"event\":\"e\" ,\"payload\": [ ] ,\"ref\" :\"1\" } ").expect("a frame");
    assert_eq!(payload(&frame), b"[ ]");
}

#[test]
fn a_version_1_frame_is_an_object_with_four_keys_and_maybe_a_join_ref() {
    let frame = v1(r#"{"topic":"t","event":"phx_join","payload":{},"ref":"1"}"#).expect("a frame");
    assert_eq!((frame.join_ref, frame.reference), (Ref::Null, text("1")));
    let frame = v1(r#"{"join_ref":"7","ref":null,"payload":1,"event":"e","topic":"t","more":[{}]}"#);
    let frame = frame.expect("a frame");
    assert_eq!((frame.join_ref, frame.reference), (text("7"), Ref::Null));
}

#[test]
fn every_key_of_version_1_must_be_there_but_join_ref() {
    let keys = [r#""topic":"t""#, r#""event":"e""#, r#""payload":{}"#, r#""ref":"1""#];
    assert!(v1(&format!("{{{}}}", keys.join(","))).is_ok());
    for missing in 0..keys.len() {
        let mut rest = keys.to_vec();
        rest.remove(missing);
        assert_eq!(v1(&format!("{{{}}}", rest.join(","))), Err(Malformed), "without {}", keys[missing]);
    }
    for input in ["[]", r#"["1","1","t","e",{}]"#, "{}", "null", "", r#"{"topic":"t",}"#] {
        assert_eq!(v1(input), Err(Malformed), "{input:?}");
    }
}

#[test]
fn of_equal_keys_the_last_counts() {
    let frame = v1(r#"{"topic":"a","ref":"1","topic":"b","event":"e","payload":1,"payload":2,"ref":"2"}"#);
    let frame = frame.expect("a frame");
    assert_eq!((&frame.topic, &frame.reference), (&name("b"), &text("2")));
    assert_eq!(payload(&frame), b"2");
}

#[test]
fn a_key_may_be_written_with_escapes() {
    let frame = v1(r#"{"\u0074opic":"t","event":"e","payload":{},"re\u0066":"1"}"#).expect("a frame");
    assert_eq!((frame.topic, frame.reference), (name("t"), text("1")));
}

#[test]
fn refs_are_null_strings_or_numbers_and_nothing_else() {
    let frame = v2(r#"[null,null,"phoenix","heartbeat",null]"#).expect("a frame");
    assert_eq!((&frame.join_ref, &frame.reference), (&Ref::Null, &Ref::Null));
    for bad in ["true", "false", "[]", "{}", "[1]", r#"{"a":1}"#] {
        assert_eq!(v2(&format!(r#"[{bad},"1","t","e",{{}}]"#)), Err(Malformed), "{bad}");
        assert_eq!(v2(&format!(r#"["1",{bad},"t","e",{{}}]"#)), Err(Malformed), "{bad}");
        let in_version_1 = format!(r#"{{"topic":"t","event":"e","payload":{{}},"ref":{bad}}}"#);
        assert_eq!(v1(&in_version_1), Err(Malformed), "{bad}");
    }
}

#[test]
fn numbers_keep_their_literal_text() {
    for literal in ["0", "1", "-0", "1.0", "1.50", "1e2", "1E+2", "12345678901234567890123", "1e999"] {
        let frame = v2(&format!(r#"[{literal},{literal},"t","e",{{}}]"#)).expect("a frame");
        assert_eq!(frame.join_ref, Ref::Number(literal.into()));
        let reply = write_reply(Version::V2, &frame.join_ref, &frame.reference, &frame.topic, true, b"{}");
        let start = format!(r#"[{literal},{literal},"t","phx_reply","#);
        assert!(reply.starts_with(start.as_bytes()), "{literal}");
    }
    assert_ne!(Ref::Number("1".into()), text("1"));
}

#[test]
fn a_ref_has_at_most_255_bytes() {
    let fits = "x".repeat(255);
    let frame = v2(&format!(r#"["{fits}","{fits}","t","e",{{}}]"#)).expect("a frame");
    assert_eq!((&frame.join_ref, &frame.reference), (&text(&fits), &text(&fits)));
    let long = "x".repeat(256);
    assert_eq!(v2(&format!(r#"["{long}","1","t","e",{{}}]"#)), Err(Malformed));
    assert_eq!(v2(&format!(r#"["1","{long}","t","e",{{}}]"#)), Err(Malformed));
    // Bytes of the string, not of its spelling; and bytes, not characters.
    assert!(v2(&format!(r#"["{}","1","t","e",{{}}]"#, "\\u0041".repeat(255))).is_ok());
    assert_eq!(v2(&format!(r#"["{}","1","t","e",{{}}]"#, "\u{fc}".repeat(128))), Err(Malformed));
    assert!(v2(&format!(r#"["{}","1","t","e",{{}}]"#, "1".repeat(128))).is_ok());
}

#[test]
fn escapes_are_undone_in_names_and_kept_in_payloads() {
    let frame = v2(r#"["\u0031","\"","a\/b\n\u00fc","\ud83d\ude00",{"\u0061":"\n"}]"#).expect("a frame");
    assert_eq!((&frame.join_ref, &frame.reference), (&text("1"), &text("\"")));
    assert_eq!((&frame.topic, &frame.event), (&name("a/b\n\u{fc}"), &name("\u{1f600}")));
    assert_eq!(payload(&frame), br#"{"\u0061":"\n"}"#);
}

#[test]
fn a_lone_surrogate_is_malformed_wherever_it_stands() {
    for lone in [
        r"\ud800",
        r"\udc00",
        r"\ud800x",
        r"x\udbff",
        r"\ud800\n",
        r"\ud800\\udc00",
        r"\ud800\ud800\udc00",
        r"\ud800\u0041",
        r"\udc00\ud800",
        r"\ud83d\ude00\ud83d",
        r"\\\ud800",
    ] {
        for frame in [
            format!(r#"["{lone}","1","t","e",{{}}]"#),
            format!(r#"["1","{lone}","t","e",{{}}]"#),
            format!(r#"["1","1","{lone}","e",{{}}]"#),
            format!(r#"["1","1","t","{lone}",{{}}]"#),
            format!(r#"["1","1","t","e","{lone}"]"#),
            format!(r#"["1","1","t","e",{{"{lone}":1}}]"#),
            format!(r#"["1","1","t","e",[{{"a":["x","{lone}"]}}]]"#),
            format!(r#"["1","1","t","e",["{lone}","\udc00"]]"#),
        ] {
            assert_eq!(v2(&frame), Err(Malformed), "{frame}");
        }
        let frame = format!(r#"{{"topic":"t","event":"e","ref":"1","payload":{{"a":"{lone}"}}}}"#);
        assert_eq!(v1(&frame), Err(Malformed), "{frame}");
    }
    for fine in [
        r"\ud83d\ude00",
        r"\uD83D\uDE00",
        r"\ud83d\ude00\ud83d\ude00",
        r"\\ud800",
        r"\\\\udc00",
        r"\ud7ff\ue000",
        r"\u0000\n\ud800\udc00x",
    ] {
        let frame = format!(r#"["1","1","t","e",{{"a":"{fine}"}}]"#);
        assert!(v2(&frame).is_ok(), "{frame}");
    }
}

/// A topic that is no string is echoed as it came, and must be readable there.
#[test]
fn a_lone_surrogate_in_a_topic_that_is_no_string_is_malformed() {
    assert_eq!(v2(r#"["1","1",["\ud800"],"e",{}]"#), Err(Malformed));
    assert_eq!(v1(r#"{"topic":{"a":"\udc00"},"event":"e","ref":"1","payload":{}}"#), Err(Malformed));
}

#[test]
fn a_topic_or_event_that_is_no_string_is_kept_for_the_echo() {
    let frame = v2(r#"["1","1",{"a": [1]},17,{}]"#).expect("a frame");
    assert_eq!((frame.topic.text(), frame.event.text()), (None, None));
    let reply = write_reply(Version::V2, &Ref::Null, &frame.reference, &frame.topic, false, b"{}");
    assert_eq!(reply, br#"[null,"1",{"a": [1]},"phx_reply",{"status":"error","response":{}}]"#);
}

#[test]
fn the_payload_shares_the_bytes_of_its_frame() {
    let frames = [
        (Version::V2, r#"["1","1","t","e",{"a":"payload"}]"#),
        (Version::V1, r#"{"topic":"t","event":"e","payload":{"a":"payload"},"ref":"1"}"#),
    ];
    for (version, frame) in frames {
        let bytes = Bytes::copy_from_slice(frame.as_bytes());
        let read = read_text(version, &bytes).expect("a frame");
        assert!(bytes.as_ptr_range().contains(&payload(&read).as_ptr()));
    }
    let bytes = binary(0, [b"1", b"2", b"t", b"e"], b"payload");
    let read = read_binary(&bytes).expect("a frame");
    assert!(bytes.as_ptr_range().contains(&payload(&read).as_ptr()));
}

#[test]
fn binary_frames_have_four_lengths_and_then_their_fields() {
    let bytes = Bytes::from_static(b"\x00\x01\x01\x0d\x0358topics:matrixbin\x01\x02\x03");
    let expected = Frame {
        join_ref: text("5"),
        reference: text("8"),
        topic: name("topics:matrix"),
        event: name("bin"),
        payload: Payload::Binary(Bytes::from_static(b"\x01\x02\x03")),
    };
    assert_eq!(read_binary(&bytes), Ok(expected));
    let empty = read_binary(&binary(0, [b""; 4], b"")).expect("a frame");
    assert_eq!((&empty.join_ref, &empty.reference), (&text(""), &text("")));
    let full = [b'x'; 255];
    let frame = read_binary(&binary(0, [&full; 4], b"p")).expect("a frame");
    assert_eq!(payload(&frame), b"p");
}

#[test]
fn binary_frames_of_other_kinds_or_beyond_their_end_are_malformed() {
    for kind in 1..=255 {
        assert_eq!(read_binary(&binary(kind, [b"1", b"1", b"t", b"e"], b"")), Err(Malformed), "kind {kind}");
    }
    let whole = binary(0, [b"1", b"2", b"topic", b"event"], b"");
    for length in 0..whole.len() {
        assert_eq!(read_binary(&whole.slice(..length)), Err(Malformed), "{length} bytes");
    }
    assert!(read_binary(&whole).is_ok());
    for field in 0..4 {
        let mut fields: [&[u8]; 4] = [b"a"; 4];
        fields[field] = b"\xc3";
        assert_eq!(read_binary(&binary(0, fields, b"")), Err(Malformed), "field {field}");
    }
    let json = Bytes::from_static(br#"["1","1","t","phx_join",{}]"#);
    assert_eq!(read_binary(&json), Err(Malformed));
}

#[test]
fn replies_are_read_back_as_they_were_meant() {
    let refs = [Ref::Null, text("1"), text("\"\\\n\u{7f}\u{1f600}"), Ref::Number("17".into())];
    let shown = [json!(null), json!("1"), json!("\"\\\n\u{7f}\u{1f600}"), json!(17)];
    for (join_ref, shown_join) in refs.iter().zip(&shown) {
        for (reference, shown_ref) in refs.iter().zip(&shown) {
            for (ok, status) in [(true, "ok"), (false, "error")] {
                let topic = name("a \"topic\"\u{0}");
                let response = br#"{"reason":"r"}"#;
                let payload = json!({"status": status, "response": {"reason": "r"}});
                let reply = write_reply(Version::V2, join_ref, reference, &topic, ok, response);
                let reply: Value = serde_json::from_slice(&reply).expect("JSON");
                let expected = json!([shown_join, shown_ref, "a \"topic\"\u{0}", "phx_reply", payload]);
                assert_eq!(reply, expected);
                let reply = write_reply(Version::V1, join_ref, reference, &topic, ok, response);
                let reply: Value = serde_json::from_slice(&reply).expect("JSON");
                let expected = json!({
                    "topic": "a \"topic\"\u{0}", "event": "phx_reply", "payload": payload, "ref": shown_ref,
                });
                assert_eq!(reply, expected, "version 1 never sends a join_ref");
            }
        }
    }
}

#[test]
fn a_ref_is_its_text_in_binary_and_null_is_empty() {
    assert_eq!(Ref::Null.binary(), b"");
    assert_eq!(text("7").binary(), b"7");
    assert_eq!(Ref::Number("7".into()).binary(), b"7");
}

// Any bytes.

/// Inputs of each kind.
const INPUTS: usize = 1_000_000;

const PARTS: [&str; 36] = [
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "true",
    "1",
    "-1.5e3",
    "1e999",
    "\"1\"",
    "\"topics:matrix\"",
    "\"phx_join\"",
    "\"publish\"",
    "\"topic\":",
    "\"event\":",
    "\"payload\":",
    "\"ref\":",
    "\"join_ref\":",
    "{}",
    "[]",
    "[\"event\",{\"m\":1}]",
    "\"\\u0041\"",
    "\\ud83d\\ude00",
    "\\ud800",
    "\\udc00",
    "\\n",
    " ",
    "\u{0}",
    "\u{fc}",
    "\u{1f600}",
    "[\"\\ud800\"]",
    "{\"a\":[]}",
];

const SEEDS_V2: [&str; 4] = [
    r#"["1","2","topics:matrix","publish",["event",{"m":1}]]"#,
    r#"[null,7,"\ud83d\ude00","heartbeat",{"a":"\\"}]"#,
    r#"["1",2,{"a":[1]},null,"x","extra",{}]"#,
    r#"[1,"2","t","e",null]"#,
];

const SEEDS_V1: [&str; 3] = [
    r#"{"topic":"t","event":"phx_join","payload":{},"ref":"1"}"#,
    r#"{"join_ref":1,"topic":["t"],"event":"e","payload":"\ud83d\ude00","ref":null}"#,
    r#"{"topic":"t","x":1,"topic":"u","event":"e","payload":[],"ref":2}"#,
];

/// Some text: a good frame with a few changes, or parts in any order, or a frame of parts.
fn any_text(random: &mut fastrand::Rng, version: Version, into: &mut Vec<u8>) {
    into.clear();
    let seeds: &[&str] = match version {
        Version::V1 => &SEEDS_V1,
        Version::V2 => &SEEDS_V2,
    };
    match random.u8(..8) {
        0 => {
            for _ in 0..random.usize(..12) {
                into.extend_from_slice(PARTS[random.usize(..PARTS.len())].as_bytes());
            }
        }
        1..4 => {
            // Values where values belong.
            let value = |random: &mut fastrand::Rng, into: &mut Vec<u8>| {
                if random.bool() {
                    into.push(b'"');
                    into.extend_from_slice(PARTS[random.usize(25..34)].trim_matches('"').as_bytes());
                    into.push(b'"');
                } else {
                    into.extend_from_slice(PARTS[random.usize(8..17)].as_bytes());
                }
            };
            match version {
                Version::V2 => {
                    into.push(b'[');
                    for _ in 0..random.usize(4..7) {
                        value(random, into);
                        into.push(b',');
                    }
                    into.pop();
                    into.push(b']');
                }
                Version::V1 => {
                    into.push(b'{');
                    for key in &PARTS[17..22] {
                        into.extend_from_slice(key.as_bytes());
                        value(random, into);
                        into.push(b',');
                    }
                    into.pop();
                    into.push(b'}');
                }
            }
        }
        _ => {
            into.extend_from_slice(seeds[random.usize(..seeds.len())].as_bytes());
            for _ in 0..random.usize(1..4) {
                mutate(random, into);
            }
        }
    }
}

fn mutate(random: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = random.usize(..bytes.len());
    match random.u8(..5) {
        0 => bytes[at] = random.u8(..),
        1 => bytes[at] ^= 1 << random.u8(..8),
        2 => {
            bytes.remove(at);
        }
        3 => {
            let part = PARTS[random.usize(..PARTS.len())].bytes();
            bytes.splice(at..at, part);
        }
        _ => bytes.truncate(at),
    }
}

/// Whether a strict reader takes it. A number too large for a machine is JSON all the same.
fn is_json(bytes: &[u8]) -> bool {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(_) => true,
        Err(error) => error.to_string().starts_with("number out of range"),
    }
}

fn any_text_is_read_or_refused(version: Version, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut input = Vec::new();
    let mut frames = 0;
    for _ in 0..INPUTS {
        any_text(&mut random, version, &mut input);
        let bytes = Bytes::copy_from_slice(&input);
        let Ok(frame) = read_text(version, &bytes) else {
            continue;
        };
        frames += 1;
        let payload = payload(&frame);
        assert!(!payload.is_empty() && bytes.as_ptr_range().contains(&payload.as_ptr()));
        let reply = write_reply(version, &frame.join_ref, &frame.reference, &frame.topic, false, payload);
        assert!(
            is_json(&reply),
            "{:?} is answered by {:?}",
            String::from_utf8_lossy(&input),
            String::from_utf8_lossy(&reply)
        );
    }
    assert!(frames > INPUTS / 20, "only {frames} of the inputs were frames");
}

#[test]
fn any_text_is_read_or_refused_in_version_1() {
    any_text_is_read_or_refused(Version::V1, 1);
}

#[test]
fn any_text_is_read_or_refused_in_version_2() {
    any_text_is_read_or_refused(Version::V2, 2);
}

#[test]
fn any_bytes_are_read_or_refused_as_a_binary_frame() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut input = Vec::new();
    let mut frames = 0;
    for _ in 0..INPUTS {
        input.clear();
        if random.u8(..4) == 0 {
            let length = random.usize(..40);
            input.extend(std::iter::repeat_with(|| random.u8(..)).take(length));
        } else {
            input.push(u8::from(random.u8(..10) == 0));
            input.extend(std::iter::repeat_with(|| random.u8(..8)).take(4));
            let length = random.usize(..40);
            input.extend(std::iter::repeat_with(|| random.u8(b' '..0x7f)).take(length));
            if random.u8(..4) == 0 {
                mutate(&mut random, &mut input);
            }
        }
        let bytes = Bytes::copy_from_slice(&input);
        let Ok(frame) = read_binary(&bytes) else { continue };
        frames += 1;
        let fields = [frame.join_ref.binary(), frame.reference.binary()];
        let names = [&frame.topic, &frame.event].map(|name| name.text().expect("a string").as_bytes());
        let parts = [&[0], &input[1..5], fields[0], fields[1], names[0], names[1], payload(&frame)];
        assert_eq!(parts.concat(), input, "every byte is in its place");
        if frames % 16 == 0 {
            let reply =
                write_reply(Version::V2, &frame.join_ref, &frame.reference, &frame.topic, true, b"{}");
            assert!(is_json(&reply), "{input:?}");
        }
    }
    assert!(frames > INPUTS / 20, "only {frames} of the inputs were frames");
}
