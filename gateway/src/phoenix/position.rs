//! Positions in join payloads: `{"positions": true}`, and `{"resume": {"epoch": "…", "offset": 37}}`.

use std::collections::HashMap;

use campanile_proto::Epoch;
use serde_json::value::RawValue;

use crate::hub::state::Start;

/// A position that no topic ever has: nonsense in `resume` is judged as this one is, and never as another topic's.
const NOWHERE: Start = Start::After(Epoch(u64::MAX), u64::MAX);

/// Length of an epoch as text: 16 hexadecimal digits.
const EPOCH_DIGITS: usize = 16;

/// What a join asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Events, replies and notices of loss are to carry positions.
    pub positions: bool,
    /// Where events start.
    pub start: Start,
}

impl Wanted {
    /// A plain Phoenix channel.
    pub const PLAIN: Self = Self { positions: false, start: Start::Live };
}

/// Reads a join payload. What is not ours is ignored: applications put their own keys there.
pub fn read(payload: &[u8]) -> Wanted {
    if payload == b"{}" {
        return Wanted::PLAIN;
    }
    let Ok(fields) = serde_json::from_slice::<HashMap<String, &RawValue>>(payload) else {
        return Wanted::PLAIN;
    };
    match fields.get("resume") {
        Some(resume) => Wanted { positions: true, start: position(resume.get()).unwrap_or(NOWHERE) },
        None => {
            let positions = fields.get("positions").is_some_and(|value| value.get() == "true");
            Wanted { positions, start: Start::Live }
        }
    }
}

fn position(json: &str) -> Option<Start> {
    let fields: HashMap<String, &RawValue> = serde_json::from_str(json).ok()?;
    let epoch: String = serde_json::from_str(fields.get("epoch")?.get()).ok()?;
    let offset: u64 = serde_json::from_str(fields.get("offset")?.get()).ok()?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if epoch.len() != EPOCH_DIGITS || !epoch.bytes().all(is_digit) {
        return None;
    }
    let epoch = u64::from_str_radix(&epoch, 16).ok().filter(|epoch| *epoch != 0)?;
    Some(Start::After(Epoch(epoch), offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_joins_stay_plain() {
        for payload in
            ["{}", "null", "1", "[]", r#"{"token":"x"}"#, r#"{"positions":false}"#, r#"{"positions":1}"#]
        {
            assert_eq!(read(payload.as_bytes()), Wanted::PLAIN, "{payload}");
        }
    }

    #[test]
    fn positions_and_resume_are_read() {
        assert_eq!(read(br#"{"positions":true}"#), Wanted { positions: true, start: Start::Live });
        let start = Start::After(Epoch(0xff), 37);
        let payload = r#"{"x":1,"resume":{"epoch":"00000000000000ff","offset":37,"y":2},"positions":false}"#;
        assert_eq!(read(payload.as_bytes()), Wanted { positions: true, start });
    }

    #[test]
    fn nonsense_in_resume_is_a_position_that_nobody_has() {
        for resume in [
            "null",
            "1",
            "{}",
            r#""x""#,
            r#"{"epoch":"00000000000000ff"}"#,
            r#"{"offset":1}"#,
            r#"{"epoch":1,"offset":1}"#,
            r#"{"epoch":"ff","offset":1}"#,
            r#"{"epoch":"0000000000000000","offset":1}"#,
            r#"{"epoch":"00000000000000FF","offset":1}"#,
            r#"{"epoch":"+0000000000000ff","offset":1}"#,
            r#"{"epoch":"00000000000000ff","offset":-1}"#,
            r#"{"epoch":"00000000000000ff","offset":1.5}"#,
            r#"{"epoch":"00000000000000ff","offset":"1"}"#,
            r#"{"epoch":"00000000000000ff","offset":18446744073709551616}"#,
        ] {
            let payload = format!(r#"{{"resume":{resume}}}"#);
            assert_eq!(read(payload.as_bytes()), Wanted { positions: true, start: NOWHERE }, "{resume}");
        }
    }
}
