//! Frames with positions, resumes and keys, written and read. Pure.

use serde_json::{Value, json};

use super::judge::{Position, Standing};
use crate::frame::{EVENT, Payload, parse_digits, shortened};

/// One join of one topic, as its frames name it. Every join has a `join_ref` that no other join of the run has,
/// so that a mix-up shows.
#[derive(Debug)]
pub(super) struct Line {
    join_ref: String,
    topic: String,
    quoted: String,
    event_head: String,
    event_mid: String,
}

/// What a received frame means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// An undamaged payload of this topic: its offset and its publish.
    Event {
        offset: u64,
        number: u64,
    },
    /// The reply to a sending of a publish.
    Answer {
        number: u64,
        answer: Answer,
    },
    /// The reply to the join; the reason if it was refused.
    Joined(Result<Standing, String>),
    /// A loss, told by the event `position`.
    Notice(Standing),
    Heartbeat,
    /// The server ended the channel; the frame.
    Ended(String),
    /// Nothing that this channel may receive; the frame, shortened.
    Strange(String),
}

/// A publish's reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Ok(Option<u64>),
    Refused { reason: String, unknown: bool, retry: bool },
}

impl Line {
    /// The channel of the join `attempt` of connection `number`.
    pub(super) fn new(number: usize, attempt: u64, topic: &str) -> Self {
        let join_ref = format!("j{number}.{attempt}");
        let quoted = Value::from(topic).to_string();
        Self {
            topic: topic.to_owned(),
            event_head: format!(r#"["{join_ref}","#),
            event_mid: format!(r#",{quoted},"{EVENT}","#),
            join_ref,
            quoted,
        }
    }

    /// The frame that joins; after a position, if there is one.
    pub(super) fn join(&self, after: Option<&Position>) -> String {
        let Self { join_ref, quoted, .. } = self;
        let wanted = match after {
            None => json!({"positions": true}),
            Some(Position { epoch, offset }) => json!({"resume": {"epoch": epoch, "offset": offset}}),
        };
        format!(r#"["{join_ref}","{join_ref}",{quoted},"phx_join",{wanted}]"#)
    }

    /// The frame that publishes; the sending's number makes the `ref` its own.
    pub(super) fn publish(&self, number: u64, sending: u32, payload: &str, key: Option<&str>) -> String {
        let Self { join_ref, quoted, .. } = self;
        let key = key.map_or(String::new(), |key| format!(",{}", json!({"key": key})));
        format!(r#"["{join_ref}","p{number}.{sending}",{quoted},"publish",["{EVENT}",{payload}{key}]]"#)
    }

    /// What a received frame means on this channel.
    pub(super) fn read(&self, payload: &Payload, frame: &str) -> Heard {
        self.read_event(payload, frame)
            .or_else(|| self.read_slowly(payload, frame))
            .unwrap_or_else(|| Heard::Strange(shortened(frame.as_bytes())))
    }

    /// An event as the gateway writes it, without parsing JSON.
    fn read_event(&self, payload: &Payload, frame: &str) -> Option<Heard> {
        let rest = frame.strip_prefix(&self.event_head)?;
        let (offset, rest) = rest.split_at(rest.find(',')?);
        let offset = parse_digits(offset.as_bytes())?;
        let body = rest.strip_prefix(&self.event_mid)?.strip_suffix(']')?;
        let number = payload.sequence(body.as_bytes())?;
        Some(Heard::Event { offset, number })
    }

    fn read_slowly(&self, payload: &Payload, frame: &str) -> Option<Heard> {
        let parts: [Value; 5] = serde_json::from_str::<Vec<Value>>(frame).ok()?.try_into().ok()?;
        let [join_ref, reference, topic, event, body] = parts;
        let (topic, event) = (topic.as_str()?, event.as_str()?);
        if topic == "phoenix" && event == "phx_reply" {
            return Some(Heard::Heartbeat);
        }
        let ours = join_ref.as_str() == Some(&self.join_ref);
        // Errors about a topic that is not joined have no join_ref.
        if topic != self.topic || !(ours || join_ref.is_null() && event == "phx_reply") {
            return None;
        }
        match event {
            EVENT => {
                Some(Heard::Event { offset: reference.as_u64()?, number: payload.sequence_of_value(&body)? })
            }
            "position" => standing(&body).map(Heard::Notice),
            "phx_close" | "phx_error" => Some(Heard::Ended(shortened(frame.as_bytes()))),
            "phx_reply" => {
                let ok = body.get("status")?.as_str()? == "ok";
                let response = body.get("response")?;
                let reference = reference.as_str()?;
                if reference == self.join_ref {
                    return Some(Heard::Joined(match ok {
                        true => Ok(standing(response)?),
                        false => Err(reason(response)),
                    }));
                }
                let (number, _) = reference.strip_prefix('p')?.split_once('.')?;
                let answer = match ok {
                    true => Answer::Ok(response.get("offset").and_then(Value::as_u64)),
                    false => Answer::Refused {
                        reason: reason(response),
                        unknown: response.get("outcome").and_then(Value::as_str) != Some("not_published"),
                        retry: response.get("retry").and_then(Value::as_bool) == Some(true),
                    },
                };
                Some(Heard::Answer { number: parse_digits(number.as_bytes())?, answer })
            }
            _ => None,
        }
    }
}

fn standing(body: &Value) -> Option<Standing> {
    Some(Standing {
        position: Position {
            epoch: body.get("epoch")?.as_str()?.to_owned(),
            offset: body.get("offset")?.as_u64()?,
        },
        recovered: body.get("recovered").and_then(Value::as_bool),
    })
}

fn reason(response: &Value) -> String {
    match response.get("reason").and_then(Value::as_str) {
        Some(reason) => reason.to_owned(),
        None => shortened(response.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> (Line, Payload) {
        (Line::new(7, 2, "t\"x"), Payload::new(1, 60))
    }

    fn heard(frame: &str) -> Heard {
        let (line, payload) = line();
        line.read(&payload, &frame.replace('T', r#""t\"x""#))
    }

    fn told(offset: u64, recovered: Option<bool>) -> Standing {
        Standing { position: Position { epoch: "e".into(), offset }, recovered }
    }

    #[test]
    fn events_by_both_ways() {
        let (_, payload) = line();
        let text = payload.text(42);
        let event = Heard::Event { offset: 9, number: 42 };
        assert_eq!(heard(&format!(r#"["j7.2",9,T,"bench",{text}]"#)), event);
        assert_eq!(heard(&format!(r#"[ "j7.2", 9, T, "bench", {text} ]"#)), event);
    }

    #[test]
    fn mix_ups_and_damage_are_strange() {
        let (_, payload) = line();
        let good = format!(r#"["j7.2",9,T,"bench",{}]"#, payload.text(42));
        for bad in [
            good.replace("j7.2", "j7.1"),
            good.replace(",9,", ",null,"),
            good.replace(",9,", r#","9","#),
            good.replace("0042", "00x2"),
            good.replace("xx", "xy"),
            good.replace("bench", "other"),
            r#"["j7.2","j7.2",T,"phx_reply",{"status":"ok","response":{}}]"#.into(),
            "{".into(),
        ] {
            assert!(matches!(heard(&bad), Heard::Strange(_)), "{bad}");
        }
    }

    #[test]
    fn joins_notices_and_answers() {
        let join = |body: &str| heard(&format!(r#"["j7.2","j7.2",T,"phx_reply",{body}]"#));
        assert_eq!(
            join(r#"{"status":"ok","response":{"epoch":"e","offset":3}}"#),
            Heard::Joined(Ok(told(3, None)))
        );
        assert_eq!(
            join(r#"{"status":"ok","response":{"epoch":"e","offset":3,"recovered":false,"oldest":1}}"#),
            Heard::Joined(Ok(told(3, Some(false))))
        );
        assert_eq!(
            join(r#"{"status":"error","response":{"reason":"owner unreachable"}}"#),
            Heard::Joined(Err("owner unreachable".into()))
        );
        assert_eq!(
            heard(r#"["j7.2",null,T,"position",{"epoch":"e","offset":60,"recovered":false}]"#),
            Heard::Notice(told(60, Some(false)))
        );
        let answer = |body: &str| heard(&format!(r#"["j7.2","p5.1",T,"phx_reply",{body}]"#));
        assert_eq!(
            answer(r#"{"status":"ok","response":{"offset":8}}"#),
            Heard::Answer { number: 5, answer: Answer::Ok(Some(8)) }
        );
        assert_eq!(
            answer(
                r#"{"status":"error","response":{"reason":"no answer from owner","outcome":"unknown","retry":true}}"#
            ),
            Heard::Answer {
                number: 5,
                answer: Answer::Refused { reason: "no answer from owner".into(), unknown: true, retry: true }
            }
        );
    }

    #[test]
    fn what_is_sent_is_json_of_five() {
        let (line, payload) = line();
        let after = told(4, None).position;
        for frame in [
            line.join(None),
            line.join(Some(&after)),
            line.publish(3, 1, &payload.text(3), None),
            line.publish(3, 1, &payload.text(3), Some("k")),
        ] {
            let value: Value = serde_json::from_str(&frame).unwrap();
            assert_eq!(value.as_array().unwrap().len(), 5, "{frame}");
        }
        assert!(line.join(Some(&after)).ends_with(r#"{"resume":{"epoch":"e","offset":4}}]"#));
        assert!(line.publish(3, 1, "{}", Some("k")).ends_with(r#"["bench",{},{"key":"k"}]]"#));
    }
}
