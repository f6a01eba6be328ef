//! The generator against a small server that speaks as much Redis as it needs, on TCP without WebSocket.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use campanile_bench::{FaultKind, Report};

use crate::{assert_faults, perform_words};

/// What the server does wrong at the seventh publish.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    Drop,
    Close,
    Refuse,
}

/// Channel → the connections that subscribed, in their order.
type Channels = Arc<Mutex<HashMap<Vec<u8>, Vec<TcpStream>>>>;

/// The server; its threads end with the test's process, its connections with the generator's.
fn start(fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let channels = Channels::default();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, channels) = (stream.unwrap(), channels.clone());
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || serve(&stream, fault, &channels));
        }
    });
    address
}

fn serve(stream: &TcpStream, fault: Fault, channels: &Channels) {
    let mut input = BufReader::new(stream.try_clone().unwrap());
    let mut publishes = 0;
    while let Some(words) = command(&mut input) {
        // One lock for all that is written, so that no two threads write at once.
        let mut channels = channels.lock().unwrap();
        let say = |bytes: &[u8]| drop((&mut &*stream).write_all(bytes));
        match words[0].as_slice() {
            b"HELLO" => say(b"%2\r\n$5\r\nproto\r\n:3\r\n$7\r\nmodules\r\n*0\r\n"),
            b"PING" => say(b"+PONG\r\n"),
            b"SUBSCRIBE" => {
                channels.entry(words[1].clone()).or_default().push(stream.try_clone().unwrap());
                say(&push(&[b"subscribe", &words[1]], b":1\r\n"));
            }
            b"PUBLISH" => {
                publishes += 1;
                if fault == Fault::Refuse && publishes % 7 == 0 {
                    say(b"-ERR overloaded, outcome: not_published, retry: true\r\n");
                    continue;
                }
                let members = channels.get_mut(&words[1]).unwrap();
                for (index, member) in members.iter_mut().enumerate() {
                    match fault {
                        Fault::Drop if (index, publishes) == (2, 7) => continue,
                        Fault::Close if (index, publishes) == (2, 7) => {
                            drop(member.shutdown(std::net::Shutdown::Both));
                        }
                        _ => drop(member.write_all(&push(&[b"message", &words[1], &words[2]], b""))),
                    }
                }
                say(format!(":{}\r\n", members.len()).as_bytes());
            }
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    }
}

/// A push of these bulk strings and this last value.
fn push(words: &[&[u8]], last: &[u8]) -> Vec<u8> {
    let mut bytes = format!(">{}\r\n", words.len() + usize::from(!last.is_empty())).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend([word, &b"\r\n"[..]].concat());
    }
    bytes.extend(last);
    bytes
}

/// The words of the next command; none at the end.
fn command(input: &mut impl BufRead) -> Option<Vec<Vec<u8>>> {
    let number = |mark: char, input: &mut dyn BufRead| {
        let mut line = String::new();
        (input.read_line(&mut line).ok()? > 0).then_some(())?;
        line.trim_end().strip_prefix(mark)?.parse::<usize>().ok()
    };
    let count = number('*', input)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; number('$', input)? + 2];
        input.read_exact(&mut word).ok()?;
        word.truncate(word.len() - 2);
        words.push(word);
    }
    Some(words)
}

fn bench(fault: Fault, arguments: &str) -> Report {
    let address = start(fault);
    perform_words(&format!("{arguments} --protocol redis --url redis://{address}")).unwrap()
}

#[test]
fn a_good_redis_passes_in_every_workload() {
    for arguments in [
        "fanout --subscribers 5 --in-flight 4 --seconds 0.3 --warm-up 0.1",
        "rooms --rooms 8 --members 3 --seconds 0.3 --warm-up 0",
        "rooms --rooms 8 --members 3 --rate 200 --seconds 0.3 --warm-up 0",
        "pipe --subscribers 3 --payload-bytes 65536 --seconds 0.3 --warm-up 0",
        "idle --connections 20 --topics 7 --seconds 0.2",
        "connect --in-flight 4 --seconds 0.3",
    ] {
        assert_faults(&bench(Fault::None, arguments), &[], "check: ok");
    }
}

#[test]
fn what_redis_does_wrong_is_found() {
    let fanout = "fanout --subscribers 5 --in-flight 4 --seconds 0.3 --warm-up 0.1 --deadline 2";
    assert_faults(&bench(Fault::Drop, fanout), &[(FaultKind::Missing, 1)], "never came: 7 of");
    assert_faults(&bench(Fault::Close, fanout), &[(FaultKind::Closed, 1)], "closed by the server");
    let report = bench(Fault::Refuse, fanout);
    assert_faults(&report, &[], "refused: ERR overloaded, outcome: not_published, retry: true");
}
