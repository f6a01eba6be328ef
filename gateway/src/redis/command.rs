//! The commands of this front: what they are called, how many arguments they take, and what Redis says of those that it
//! does not know. One table for all, from which `COMMAND` answers, too.

use crate::redis::decode::Command;

/// What an error quotes of a name or of all arguments, at most, in bytes.
const QUOTED: usize = 128;

/// A kind of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// To a channel.
    Channel,
    /// To all channels whose names match.
    Pattern,
    /// To a channel of the sharded space.
    Shard,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `PUBLISH`, and `SPUBLISH` with [`Kind::Shard`].
    Publish(Kind),
    /// `SUBSCRIBE`, `PSUBSCRIBE`, `SSUBSCRIBE`.
    Subscribe(Kind),
    /// `UNSUBSCRIBE`, `PUNSUBSCRIBE`, `SUNSUBSCRIBE`.
    Unsubscribe(Kind),
    /// `PUBSUB CHANNELS`, and `PUBSUB SHARDCHANNELS` with [`Kind::Shard`].
    Channels(Kind),
    /// `PUBSUB NUMSUB`, and `PUBSUB SHARDNUMSUB` with [`Kind::Shard`].
    NumSub(Kind),
    /// `PUBSUB NUMPAT`
    NumPat,
    /// `PING`
    Ping,
    /// `ECHO`
    Echo,
    /// `HELLO`
    Hello,
    /// `AUTH`
    Auth,
    /// `SELECT`
    Select,
    /// `QUIT`
    Quit,
    /// `RESET`
    Reset,
    /// `CLIENT ID`
    ClientId,
    /// `CLIENT SETNAME`
    ClientSetName,
    /// `CLIENT GETNAME`
    ClientGetName,
    /// `CLIENT SETINFO`
    ClientSetInfo,
    /// `INFO`
    Info,
    /// `CONFIG GET`
    ConfigGet,
    /// `COMMAND`
    Commands,
    /// `COMMAND COUNT`
    CommandCount,
    /// `COMMAND INFO`
    CommandInfo,
    /// `COMMAND DOCS`
    CommandDocs,
    /// `COMMAND LIST`
    CommandList,
    /// What a web page sends that has been talked into speaking to this port.
    Web,
    /// A name with subcommands, which alone does nothing.
    Container,
}

/// One command or subcommand.
#[derive(Debug)]
pub struct Spec {
    /// In small letters; a subcommand with its command, such as `client|id`.
    pub name: &'static str,
    /// What it does.
    pub verb: Verb,
    /// Arguments with all names: so many, or with a minus at least so many.
    pub arity: i32,
    /// Its group in `COMMAND DOCS`.
    pub group: &'static str,
    /// The release of Redis that brought it.
    pub since: &'static str,
    /// What it does, for people.
    pub summary: &'static str,
    /// Its subcommands.
    pub subcommands: &'static [Spec],
}

/// Why a command is refused before anything looks at its arguments, in the words of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub Vec<u8>);

const fn spec(
    name: &'static str,
    verb: Verb,
    arity: i32,
    group: &'static str,
    since: &'static str,
    summary: &'static str,
) -> Spec {
    container(name, verb, arity, group, since, summary, &[])
}

const fn container(
    name: &'static str,
    verb: Verb,
    arity: i32,
    group: &'static str,
    since: &'static str,
    summary: &'static str,
    subcommands: &'static [Spec],
) -> Spec {
    Spec { name, verb, arity, group, since, summary, subcommands }
}

const CLIENT: &[Spec] = &[
    spec("client|getname", Verb::ClientGetName, 2, CONNECTION, "2.6.9", "Get the name of this connection"),
    spec("client|id", Verb::ClientId, 2, CONNECTION, "5.0.0", "Get the number of this connection"),
    spec("client|setinfo", Verb::ClientSetInfo, 4, CONNECTION, "7.2.0", "Say which library the client uses"),
    spec("client|setname", Verb::ClientSetName, 3, CONNECTION, "2.6.9", "Name this connection"),
];

const COMMAND: &[Spec] = &[
    spec("command|count", Verb::CommandCount, 2, SERVER, "2.8.13", "Count the commands"),
    spec("command|docs", Verb::CommandDocs, -2, SERVER, "7.0.0", "Say what commands do"),
    spec("command|info", Verb::CommandInfo, -2, SERVER, "2.8.13", "Describe commands"),
    spec("command|list", Verb::CommandList, -2, SERVER, "7.0.0", "List the names of commands"),
];

const CONFIG: &[Spec] =
    &[spec("config|get", Verb::ConfigGet, -3, SERVER, "2.0.0", "Get settings in the words of Redis")];

const PUBSUB: &[Spec] = &[
    spec(
        "pubsub|channels",
        Verb::Channels(Kind::Channel),
        -2,
        GROUP,
        "2.8.0",
        "List channels that are in use",
    ),
    spec("pubsub|numpat", Verb::NumPat, 2, GROUP, "2.8.0", "Count the patterns that are in use"),
    spec(
        "pubsub|numsub",
        Verb::NumSub(Kind::Channel),
        -2,
        GROUP,
        "2.8.0",
        "Count the subscribers of channels",
    ),
    spec(
        "pubsub|shardchannels",
        Verb::Channels(Kind::Shard),
        -2,
        GROUP,
        "7.0.0",
        "List sharded channels that are in use",
    ),
    spec(
        "pubsub|shardnumsub",
        Verb::NumSub(Kind::Shard),
        -2,
        GROUP,
        "7.0.0",
        "Count the subscribers of sharded channels",
    ),
];

const GROUP: &str = "pubsub";
const CONNECTION: &str = "connection";
const SERVER: &str = "server";

/// All commands; the busiest stand first.
pub const COMMANDS: &[Spec] = &[
    spec("publish", Verb::Publish(Kind::Channel), 3, GROUP, "2.0.0", "Publish to a channel"),
    spec("spublish", Verb::Publish(Kind::Shard), 3, GROUP, "7.0.0", "Publish to a sharded channel"),
    spec("subscribe", Verb::Subscribe(Kind::Channel), -2, GROUP, "2.0.0", "Subscribe to channels"),
    spec("ssubscribe", Verb::Subscribe(Kind::Shard), -2, GROUP, "7.0.0", "Subscribe to sharded channels"),
    spec(
        "psubscribe",
        Verb::Subscribe(Kind::Pattern),
        -2,
        GROUP,
        "2.0.0",
        "Subscribe to all that match patterns",
    ),
    spec(
        "unsubscribe",
        Verb::Unsubscribe(Kind::Channel),
        -1,
        GROUP,
        "2.0.0",
        "End subscriptions to channels",
    ),
    spec(
        "sunsubscribe",
        Verb::Unsubscribe(Kind::Shard),
        -1,
        GROUP,
        "7.0.0",
        "End subscriptions to sharded channels",
    ),
    spec(
        "punsubscribe",
        Verb::Unsubscribe(Kind::Pattern),
        -1,
        GROUP,
        "2.0.0",
        "End subscriptions to patterns",
    ),
    spec("ping", Verb::Ping, -1, CONNECTION, "1.0.0", "Ask for a sign of life"),
    spec("echo", Verb::Echo, 2, CONNECTION, "1.0.0", "Get an argument back"),
    container("pubsub", Verb::Container, -2, GROUP, "2.8.0", "Ask about subscriptions", PUBSUB),
    spec("hello", Verb::Hello, -1, CONNECTION, "6.0.0", "Choose the version of the protocol"),
    spec("auth", Verb::Auth, -2, CONNECTION, "1.0.0", "Say who one is"),
    spec("select", Verb::Select, 2, CONNECTION, "1.0.0", "Choose the database, of which there is one"),
    spec("quit", Verb::Quit, -1, CONNECTION, "1.0.0", "End the connection"),
    spec("reset", Verb::Reset, 1, CONNECTION, "6.2.0", "Make the connection as new"),
    container("client", Verb::Container, -2, CONNECTION, "2.4.0", "About this connection", CLIENT),
    spec("info", Verb::Info, -1, SERVER, "1.0.0", "Describe the server"),
    container("config", Verb::Container, -2, SERVER, "2.0.0", "Get settings", CONFIG),
    container("command", Verb::Commands, -1, SERVER, "2.8.13", "Describe all commands", COMMAND),
];

/// `POST` and a header of HTTP: a page in somebody's browser tries to send commands from there.
const WEB: [Spec; 2] = [
    spec("post", Verb::Web, -1, SERVER, "3.2.7", "No command"),
    spec("host:", Verb::Web, -1, SERVER, "3.2.7", "No command"),
];

impl Kind {
    /// What pushes of this kind are called: the message, the answers to subscribing and unsubscribing.
    pub fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Channel => ("message", "subscribe", "unsubscribe"),
            Self::Pattern => ("pmessage", "psubscribe", "punsubscribe"),
            Self::Shard => ("smessage", "ssubscribe", "sunsubscribe"),
        }
    }
}

impl Spec {
    /// The name behind the command's own.
    pub fn last_name(&self) -> &'static str {
        self.name.split_once('|').map_or(self.name, |(_, name)| name)
    }

    fn takes(&self, arguments: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { arguments >= wanted } else { arguments == wanted }
    }
}

/// The command of this name, in letters of any size.
pub fn find(name: &[u8]) -> Option<&'static Spec> {
    COMMANDS.iter().find(|spec| name.eq_ignore_ascii_case(spec.name.as_bytes()))
}

/// What a command is.
///
/// # Errors
/// Nobody knows it, or it has not as many arguments as it takes.
pub fn look_up(command: &Command) -> Result<&'static Spec, Refused> {
    let arguments = &command.arguments;
    let name = arguments.first().map_or(&b""[..], |name| name);
    let web = || WEB.iter().find(|spec| name.eq_ignore_ascii_case(spec.name.as_bytes()));
    let Some(mut spec) = find(name).or_else(web) else {
        return Err(unknown(name, arguments.get(1..).unwrap_or_default()));
    };
    if let Some(second) = arguments.get(1).filter(|_| !spec.subcommands.is_empty()) {
        let is_it = |sub: &&Spec| second.eq_ignore_ascii_case(sub.last_name().as_bytes());
        let Some(found) = spec.subcommands.iter().find(is_it) else {
            let mut text = b"ERR unknown subcommand '".to_vec();
            text.extend_from_slice(quoted(second, QUOTED));
            text.extend_from_slice(format!("'. Try {} HELP.", spec.name.to_uppercase()).as_bytes());
            return Err(Refused(text));
        };
        spec = found;
    }
    if !spec.takes(arguments.len()) {
        return Err(wrong_number(spec));
    }
    Ok(spec)
}

/// It has not as many arguments as it takes.
pub(crate) fn wrong_number(spec: &Spec) -> Refused {
    Refused(format!("ERR wrong number of arguments for '{}' command", spec.name).into_bytes())
}

/// It has not as many arguments as it takes, of a subcommand that looks for itself.
pub(crate) fn wrong_subcommand(command: &Command) -> Refused {
    let [name, second] = [0, 1].map(|index| command.arguments.get(index).map_or(&b""[..], |name| name));
    let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
    text.extend_from_slice(quoted(second, QUOTED));
    text.extend_from_slice(b"'. Try ");
    text.extend_from_slice(&name.to_ascii_uppercase());
    text.extend_from_slice(b" HELP.");
    Refused(text)
}

fn unknown(name: &[u8], arguments: &[bytes::Bytes]) -> Refused {
    let mut shown = Vec::new();
    for argument in arguments {
        if shown.len() >= QUOTED {
            break;
        }
        let room = QUOTED - shown.len();
        shown.push(b'\'');
        shown.extend_from_slice(quoted(argument, room));
        shown.extend_from_slice(b"' ");
    }
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(quoted(name, QUOTED));
    text.extend_from_slice(b"', with args beginning with: ");
    text.extend_from_slice(&shown);
    Refused(text)
}

/// As Redis prints bytes: as a C string, and not all of it.
pub(crate) fn quoted(bytes: &[u8], most: usize) -> &[u8] {
    let end = bytes.iter().take(most).position(|byte| *byte == 0).unwrap_or(bytes.len().min(most));
    bytes.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn command(arguments: &[&[u8]]) -> Command {
        Command { arguments: arguments.iter().map(|argument| Bytes::copy_from_slice(argument)).collect() }
    }

    fn refused(arguments: &[&[u8]]) -> String {
        let Refused(text) = look_up(&command(arguments)).expect_err("refused");
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn names_are_found_in_letters_of_any_size() {
        let found = |arguments: &[&[u8]]| look_up(&command(arguments)).expect("found").name;
        assert_eq!(found(&[b"pUbLiSh", b"a", b"b"]), "publish");
        assert_eq!(found(&[b"CLIENT", b"Id"]), "client|id");
        assert_eq!(found(&[b"COMMAND"]), "command");
        assert_eq!(found(&[b"POST"]), "post");
    }

    /// As redis-server 7.0.15 says it.
    #[test]
    fn refusals_have_the_words_of_redis() {
        for (arguments, words) in [
            (&[&b"foo"[..]][..], "ERR unknown command 'foo', with args beginning with: "),
            (&[b"foo", b"a", b"b"], "ERR unknown command 'foo', with args beginning with: 'a' 'b' "),
            (&[b"fo\0o", b"\0"], "ERR unknown command 'fo', with args beginning with: '' "),
            (&[b"", b"x"], "ERR unknown command '', with args beginning with: 'x' "),
            (&[b"echo"], "ERR wrong number of arguments for 'echo' command"),
            (&[b"PUBLISH", b"a"], "ERR wrong number of arguments for 'publish' command"),
            (&[b"client"], "ERR wrong number of arguments for 'client' command"),
            (&[b"client", b"ID", b"x"], "ERR wrong number of arguments for 'client|id' command"),
            (&[b"client", b"FOO"], "ERR unknown subcommand 'FOO'. Try CLIENT HELP."),
            (&[b"pubsub", b"foo"], "ERR unknown subcommand 'foo'. Try PUBSUB HELP."),
            (&[b"command", b"foo"], "ERR unknown subcommand 'foo'. Try COMMAND HELP."),
        ] {
            assert_eq!(refused(arguments), words);
        }
        let channels = command(&[b"pubsub", b"CHANNELS", b"a", b"b"]);
        let words = "ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.";
        assert_eq!(wrong_subcommand(&channels).0, words.as_bytes());
    }

    #[test]
    fn errors_quote_no_more_than_redis_does() {
        let (f, x, y) = ([b'F'; 200], [b'x'; 100], [b'y'; 100]);
        let words = format!(
            "ERR unknown command '{}', with args beginning with: '{}' '{}' ",
            "F".repeat(128),
            "x".repeat(100),
            "y".repeat(25)
        );
        assert_eq!(refused(&[&f, &x, &y, b"z"]), words);
    }
}
