//! The command line of `campanile bench`: every option, its default and its bounds.
//!
//! Each option can also be given as an environment variable, `CAMPANILE_` and its name in capitals. Values are
//! read by [`Reader`], which finds all faults before any is reported.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::protocol::Protocol;
use crate::target::Url;
use crate::{check, connect, fanout, floor, idle, pipe, rooms, topics};

/// `--url` where it names no gateway.
const TOPIC_SERVER: &str = "The topic server, host:port [default: 127.0.0.1:5001]";

/// The whole `bench` subcommand.
pub fn command() -> Command {
    let workloads =
        [fanout::command(), rooms::command(), pipe::command(), idle::command(), connect::command()]
            .map(|workload| workload.arg(protocol()))
            .into_iter()
            .chain([check::command()])
            .map(common_options)
            .chain([common_options(topics::command()).mut_arg("url", |url| url.help(TOPIC_SERVER))]);
    Command::new("bench")
        .about("Load generator and correctness checker for a running cluster")
        .long_about(
            "Load generator and correctness checker for a running cluster.\n\n\
             Every delivery is checked: each subscriber must see each publish once, in order, undamaged. \
             Exit code 0: all was well; 1: a fault was found, or the run failed; 2: bad settings.",
        )
        .after_help(
            "Every option can also be given as CAMPANILE_ and its name, as in CAMPANILE_PAYLOAD_BYTES.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(workloads.map(|workload| workload.mut_args(with_variable)))
        .subcommand(floor::command().mut_args(with_variable))
}

/// An option with one value; no default is shown or set if `default` is empty.
pub(crate) fn option(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Arg {
    let option = Arg::new(name).long(name).value_name(value).help(help);
    if default.is_empty() { option } else { option.default_value(default) }
}

/// `--protocol`, for the workloads that other systems are measured with too.
fn protocol() -> Arg {
    option(
        "protocol",
        "NAME",
        "phoenix",
        "What the servers speak: phoenix (Campanile, stock Phoenix), nats, socketio, centrifugo, redis, or floor \
         (`campanile bench floor-server`)",
    )
}

/// `--seconds`.
pub(crate) fn seconds(default: &'static str) -> Arg {
    option("seconds", "S", default, "How long to measure, in seconds (0.1 to 86400)")
}

/// `--warm-up`.
pub(crate) fn warm_up(default: &'static str) -> Arg {
    option("warm-up", "S", default, "Seconds of the same load before the measurement (0 to 3600)")
}

/// `--payload-bytes`, `--in-flight`, `--rate` and `--warm-up`: what the workloads that publish have in common.
pub(crate) fn traffic_options(command: Command) -> Command {
    let command = command
        .arg(option("payload-bytes", "B", "128", "Length of each payload's JSON text (50 to 8388608)"))
        .arg(option(
            "in-flight",
            "N",
            "",
            "Closed loop: publishes in flight per topic; one is in flight until every subscriber has it [default: 1]",
        ));
    rate_and_time(command)
}

/// `--rate`, `--seconds` and `--warm-up`.
pub(crate) fn rate_and_time(command: Command) -> Command {
    command
        .arg(option(
            "rate",
            "R",
            "",
            "Open loop: publishes per second in all; latency counts from the scheduled time",
        ))
        .arg(seconds("10"))
        .arg(warm_up("2"))
}

fn common_options(command: Command) -> Command {
    command
        .arg(
            option(
                "url",
                "URL",
                "",
                "A gateway, host:port or ws://host:port[/path] (redis://host:port for redis); repeatable: connections are spread over all \
                 [default: ws://127.0.0.1:4000 and :4001]",
            )
            .action(ArgAction::Append)
            .value_delimiter(','),
        )
        .arg(
            option("pid", "PID", "", "A server process whose CPU and memory to report (Linux); repeatable")
                .action(ArgAction::Append)
                .value_delimiter(','),
        )
        .arg(
            option(
                "source",
                "ADDRESS",
                "",
                "A local address to connect from; repeatable, for more connections than one address has ports \
                 [default: the system's choice; several of 127.0.0.x towards the loopback above 20000]",
            )
            .action(ArgAction::Append)
            .value_delimiter(','),
        )
        .arg(option("topic-prefix", "TEXT", "topics:bench", "What the names of all topics begin with"))
        .arg(option(
            "run",
            "TEXT",
            "",
            "What follows the prefix, before `n` and the topic's number from 0, so that others can join these topics \
             [default: random]",
        ))
        .arg(option(
            "deadline",
            "S",
            "10",
            "Seconds to wait for a connection, a join, a reply, and the last deliveries (0.1 to 600)",
        ))
        .arg(
            Arg::new("busy-poll")
                .long("busy-poll")
                .action(ArgAction::SetTrue)
                .value_parser(BoolishValueParser::new())
                .help(
                    "Never sleep: on a core of its own, so that servers do not pay for waking this process, as they \
                     do not for clients on other machines",
                ),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .value_parser(BoolishValueParser::new())
                .help("Print the report as one JSON object"),
        )
}

fn with_variable(arg: Arg) -> Arg {
    let name = arg.get_id().as_str().to_uppercase().replace('-', "_");
    arg.env(format!("CAMPANILE_{name}")).hide_env(true)
}

/// What every workload needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) protocol: Protocol,
    pub(crate) urls: Vec<Url>,
    pub(crate) pids: Vec<u32>,
    pub(crate) sources: Vec<IpAddr>,
    topic_prefix: String,
    pub(crate) deadline: Duration,
    /// Whether the generator polls without ever sleeping.
    pub(crate) busy_poll: bool,
    /// In the names of this run's topics, so that no other run is on them, unless somebody names it.
    run: String,
}

impl Common {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let protocol = reader.protocol();
        let mut urls = reader.list("url", |text| Url::parse(protocol, text));
        if urls.is_empty() && protocol == Protocol::Phoenix {
            let default = ["127.0.0.1:4000", "127.0.0.1:4001"];
            urls = default.iter().flat_map(|url| Url::parse(protocol, url)).collect();
        }
        if urls.is_empty() && reader.faults.is_empty() {
            reader.fault(format!("--protocol {}: name its servers with --url", protocol.name()));
        }
        Self {
            protocol,
            urls,
            pids: reader.list("pid", |text| {
                text.parse::<u32>().map_err(|_| format!("--pid {text}: expected a process id"))
            }),
            sources: reader.list("source", |text| {
                text.parse::<IpAddr>().map_err(|_| format!("--source {text}: expected an IP address"))
            }),
            topic_prefix: reader.text("topic-prefix"),
            deadline: reader.duration("deadline", 0.1..=600.0),
            busy_poll: reader.flag("busy-poll"),
            run: Some(reader.text("run")).filter(|run| !run.is_empty()).unwrap_or_else(run_id),
        }
    }

    /// The same for a part of the run, on topics of its own.
    pub(crate) fn part(&self, number: usize) -> Self {
        Self { run: format!("{}p{number}", self.run), ..self.clone() }
    }

    /// The name of this run's topic of this number: letters and digits after the prefix.
    pub(crate) fn topic(&self, number: usize) -> String {
        format!("{}{}n{number}", self.topic_prefix, self.run)
    }
}

/// Six letters and digits that differ from run to run.
fn run_id() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut number = since.as_micros() as u64 ^ (u64::from(std::process::id()) << 24);
    let mut text = String::new();
    for _ in 0..6 {
        text.extend(char::from_digit((number % 36) as u32, 36));
        number /= 36;
    }
    text
}

/// When to publish.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// Closed loop: this many publishes in flight per topic.
    InFlight(usize),
    /// Open loop: this many publishes per second over all topics.
    Rate(f64),
}

/// How to publish, and for how long.
#[derive(Debug, Clone)]
pub(crate) struct Traffic {
    pub(crate) payload_bytes: usize,
    pub(crate) pace: Pace,
    pub(crate) seconds: Duration,
    pub(crate) warm_up: Duration,
}

impl Traffic {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            payload_bytes: reader.number("payload-bytes", crate::frame::SMALLEST_PAYLOAD..=8 << 20),
            pace: pace(reader, 1),
            seconds: reader.duration("seconds", 0.1..=86_400.0),
            warm_up: reader.duration("warm-up", 0.0..=3_600.0),
        }
    }
}

/// `--in-flight` or `--rate`; both is a fault, none is `default` in flight.
pub(crate) fn pace(reader: &mut Reader<'_>, default: usize) -> Pace {
    let in_flight = reader.optional("in-flight", 1..=100_000);
    let rate = reader.optional("rate", 0.01..=10_000_000.0);
    if in_flight.is_some() && rate.is_some() {
        reader.fault("--in-flight (closed loop) and --rate (open loop) exclude each other".into());
    }
    rate.map_or(Pace::InFlight(in_flight.unwrap_or(default)), Pace::Rate)
}

/// Reads values and collects every fault.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    matches: &'a ArgMatches,
    faults: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(matches: &'a ArgMatches) -> Self {
        Self { matches, faults: Vec::new() }
    }

    /// Adds a fault of several options together.
    pub(crate) fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// All faults, if there were any.
    pub(crate) fn finish(self) -> Result<(), Vec<String>> {
        if self.faults.is_empty() { Ok(()) } else { Err(self.faults) }
    }

    /// The text, empty if it was not given and has no default.
    pub(crate) fn text(&self, name: &str) -> String {
        self.matches.get_one::<String>(name).cloned().unwrap_or_default()
    }

    /// Whether a flag was given.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.matches.get_flag(name)
    }

    /// A number within bounds, if given; a fault counts as not given.
    pub(crate) fn optional<T>(&mut self, name: &str, bounds: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        let text = self.matches.get_one::<String>(name)?;
        // Digits may be grouped with `_`, as in 20_000.
        match text.replace('_', "").parse::<T>() {
            Ok(value) if bounds.contains(&value) => Some(value),
            _ => {
                let (low, high) = (bounds.start(), bounds.end());
                self.faults.push(format!("--{name} {text}: expected a number from {low} to {high}"));
                None
            }
        }
    }

    /// A number within bounds that has a default; the lower bound in case of a fault.
    pub(crate) fn number<T>(&mut self, name: &str, bounds: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        self.optional(name, bounds.clone()).unwrap_or(*bounds.start())
    }

    /// A number of seconds that has a default.
    pub(crate) fn duration(&mut self, name: &str, bounds: RangeInclusive<f64>) -> Duration {
        Duration::from_secs_f64(self.number(name, bounds))
    }

    /// `--protocol`, where there is one.
    fn protocol(&mut self) -> Protocol {
        let Ok(Some(name)) = self.matches.try_get_one::<String>("protocol") else {
            return Protocol::default();
        };
        Protocol::parse(name).unwrap_or_else(|| {
            let known = Protocol::ALL.map(|(name, _)| name).join(", ");
            self.faults.push(format!("--protocol {name}: expected one of {known}"));
            Protocol::default()
        })
    }

    /// All values of a repeatable option.
    pub(crate) fn list<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut values = Vec::new();
        for text in self.matches.get_many::<String>(name).into_iter().flatten() {
            match parse(text) {
                Ok(value) => values.push(value),
                Err(fault) => self.faults.push(fault),
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<(Common, Traffic), Vec<String>> {
        let matches = command().get_matches_from([&["bench", "fanout"], arguments].concat());
        let mut reader = Reader::new(matches.subcommand().unwrap().1);
        let values = (Common::read(&mut reader), Traffic::read(&mut reader));
        reader.finish().map(|()| values)
    }

    #[test]
    fn the_command_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn defaults_are_two_gateways_and_one_in_flight() {
        let (common, traffic) = read(&[]).unwrap();
        assert_eq!(common.urls.len(), 2);
        assert_eq!(traffic.pace, Pace::InFlight(1));
        assert_eq!(traffic.payload_bytes, 128);
    }

    #[test]
    fn all_faults_at_once() {
        let faults = read(&[
            "--url",
            "nowhere",
            "--pid",
            "x",
            "--seconds",
            "0",
            "--rate",
            "5",
            "--in-flight",
            "2",
            "--payload-bytes",
            "12",
            "--source",
            "here",
            "--warm-up",
            "NaN",
        ])
        .unwrap_err();
        assert_eq!(faults.len(), 7, "{faults:#?}");
    }

    #[test]
    fn other_protocols_have_no_default_server() {
        assert_eq!(read(&["--protocol", "floor"]).unwrap_err().len(), 1);
        let (common, _) = read(&["--protocol", "floor", "--url", ":7"]).unwrap();
        assert_eq!((common.protocol, common.urls.len()), (Protocol::Floor, 1));
        let faults = read(&["--protocol", "amqp"]).unwrap_err();
        assert!(faults[0].contains("phoenix, nats"), "{faults:?}");
    }

    #[test]
    fn lists_by_repetition_and_by_comma() {
        let (common, _) = read(&["--url", "a:1,b:2", "--url", "c:3", "--pid", "7"]).unwrap();
        assert_eq!((common.urls.len(), common.pids), (3, vec![7]));
        assert_eq!(read(&["--rate", "20_000"]).unwrap().1.pace, Pace::Rate(20_000.0));
    }
}
