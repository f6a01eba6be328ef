use std::collections::VecDeque;

use super::*;

/// A gateway that allows what it is told to.
#[derive(Debug)]
struct Gateway {
    open: bool,
    may_publish: bool,
}

/// A connection and what it wants of the hub, in order.
struct Client {
    connection: Connection,
    gateway: Gateway,
    effects: VecDeque<Effect>,
    end: Option<Ending>,
}

impl Around for Gateway {
    fn is_open(&self, _: &[u8]) -> bool {
        self.open
    }

    fn may_publish(&mut self) -> bool {
        self.may_publish
    }

    fn facts(&self) -> Facts {
        Facts::default()
    }
}

impl Client {
    fn new() -> Self {
        let gateway = Gateway { open: true, may_publish: true };
        Self { connection: Connection::new(7, 5), gateway, effects: VecDeque::new(), end: None }
    }

    /// One that speaks the newer version.
    fn resp3() -> Self {
        let mut client = Self::new();
        assert_eq!(client.say("HELLO 3"), "");
        let token = client.turn();
        assert!(client.done(|connection, out| connection.turn(token, out)).starts_with("%7\r\n"));
        client
    }

    fn take(&mut self, out: Outcome) -> String {
        self.effects.extend(out.effects);
        self.end = self.end.or(out.end);
        String::from_utf8(out.reply).expect("text")
    }

    /// What the client gets at once that says this; words between spaces.
    fn say(&mut self, line: &str) -> String {
        assert!(self.connection.may_receive(), "{line}: a command waits");
        let arguments = line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        let mut out = Outcome::default();
        self.connection.receive(Ok(Command { arguments }), &mut self.gateway, &mut out);
        self.take(out)
    }

    /// What it gets when the hub has answered; and then the command that has waited for it goes on.
    fn done(&mut self, answer: impl FnOnce(&mut Connection, &mut Outcome)) -> String {
        let mut out = Outcome::default();
        answer(&mut self.connection, &mut out);
        let mut all = self.take(out);
        let mut out = Outcome::default();
        while self.connection.go_on(&mut self.gateway, &mut out) {}
        all.push_str(&self.take(out));
        all
    }

    fn effect(&mut self) -> Effect {
        self.effects.pop_front().expect("an effect")
    }

    /// The number and the topic of the next subscription.
    fn join(&mut self) -> (u32, Bytes) {
        match self.effect() {
            Effect::Join { number, topic, .. } => (number, topic),
            other => panic!("{other:?}"),
        }
    }

    /// The token and the topic of the next publish.
    fn publish(&mut self) -> (u32, Bytes) {
        match self.effect() {
            Effect::Publish { token, topic, .. } => (token, topic),
            other => panic!("{other:?}"),
        }
    }

    fn turn(&mut self) -> u32 {
        match self.effect() {
            Effect::Turn { token } => token,
            other => panic!("{other:?}"),
        }
    }

    fn joined(&mut self, number: u32) -> String {
        self.done(|connection, out| connection.joined(number, out))
    }

    fn answered(&mut self, token: u32, result: Result<u64, Reason>) -> String {
        self.done(|connection, out| connection.answered(token, result, out))
    }

    /// Subscribes, and gets the reply.
    fn subscribe(&mut self, line: &str) -> String {
        let mut reply = self.say(line);
        while let Some(Effect::Join { .. }) = self.effects.front() {
            let (number, _) = self.join();
            reply.push_str(&self.joined(number));
        }
        reply
    }

    fn unsubscribe(&mut self, line: &str) -> String {
        let mut reply = self.say(line);
        while let Some(Effect::Leave { .. }) = self.effects.front() {
            let Effect::Leave { told: true, .. } = self.effect() else { panic!("not told") };
            reply.push_str(&self.done(Connection::left));
        }
        reply
    }
}

fn push(word: &str, name: &str, count: u32) -> String {
    format!("*3\r\n${}\r\n{word}\r\n${}\r\n{name}\r\n:{count}\r\n", word.len(), name.len())
}

fn error(text: &str) -> String {
    format!("-{text}\r\n")
}

/// As redis-server 7.0.15 answers.
#[test]
fn short_commands_have_the_replies_of_redis() {
    let mut client = Client::new();
    for (line, reply) in [
        ("PING", "+PONG\r\n"),
        ("ping hi", "$2\r\nhi\r\n"),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"),
        ("ECHO x", "$1\r\nx\r\n"),
        ("HELLO 4", "-NOPROTO unsupported protocol version\r\n"),
        ("HELLO abc", "-ERR Protocol version is not an integer or out of range\r\n"),
        ("HELLO 3 AUTH foo x", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
        ("HELLO 3 FOO", "-ERR Syntax error in HELLO option 'FOO'\r\n"),
        ("HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'\r\n"),
        (
            "AUTH x",
            "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n",
        ),
        ("AUTH default x", "+OK\r\n"),
        ("AUTH foo x", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
        ("AUTH a b c", "-ERR syntax error\r\n"),
        ("SELECT 0", "+OK\r\n"),
        ("SELECT 1", "-ERR DB index is out of range\r\n"),
        ("SELECT abc", "-ERR value is not an integer or out of range\r\n"),
        ("CLIENT ID", ":7\r\n"),
        ("CLIENT GETNAME", "$-1\r\n"),
        ("CLIENT SETNAME me", "+OK\r\n"),
        ("CLIENT GETNAME", "$2\r\nme\r\n"),
        (
            "CLIENT SETNAME a\nb",
            "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
        ),
        ("CLIENT SETINFO lib-name me", "+OK\r\n"),
        (
            "CLIENT SETINFO lib-name a\tb",
            "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n",
        ),
        ("CLIENT SETINFO x y", "-ERR Unrecognized option 'x'\r\n"),
        ("CLIENT LIST", "-ERR unknown subcommand 'LIST'. Try CLIENT HELP.\r\n"),
        ("GET a", "-ERR unknown command 'GET', with args beginning with: 'a' \r\n"),
        ("PUBSUB NUMSUB", "*0\r\n"),
        (
            "PUBSUB CHANNELS a b",
            "-ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.\r\n",
        ),
        ("UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"),
        ("UNSUBSCRIBE x", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nx\r\n:0\r\n"),
        ("SUNSUBSCRIBE", "*3\r\n$12\r\nsunsubscribe\r\n$-1\r\n:0\r\n"),
        ("RESET", "+RESET\r\n"),
        ("CLIENT GETNAME", "$-1\r\n"),
        ("COMMAND LIST x", "-ERR syntax error\r\n"),
    ] {
        assert_eq!(client.say(line), reply, "{line}");
    }
    assert!(client.effects.is_empty() && client.end.is_none());
}

#[test]
fn subscriptions_are_confirmed_in_order_when_all_of_a_command_are_there() {
    let mut client = Client::new();
    assert_eq!(client.say("SUBSCRIBE a b a"), "");
    let ((a, topic), (b, _)) = (client.join(), client.join());
    assert_eq!(topic, "a");
    assert!(client.effects.is_empty(), "one for each name");
    assert_eq!(client.joined(b), "");
    let expected = [push("subscribe", "a", 1), push("subscribe", "b", 2), push("subscribe", "a", 2)];
    assert_eq!(client.joined(a), expected.concat());
    assert_eq!(client.subscribe("PSUBSCRIBE x*"), push("psubscribe", "x*", 3));
    assert_eq!(client.subscribe("SSUBSCRIBE a"), push("ssubscribe", "a", 1));
    assert_eq!(client.unsubscribe("UNSUBSCRIBE a"), push("unsubscribe", "a", 2));
    assert_eq!(client.unsubscribe("PUNSUBSCRIBE"), push("punsubscribe", "x*", 1));
    assert_eq!(client.unsubscribe("UNSUBSCRIBE"), push("unsubscribe", "b", 0));
    assert_eq!(client.unsubscribe("SUNSUBSCRIBE"), push("sunsubscribe", "a", 0));
    assert_eq!(client.say("ECHO x"), "$1\r\nx\r\n", "no longer subscribed");
}

#[test]
fn subscriptions_of_a_pipeline_are_made_together_and_answered_in_order() {
    let mut client = Client::new();
    assert_eq!(client.say("SUBSCRIBE a"), "");
    assert_eq!(client.say("PSUBSCRIBE b"), "");
    assert_eq!(client.say("PING"), "");
    assert!(!client.connection.may_receive(), "whether it is subscribed is not known yet");
    let ((a, _), (b, _)) = (client.join(), client.join());
    assert_eq!(client.joined(b), "");
    let pong = "*2\r\n$4\r\npong\r\n$0\r\n\r\n";
    let expected = [&push("subscribe", "a", 1), &push("psubscribe", "b", 2), pong].map(str::to_owned);
    assert_eq!(client.joined(a), expected.concat());
    assert!(client.connection.may_receive());
}

#[test]
fn messages_wait_for_the_reply_to_their_subscription_and_no_others_do() {
    let mut client = Client::new();
    client.subscribe("SUBSCRIBE a");
    client.say("SUBSCRIBE b c");
    let Effect::Join { number: b, tag, .. } = client.effect() else { panic!("no join") };
    let Effect::Join { number: c, tag: same, .. } = client.effect() else { panic!("no join") };
    assert!(Arc::ptr_eq(&tag, &same), "one tag for all channels of a command");
    client.joined(b);
    assert!(client.connection.may_hold() && client.connection.holds(&tag));
    assert!(!client.connection.holds(&codec::tag(Kind::Channel, b"a")));
    client.joined(c);
    assert!(!client.connection.may_hold() && !client.connection.holds(&tag));
}

#[test]
fn publishes_go_together_and_are_answered_in_order() {
    let mut client = Client::new();
    assert_eq!(client.say("PUBLISH a 1"), "");
    assert_eq!(client.say("SPUBLISH a 2"), "");
    assert_eq!(client.say("PING"), "", "behind them");
    assert_eq!(client.say("PUBLISH b 3"), "");
    assert_eq!(client.say("SUBSCRIBE a"), "", "waits");
    assert!(!client.connection.may_receive());
    let [(one, plain), (two, sharded), (three, _)] = [client.publish(), client.publish(), client.publish()];
    assert!(plain == "a" && sharded != plain, "two spaces");
    assert_eq!(client.answered(two, Ok(2)), "");
    assert_eq!(client.answered(one, Ok(1)), ":1\r\n:2\r\n+PONG\r\n");
    assert!(client.effects.is_empty(), "nobody is subscribed before the last publish");
    assert_eq!(client.answered(three, Ok(0)), ":0\r\n");
    let (a, _) = client.join();
    assert_eq!(client.joined(a), push("subscribe", "a", 1));
}

#[test]
fn a_pipeline_is_bounded_by_count_and_by_bytes() {
    let mut client = Client::new();
    let mut sent = 0;
    while client.connection.may_receive() {
        client.say("PUBLISH a 1");
        sent += 1;
    }
    assert_eq!((sent, client.effects.len()), (257, 256));
    let (first, _) = client.publish();
    assert_eq!(client.answered(first, Ok(0)), ":0\r\n");
    assert_eq!(client.effects.len(), 256, "the one that waited");
    let mut client = Client::new();
    let payload = "x".repeat(1 << 19);
    (0..2).for_each(|_| drop(client.say(&format!("PUBLISH a {payload}"))));
    assert!(client.connection.may_receive());
    client.say(&format!("PUBLISH a {payload}"));
    assert_eq!((client.connection.may_receive(), client.effects.len()), (false, 2));
    let mut client = Client::new();
    client.say("PUBLISH a 1");
    let mut sent = 0;
    while client.connection.may_receive() {
        client.say("GET x");
        sent += 1;
    }
    assert_eq!(sent, 256, "replies that wait are bounded, too");
}

#[test]
fn a_publish_that_fails_says_whether_it_happened() {
    let mut client = Client::new();
    client.say("PUBLISH a 1");
    let (token, _) = client.publish();
    let reply = client.answered(token, Err(Reason::Unanswered));
    assert_eq!(reply, error("ERR no answer from owner, outcome: unknown, retry: true"));
    client.gateway.may_publish = false;
    let limited = error("ERR rate limited, outcome: not_published, retry: true");
    assert_eq!(client.say("PUBLISH a 1"), limited);
    assert!(matches!(client.effect(), Effect::Refused(Reason::RateLimited)));
    let long = "x".repeat(1025);
    assert_eq!(client.say(&format!("PUBLISH {long} x")), error(TOO_LONG));
    assert_eq!(client.say(&format!("SUBSCRIBE a {long}")), error(TOO_LONG));
    assert_eq!(client.say(&format!("PSUBSCRIBE {long}")), error(PATTERN_TOO_LONG));
    client.gateway.open = false;
    assert_eq!(client.say("PUBLISH a 1"), error(NOT_OPEN));
    assert_eq!(client.say("SUBSCRIBE a"), error(NOT_OPEN));
    client.effects.clear();
    // They see what is open, and nothing else.
    assert_eq!(client.subscribe("PSUBSCRIBE a*"), push("psubscribe", "a*", 1));
}

#[test]
fn more_subscriptions_than_allowed_are_refused_as_a_whole() {
    let mut client = Client::new();
    client.subscribe("SUBSCRIBE a b c");
    client.subscribe("PSUBSCRIBE d");
    assert_eq!(client.say("SSUBSCRIBE e f"), error(TOO_MANY));
    assert!(matches!(client.effect(), Effect::NotJoined(_)));
    assert!(client.effects.is_empty());
    assert_eq!(client.subscribe("SSUBSCRIBE e"), push("ssubscribe", "e", 1));
    assert_eq!(client.subscribe("SUBSCRIBE a a"), push("subscribe", "a", 4).repeat(2), "it has those");
}

#[test]
fn clients_of_version_2_may_do_little_while_they_are_subscribed() {
    let words = |name: &str| {
        error(&format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        ))
    };
    for subscribe in ["SUBSCRIBE a", "PSUBSCRIBE a", "SSUBSCRIBE a"] {
        let mut client = Client::new();
        client.subscribe(subscribe);
        for (line, name) in [
            ("PUBLISH a b", "publish"),
            ("HELLO 3", "hello"),
            ("ECHO a", "echo"),
            ("CLIENT ID", "client|id"),
            ("PUBSUB NUMPAT", "pubsub|numpat"),
        ] {
            assert_eq!(client.say(line), words(name));
        }
        assert_eq!(client.say("PING x"), "*2\r\n$4\r\npong\r\n$1\r\nx\r\n");
        assert_eq!(client.say("FOO"), error("ERR unknown command 'FOO', with args beginning with: "));
        assert_eq!(client.say("RESET"), "+RESET\r\n");
        assert!(matches!(client.effect(), Effect::Leave { told: false, .. }));
        assert_eq!(client.say("ECHO a"), "$1\r\na\r\n");
    }
    let mut client = Client::resp3();
    client.effects.clear();
    assert!(client.subscribe("SUBSCRIBE a").starts_with(">3\r\n"));
    assert_eq!(client.say("PING"), "+PONG\r\n");
    assert_eq!(client.say("ECHO a"), "$1\r\na\r\n");
}

#[test]
fn the_version_changes_when_all_that_is_queued_has_been_written() {
    let mut client = Client::resp3();
    assert!(matches!(client.effect(), Effect::Speak(Version::Resp3)));
    client.subscribe("SUBSCRIBE a");
    assert_eq!(client.say("HELLO 2"), "");
    assert_eq!(client.say("PING"), "");
    let token = client.turn();
    let reply = client.done(|connection, out| connection.turn(token, out));
    assert!(reply.starts_with("*14\r\n") && reply.ends_with("*2\r\n$4\r\npong\r\n$0\r\n\r\n"), "{reply}");
    assert!(matches!(client.effect(), Effect::Speak(Version::Resp2)));
}

#[test]
fn questions_are_asked_alone_and_answered_for_names_of_any_length() {
    let mut client = Client::new();
    let long = "x".repeat(2000);
    assert_eq!(client.say(&format!("PUBSUB NUMSUB a {long} b")), "");
    let Effect::Ask { token, query: Query::Listeners(asked) } = client.effect() else {
        panic!("no question")
    };
    assert_eq!(asked, ["a", "b"]);
    client.say("PUBLISH a 1");
    assert!(client.effects.is_empty(), "nothing overtakes it");
    let reply = client.done(|connection, out| connection.told(token, Ok(Told::Listeners(vec![3, 4])), out));
    assert_eq!(reply, format!("*6\r\n$1\r\na\r\n:3\r\n$2000\r\n{long}\r\n:0\r\n$1\r\nb\r\n:4\r\n"));
    let (publish, _) = client.publish();
    client.answered(publish, Ok(0));
    client.say("PUBSUB SHARDCHANNELS a*");
    let Effect::Ask { token, query: Query::Topics { pattern, space: Space::Sharded } } = client.effect()
    else {
        panic!("no question")
    };
    assert_eq!(pattern.as_deref(), Some(&b"a*"[..]));
    let told = Ok(Told::Topics(vec![Bytes::from("a1")]));
    assert_eq!(client.done(|connection, out| connection.told(token, told, out)), "*1\r\n$2\r\na1\r\n");
    client.say("PUBSUB NUMPAT");
    let Effect::Ask { token, .. } = client.effect() else { panic!("no question") };
    let told = Err(Reason::OwnerUnreachable);
    assert_eq!(
        client.done(|connection, out| connection.told(token, told, out)),
        error("ERR owner unreachable")
    );
}

#[test]
fn the_end_comes_behind_the_replies_and_nothing_behind_it() {
    let mut client = Client::new();
    client.say("PUBLISH a 1");
    assert_eq!(client.say("QUIT"), "");
    assert!(!client.connection.may_receive());
    let (token, _) = client.publish();
    assert_eq!(client.end, None);
    assert_eq!(client.answered(token, Ok(1)), ":1\r\n+OK\r\n");
    assert_eq!(client.end, Some(Ending::Gone));

    let mut client = Client::new();
    let mut out = Outcome::default();
    client.connection.receive(Err(Fault::Bulk), &mut client.gateway, &mut out);
    assert_eq!(client.take(out), error("ERR Protocol error: invalid bulk length"));
    assert_eq!(client.end, Some(Ending::Malformed));

    let mut client = Client::new();
    assert_eq!(client.say("POST / HTTP/1.1"), "", "a web page");
    assert_eq!(client.end, Some(Ending::Malformed));
}
