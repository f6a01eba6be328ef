//! Replies, as both versions of the protocol write them.

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// What every client speaks at first.
    #[default]
    Resp2,
    /// With maps, sets and pushes, for those who say `HELLO 3`.
    Resp3,
}

/// Writes replies one behind the other. Maps, sets and pushes are arrays in the older version.
#[derive(Debug)]
pub struct Writer<'a> {
    version: Version,
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Writes there.
    pub fn new(version: Version, out: &'a mut Vec<u8>) -> Self {
        Self { version, out }
    }

    /// A word of the protocol.
    pub fn simple(&mut self, word: &str) {
        self.line(b'+', word.as_bytes());
    }

    /// An error: a word in capitals and a sentence.
    pub fn error(&mut self, text: &str) {
        // One line, whatever it quotes.
        let text: Vec<u8> =
            text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect();
        self.line(b'-', &text);
    }

    /// The same for one that quotes bytes.
    pub fn error_bytes(&mut self, text: &[u8]) {
        let text: Vec<u8> =
            text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect();
        self.line(b'-', &text);
    }

    /// A number.
    pub fn integer(&mut self, number: i64) {
        self.head(b':', number);
    }

    /// Any bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.head(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Text for people.
    pub fn verbatim(&mut self, text: &str) {
        match self.version {
            Version::Resp2 => self.bulk(text.as_bytes()),
            Version::Resp3 => {
                self.head(b'=', 4 + text.len() as i64);
                self.out.extend_from_slice(b"txt:");
                self.out.extend_from_slice(text.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Nothing, where bytes could be.
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.version {
            Version::Resp2 => b"$-1\r\n",
            Version::Resp3 => b"_\r\n",
        });
    }

    /// So many values follow.
    pub fn array(&mut self, values: usize) {
        self.head(b'*', values as i64);
    }

    /// So many keys with their values follow.
    pub fn map(&mut self, pairs: usize) {
        match self.version {
            Version::Resp2 => self.array(2 * pairs),
            Version::Resp3 => self.head(b'%', pairs as i64),
        }
    }

    /// So many values in no order follow.
    pub fn set(&mut self, values: usize) {
        self.aggregate(b'~', values);
    }

    /// So many values follow, which answer no command, or are one of several answers.
    pub fn push(&mut self, values: usize) {
        self.aggregate(b'>', values);
    }

    fn aggregate(&mut self, kind: u8, values: usize) {
        let kind = match self.version {
            Version::Resp2 => b'*',
            Version::Resp3 => kind,
        };
        self.head(kind, values as i64);
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    fn head(&mut self, kind: u8, number: i64) {
        self.out.push(kind);
        write_number(number, self.out);
        self.out.extend_from_slice(b"\r\n");
    }
}

/// A number in digits.
pub(crate) fn write_number(number: i64, out: &mut Vec<u8>) {
    // The longest has 20 bytes; filled from the end.
    let mut digits = [0; 20];
    let mut from = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        from -= 1;
        digits[from] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        from -= 1;
        digits[from] = b'-';
    }
    out.extend_from_slice(&digits[from..]);
}

#[cfg(test)]
mod tests {
    use redis_protocol::resp3::decode::complete::decode;
    use redis_protocol::resp3::types::OwnedFrame;

    use super::*;

    fn written(version: Version, write: impl Fn(&mut Writer<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Writer::new(version, &mut out));
        String::from_utf8(out).expect("text")
    }

    /// What is written, and how each version has it.
    type Form = (fn(&mut Writer<'_>), &'static str, &'static str);

    #[test]
    fn both_versions_have_their_forms() {
        let forms: [Form; 8] = [
            (|to| to.map(2), "*4\r\n", "%2\r\n"),
            (|to| to.set(2), "*2\r\n", "~2\r\n"),
            (|to| to.push(3), "*3\r\n", ">3\r\n"),
            (|to| to.null(), "$-1\r\n", "_\r\n"),
            (|to| to.verbatim("a"), "$1\r\na\r\n", "=5\r\ntxt:a\r\n"),
            (|to| to.error("ERR a\r\nb"), "-ERR a  b\r\n", "-ERR a  b\r\n"),
            (|to| to.error_bytes(b"ERR a\r\nb"), "-ERR a  b\r\n", "-ERR a  b\r\n"),
            (|to| to.simple("OK"), "+OK\r\n", "+OK\r\n"),
        ];
        for (write, resp2, resp3) in forms {
            assert_eq!(written(Version::Resp2, write), resp2);
            assert_eq!(written(Version::Resp3, write), resp3);
        }
    }

    #[test]
    fn numbers_of_all_lengths() {
        for number in [0, 1, -1, 9, 10, 99, 100, i64::MAX, i64::MIN] {
            assert_eq!(written(Version::Resp2, |to| to.integer(number)), format!(":{number}\r\n"));
        }
    }

    /// By somebody else's decoder.
    #[test]
    fn what_is_written_can_be_read() {
        let mut out = Vec::new();
        let mut to = Writer::new(Version::Resp3, &mut out);
        to.push(3);
        to.bulk(b"message");
        to.bulk(b"\xff\r\n");
        to.integer(7);
        let (frame, length) = decode(&out).expect("well formed").expect("complete");
        assert_eq!(length, out.len());
        let OwnedFrame::Push { data, .. } = frame else { panic!("{frame:?}") };
        assert_eq!(data[1], OwnedFrame::BlobString { data: b"\xff\r\n".to_vec(), attributes: None });
    }
}
