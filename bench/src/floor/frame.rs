//! WebSocket frames as the generator sends and takes them: whole messages, masked from the client. Pure.

/// One frame of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Message(Vec<u8>),
    Close,
    /// A ping or pong, which nobody sends here.
    Other,
}

/// The end of a connection whose client speaks otherwise.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Nonsense;

/// The largest message, as a server's own limit would be.
const LARGEST: u64 = 64 << 20;

/// The first frame and its length in bytes, if it is there as a whole.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Frame, usize)>, Nonsense> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    let (fin, opcode, masked) = (first & 0x80 != 0, first & 0x0f, second & 0x80 != 0);
    if !fin || !masked {
        return Err(Nonsense);
    }
    let (length, rest) = match second & 0x7f {
        126 => match rest.split_first_chunk::<2>() {
            Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk::<8>() {
            Some((length, rest)) => (u64::from_be_bytes(*length), rest),
            None => return Ok(None),
        },
        length => (u64::from(length), rest),
    };
    if length > LARGEST {
        return Err(Nonsense);
    }
    let Some((mask, rest)) = rest.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let Some(masked) = rest.get(..length as usize) else {
        return Ok(None);
    };
    let used = bytes.len() - rest.len() + masked.len();
    let frame = match opcode {
        1 | 2 => {
            Frame::Message(masked.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect())
        }
        8 => Frame::Close,
        9 | 10 => Frame::Other,
        _ => return Err(Nonsense),
    };
    Ok(Some((frame, used)))
}

/// A text frame for clients.
pub(super) fn text(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 10);
    frame.push(0x81);
    match payload.len() {
        length @ ..126 => frame.push(length as u8),
        length if length <= usize::from(u16::MAX) => {
            frame.push(126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frame as a client would send it.
    fn masked(payload: &[u8]) -> Vec<u8> {
        let plain = text(payload);
        let head = plain.len() - payload.len();
        let mask = [1, 2, 3, 4];
        let mut frame = plain[..head].to_vec();
        frame[1] |= 0x80;
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    #[test]
    fn messages_of_every_length_go_through() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            let payload: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let frame = masked(&payload);
            for cut in [0, 1, 2, 3, 5, frame.len() - 1] {
                assert_eq!(read(&frame[..cut.min(frame.len() - 1)]), Ok(None));
            }
            let size = frame.len();
            let with_more = [frame, vec![0x81]].concat();
            assert_eq!(read(&with_more), Ok(Some((Frame::Message(payload), size))));
        }
    }

    #[test]
    fn what_no_client_of_ours_says_is_refused() {
        assert_eq!(read(&[0x88, 0x80, 0, 0, 0, 0]), Ok(Some((Frame::Close, 6))));
        assert_eq!(read(&[0x01, 0x80]), Err(Nonsense), "a part of a message");
        assert_eq!(read(&[0x81, 0x00]), Err(Nonsense), "not masked");
        assert_eq!(read(&[0x83, 0x80, 0, 0, 0, 0]), Err(Nonsense), "a reserved opcode");
        let huge = [&[0x81, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
        assert_eq!(read(&huge), Err(Nonsense));
    }
}
