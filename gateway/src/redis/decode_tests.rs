use super::*;

const BOUNDS: Bounds = Bounds { bulk: 1 << 20, arguments: 1000 };

/// What a client gets that sends this in pieces of so many bytes: its commands, and the fault at the end if there is
/// one.
fn decode(bytes: &[u8], piece: usize) -> (Vec<Vec<Bytes>>, Option<Fault>) {
    let (mut decoder, mut commands) = (Decoder::new(BOUNDS), Vec::new());
    for piece in bytes.chunks(piece) {
        decoder.feed(piece);
        loop {
            match decoder.take() {
                Ok(Some(command)) => commands.push(command.arguments),
                Ok(None) => break,
                Err(fault) => return (commands, Some(fault)),
            }
        }
    }
    (commands, None)
}

#[test]
fn commands_come_whole_however_they_are_cut() {
    let bytes = b"*2\r\n$4\r\nECHO\r\n$3\r\n\xff\r\n\r\nPING hi\r\n*0\r\n\r\n*-1\r\n*1\r\n$0\r\n\r\nQUIT\n";
    let commands: [&[&[u8]]; 4] = [&[b"ECHO", b"\xff\r\n"], &[b"PING", b"hi"], &[b""], &[b"QUIT"]];
    for piece in 1..=bytes.len() {
        let (decoded, fault) = decode(bytes, piece);
        assert_eq!(fault, None);
        assert_eq!(decoded, commands, "in pieces of {piece}");
    }
}

/// As redis-server 7.0.15 says it.
#[test]
fn faults_have_the_words_of_redis() {
    for (bytes, words) in [
        (&b"*2\r\n$4\r\nECHO\r\n$536870912\r\n"[..], "invalid bulk length"),
        (b"*2\r\n$4\r\nECHO\r\n$1048577\r\n", "invalid bulk length"),
        (b"*2\r\n$4\r\nECHO\r\n$-5\r\n", "invalid bulk length"),
        (b"*2\r\n$4\r\nECHO\r\n$-1\r\n", "invalid bulk length"),
        (b"*2\r\n$4\r\nECHO\r\n$abc\r\n", "invalid bulk length"),
        (b"*2\r\n$4\r\nECHO\r\n$+1\r\n", "invalid bulk length"),
        (b"*2\r\n$4\r\nECHO\r\n$01\r\n", "invalid bulk length"),
        (b"*2\r\n$4\r\nECHO\r\n$111111111111111111111111111111\r\n", "invalid bulk length"),
        (b"*2\r\n$4\r\nECHO\r\n:5\r\n", "expected '$', got ':'"),
        (b"*3\r\n$3\r\nfoo\r\n$3\r\na\r\nb\r\n$0\r\n\r\n", "expected '$', got ' '"),
        (b"*1001\r\n", "invalid multibulk length"),
        (b"*9999999999\r\n", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*abc\r\n", "invalid multibulk length"),
        (b"*1\rX", "invalid multibulk length"),
        (b"\"PING\r\n", "unbalanced quotes in request"),
    ] {
        for piece in [1, 7, bytes.len()] {
            let fault = decode(bytes, piece).1.map(|fault| fault.to_string());
            assert_eq!(fault.as_deref(), Some(words), "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}

#[test]
fn a_header_takes_no_memory_for_what_it_promises() {
    let mut decoder = Decoder::new(BOUNDS);
    decoder.feed(b"*1000\r\n$4\r\nECHO\r\n$1048576\r\n");
    assert_eq!(decoder.take(), Ok(None));
    assert!(decoder.buffer.capacity() < 1024);
    decoder.feed(b"*2\r\n$4\r\nECHO\r\n$536870912\r\n");
    assert_eq!(decoder.take(), Ok(None), "these are bytes of the argument");
}

#[test]
fn lines_without_an_end_have_the_words_of_redis() {
    for (start, words) in [
        ("x", "too big inline request"),
        ("*", "too big mbulk count string"),
        ("*1\r\n$", "too big bulk count string"),
    ] {
        let line = [start.as_bytes(), &[b'1'; LINE]].concat();
        for piece in [1, 4096, line.len()] {
            assert_eq!(decode(&line, piece).1.expect("a fault").to_string(), words);
        }
    }
}

#[test]
fn the_bounds_hold_for_lines_and_for_all_arguments_together() {
    let line = [b'x'; LINE + 1];
    assert_eq!(decode(&line, 4096), (Vec::new(), Some(Fault::Line)));
    let line = [&line[..LINE - 2], b"\r\n"].concat();
    assert_eq!(decode(&line, 4096).0.len(), 1);
    let argument = [&b"$1048576\r\n"[..], &vec![b'x'; 1 << 20], b"\r\n"].concat();
    let large =
        |arguments: usize| [format!("*{arguments}\r\n").into_bytes(), argument.repeat(arguments)].concat();
    assert_eq!(decode(&large(16), 1 << 16).0[0].len(), 16);
    assert_eq!(decode(&large(18), 1 << 16).1, Some(Fault::Command));
}

#[test]
fn an_empty_buffer_keeps_no_memory() {
    let mut decoder = Decoder::new(BOUNDS);
    decoder.feed(&b"PING\r\n".repeat(1000));
    while let Ok(Some(_)) = decoder.take() {}
    assert_eq!(decoder.buffer.capacity(), 0);
}
