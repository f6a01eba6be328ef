//! Frames as data: a transcript is what clients send and what must come back, in order, and nothing else. When it
//! fails, it prints itself up to the line that failed.
//!
//! ```text
//! A opens ?vsn=1.0.0        another query than ?vsn=2.0.0; a client that is not opened opens with its first line
//! A > FRAME                 sends text
//! A + FRAME                 the same, in one packet with the next
//! A < FRAME                 this text comes next, compared as JSON
//! A = FRAME                 this text comes next, to the byte
//! A >b 00 01 "abc"          sends a binary frame of hexadecimal bytes and text; >t as a text frame
//! A <b 00 01 "abc"          this binary frame comes next
//! A ping                    a ping, and its pong comes next
//! A silent                  a heartbeat, and its reply comes next
//! A closed 1011             the server closes with this code, and the connection ends
//! ```
//!
//! In frames, `$T` is `"topics:matrix"`, `$ok` a good reply's payload, `$UT` that of an unmatched topic, `$error(x)`
//! one with a reason, `$refused(x)` a publish that was not done and need not be tried again, `$later(x)` one that may
//! be tried again. Clients that are open at the end must be silent then.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;

use serde_json::Value;

use super::client::{Client, Got};
use super::cluster::Cluster;

/// One test per transcript, each on a gateway and a topic server of its own.
macro_rules! transcripts {
    ($($(#[$doc:meta])* $name:ident: $text:expr;)*) => {
        $(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                $crate::harness::transcript::play($text).await;
            }
        )*
    };
}
pub(crate) use transcripts;

/// Plays it on one gateway and one topic server.
pub(crate) async fn play(text: &str) {
    let cluster = Cluster::start(1, 1).await;
    play_on(&cluster, text).await;
}

/// Plays it with client A on the first gateway, B on the second, and so on around.
pub(crate) async fn play_on(cluster: &Cluster, text: &str) {
    let mut play = Play::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let _ = writeln!(play.shown, "  {line}");
        let (name, step) = line.split_once(' ').expect("a client and a step");
        let index = usize::from(name.as_bytes()[0] - b'A') % cluster.gateways.len();
        let address = cluster.gateways[index].address;
        if let Err(why) = play.step(name, step.trim(), address).await {
            panic!("the transcript failed at its last line\n{}{why}", play.shown);
        }
    }
    let names: Vec<String> = play.clients.keys().cloned().collect();
    for name in names {
        let _ = writeln!(play.shown, "  {name} silent at the end");
        if let Err(why) = play.step(&name, "silent", ([0, 0, 0, 0], 0).into()).await {
            panic!("the transcript failed at its last line\n{}{why}", play.shown);
        }
    }
}

#[derive(Default)]
struct Play {
    clients: BTreeMap<String, Client>,
    shown: String,
}

impl Play {
    async fn step(&mut self, name: &str, step: &str, address: SocketAddr) -> Result<(), String> {
        let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
        if verb == "opens" {
            let client = Client::open(address, rest, None).await;
            self.clients.insert(name.to_owned(), client);
            return Ok(());
        }
        if !self.clients.contains_key(name) {
            self.clients.insert(name.to_owned(), Client::connect(address).await);
        }
        let client = self.clients.get_mut(name).expect("has been put there");
        match verb {
            ">" => client.send(spelled_out(rest)).await,
            "+" => client.feed(spelled_out(rest)).await,
            ">b" => client.send_binary(bytes(rest)).await,
            ">t" => client.send_as_text(bytes(rest)).await,
            "<" => {
                let wanted: Value = serde_json::from_str(&spelled_out(rest)).expect("JSON in the transcript");
                same(client.next().await, Got::Text(wanted))?;
            }
            "=" => {
                let got = client.next().await;
                if client.raw != spelled_out(rest) {
                    return Err(format!("got {got:?}, as text {}", client.raw));
                }
            }
            "<b" => same(client.next().await, Got::Binary(bytes(rest)))?,
            "ping" => {
                client.ping(b"ping").await;
                same(client.next().await, Got::Pong(b"ping".to_vec()))?;
            }
            "silent" => {
                let heartbeat = match client.version {
                    2 => r#"[null,"silent?","phoenix","heartbeat",{}]"#,
                    _ => r#"{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"silent?"}"#,
                };
                client.send(heartbeat).await;
                let got = client.next().await;
                let is_answer = matches!(&got, Got::Text(frame) if answers_heartbeat(frame));
                if !is_answer {
                    return Err(format!("not silent: {got:?}"));
                }
            }
            "closed" => {
                let got = client.next().await;
                if !matches!(&got, Got::Close(code, _) if code.to_string() == rest) {
                    return Err(format!("not closed so: {got:?}"));
                }
                let end = client.next().await;
                if !matches!(end, Got::End(_)) {
                    return Err(format!("after the close came {end:?}"));
                }
                self.clients.remove(name);
            }
            _ => panic!("no such step: {verb}"),
        }
        Ok(())
    }
}

/// In both versions.
fn answers_heartbeat(frame: &Value) -> bool {
    let (event, reference) = match frame {
        Value::Array(frame) => (&frame[3], &frame[1]),
        frame => (&frame["event"], &frame["ref"]),
    };
    event == "phx_reply" && reference == "silent?"
}

fn same(got: Got, wanted: Got) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("    got    {got:?}\n    wanted {wanted:?}")) }
}

/// Without the short forms.
fn spelled_out(text: &str) -> String {
    let mut text = text
        .replace("$T", r#""topics:matrix""#)
        .replace("$ok", r#"{"status":"ok","response":{}}"#)
        .replace("$UT", "$error(unmatched topic)");
    for (word, more) in [
        ("$error(", ""),
        ("$refused(", r#","outcome":"not_published","retry":false"#),
        ("$later(", r#","outcome":"not_published","retry":true"#),
    ] {
        while let Some(at) = text.find(word) {
            let end = at + text[at..].find(')').expect("a closing parenthesis");
            let reason = &text[at + word.len()..end];
            let payload = format!(r#"{{"status":"error","response":{{"reason":"{reason}"{more}}}}}"#);
            text.replace_range(at..=end, &payload);
        }
    }
    text
}

/// Hexadecimal bytes, and text in quotes.
fn bytes(spec: &str) -> Vec<u8> {
    let mut all = Vec::new();
    for (index, part) in spec.split('"').enumerate() {
        if index % 2 == 1 {
            all.extend_from_slice(part.as_bytes());
        } else {
            all.extend(part.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("a byte")));
        }
    }
    all
}
