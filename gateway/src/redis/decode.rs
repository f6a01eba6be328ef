//! Bytes of a client to commands. The crate decodes what is complete; here its headers are walked as they come, so that
//! a length out of bounds is refused before anything is kept for it, and no command is looked at twice however many
//! pieces it comes in.

use std::fmt;

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;

use crate::redis::inline;

/// A line: a header such as `$1048576`, or a command as people type it.
const LINE: usize = 64 * 1024;

/// What a command may have beside its largest argument, in bytes; a client that subscribes to everything it may with
/// one command stays below.
const BESIDE: usize = 16 << 20;

/// What one command may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of an argument.
    pub bulk: usize,
    /// Arguments, the command's name included.
    pub arguments: usize,
}

/// A command: its name and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Never empty; slices of what came in one piece.
    pub arguments: Vec<Bytes>,
}

/// Why a client's bytes are no commands. Nothing behind them can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `*` is followed by no number, or by one above the bound.
    Multibulk,
    /// `$` is followed by no number, or by one above the bound.
    Bulk,
    /// Where a `$` belongs there is this byte.
    NoBulk(u8),
    /// A quote in an inline command has no other half, or something stands right behind it.
    Quotes,
    /// An inline command that is too long a line.
    Line,
    /// A line behind `*` that does not end.
    MultibulkLine,
    /// A line behind `$` that does not end.
    BulkLine,
    /// All arguments together are above their bound.
    Command,
}

/// What has come of a client's commands and was not taken yet.
#[derive(Debug)]
pub struct Decoder {
    bounds: Bounds,
    buffer: BytesMut,
    /// How far the command at the buffer's start is known.
    walked: usize,
    /// How much behind that has no end of a line in it.
    searched: usize,
    /// Arguments that are to come behind that; `None` before its first header.
    left: Option<usize>,
}

/// What stands at the buffer's start.
enum Step {
    /// A command of so many bytes.
    Whole(usize),
    /// So many bytes that are no command, an empty line for example.
    Nothing(usize),
    /// The beginning of something.
    More,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Multibulk => f.write_str("invalid multibulk length"),
            Self::Bulk => f.write_str("invalid bulk length"),
            // As it is written: a reply is one line.
            Self::NoBulk(b'\r' | b'\n') => f.write_str("expected '$', got ' '"),
            Self::NoBulk(byte) => write!(f, "expected '$', got '{}'", char::from(*byte)),
            Self::Quotes => f.write_str("unbalanced quotes in request"),
            Self::Line => f.write_str("too big inline request"),
            Self::MultibulkLine => f.write_str("too big mbulk count string"),
            Self::BulkLine => f.write_str("too big bulk count string"),
            Self::Command => f.write_str("too big request"),
        }
    }
}

impl Decoder {
    /// Nothing has come yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, buffer: BytesMut::new(), walked: 0, searched: 0, left: None }
    }

    /// Bytes have come.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next command, if it is complete.
    ///
    /// # Errors
    /// There is none, and there will be none.
    pub fn take(&mut self) -> Result<Option<Command>, Fault> {
        loop {
            let Some(first) = self.buffer.first() else {
                // Commands hold what they need.
                self.buffer = BytesMut::new();
                return Ok(None);
            };
            let is_inline = *first != b'*';
            let step = if is_inline { self.walk_line()? } else { self.walk()? };
            let (length, is_command) = match step {
                Step::More => return Ok(None),
                Step::Whole(length) => (length, true),
                Step::Nothing(length) => (length, false),
            };
            (self.walked, self.searched, self.left) = (0, 0, None);
            let bytes = self.buffer.split_to(length);
            let command = match is_command {
                false => continue,
                true if is_inline => inline::split(&bytes)?,
                true => arguments(bytes.freeze())?,
            };
            if !command.is_empty() {
                return Ok(Some(Command { arguments: command }));
            }
        }
    }

    /// Walks a line, which people have typed.
    fn walk_line(&mut self) -> Result<Step, Fault> {
        Ok(self.search(b'\n', Fault::Line)?.map_or(Step::More, |end| Step::Whole(end + 1)))
    }

    /// Where the line that begins where the walk has come to has this byte, looking at each byte once.
    fn search(&mut self, end: u8, too_long: Fault) -> Result<Option<usize>, Fault> {
        let rest = self.buffer.get(self.walked..).unwrap_or_default();
        match rest.iter().skip(self.searched).position(|byte| *byte == end) {
            Some(position) => {
                let position = self.searched + position;
                if end == b'\n' && position > LINE { Err(too_long) } else { Ok(Some(position)) }
            }
            None if rest.len() > LINE => Err(too_long),
            None => {
                self.searched = rest.len();
                Ok(None)
            }
        }
    }

    /// Walks the headers of a command.
    fn walk(&mut self) -> Result<Step, Fault> {
        let mut left = match self.left {
            Some(left) => left,
            None => {
                let Some((count, length)) = self.header(Fault::Multibulk, Fault::MultibulkLine)? else {
                    return Ok(Step::More);
                };
                (self.walked, self.searched) = (length, 0);
                match usize::try_from(count) {
                    Err(_) | Ok(0) => return Ok(Step::Nothing(length)),
                    Ok(count) if count > self.bounds.arguments => return Err(Fault::Multibulk),
                    Ok(count) => count,
                }
            }
        };
        while left > 0 {
            self.left = Some(left);
            // The whole line first, as in Redis.
            if self.search(b'\r', Fault::BulkLine)?.is_none() {
                return Ok(Step::More);
            }
            if let Some(other) = self.buffer.get(self.walked).filter(|byte| **byte != b'$') {
                return Err(Fault::NoBulk(*other));
            }
            let Some((length, header)) = self.header(Fault::Bulk, Fault::BulkLine)? else {
                return Ok(Step::More);
            };
            let length = usize::try_from(length)
                .ok()
                .filter(|length| *length <= self.bounds.bulk)
                .ok_or(Fault::Bulk)?;
            let end = self.walked + header + length + 2;
            if end > self.bounds.bulk.saturating_add(BESIDE) {
                return Err(Fault::Command);
            }
            if end > self.buffer.len() {
                return Ok(Step::More);
            }
            (self.walked, self.searched) = (end, 0);
            left -= 1;
        }
        Ok(Step::Whole(self.walked))
    }

    /// The number in the header where the walk has come to, and the header's length with its end.
    fn header(&mut self, fault: Fault, too_long: Fault) -> Result<Option<(i64, usize)>, Fault> {
        let Some(end) = self.search(b'\r', too_long)? else { return Ok(None) };
        let header = self.buffer.get(self.walked..).unwrap_or_default();
        let number = header.get(1..end).and_then(number).ok_or(fault)?;
        match header.get(end + 1) {
            None => {
                // Found again when the rest is there.
                self.searched = end;
                Ok(None)
            }
            Some(b'\n') => Ok(Some((number, end + 2))),
            Some(_) => Err(fault),
        }
    }
}

/// A number as Redis reads it: no plus, no zeros in front.
pub(crate) fn number(digits: &[u8]) -> Option<i64> {
    let unsigned = digits.strip_prefix(b"-").unwrap_or(digits);
    let is_written_so = match unsigned {
        [b'0'] => digits.len() == 1,
        [b'1'..=b'9', ..] => unsigned.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_written_so.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

/// The arguments of a command that is complete and within its bounds.
fn arguments(bytes: Bytes) -> Result<Vec<Bytes>, Fault> {
    let Ok(Some((RangeFrame::Array(frames), length))) = decode_range(&bytes) else {
        return Err(Fault::Multibulk);
    };
    if length != bytes.len() {
        return Err(Fault::Multibulk);
    }
    let argument = |frame| match frame {
        RangeFrame::BulkString((from, to)) if from <= to && to <= length => Ok(bytes.slice(from..to)),
        _ => Err(Fault::Bulk),
    };
    frames.into_iter().map(argument).collect()
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
