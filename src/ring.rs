//! `campanile ring …`: checks, shows, compares and edits ring files. What it says follows from
//! campanile-ring-config; here are only the arguments and the files, in `words` what is printed, and in `replace`
//! how an edit reaches the disk.

mod replace;
mod words;

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use campanile_process::settings::{Fault, read_text};
use campanile_ring_config::edit::{self, EditError, Edited};
use campanile_ring_config::{Movement, Ring, watch};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};

use replace::replace;
use words::{diff_json, movement_text, show_json, show_text, summary};

/// Longest topic in bytes.
const TOPIC_BYTES: usize = 1_024;

/// Largest file that is read from standard input, in bytes; `read_text` has the same bound.
const STDIN_BYTES: u64 = 16 << 20;

/// Why a subcommand ended early.
enum End {
    /// A bad ring, file or argument: exit code 2.
    Bad(String),
    /// Something failed while running: exit code 1.
    Failed(String),
}

/// The arguments of `campanile ring`.
pub(crate) fn command() -> Command {
    let name = || Arg::new("NAME").required(true).help("Name of the topic server, such as ts-c");
    let weight = || {
        let arg = Arg::new("weight").long("weight").value_name("W").value_parser(value_parser!(u32));
        arg.help("Share of the topics relative to the other members', 1 to 1000")
    };
    let json = || Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print one JSON object");
    Command::new("ring")
        .about("Check, show, compare and edit ring files")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("check")
                .about("Check a ring file; name every fault with its line, exit 2 if there is one")
                .arg(file("FILE")),
        )
        .subcommand(
            Command::new("show")
                .about("Show members, addresses, weights, and each member's share of the topics")
                .args([file("FILE"), json()]),
        )
        .subcommand(
            Command::new("owner")
                .about("Print the owner of a topic; of several topics: topic, tab, owner")
                .arg(file("FILE"))
                .arg(
                    Arg::new("TOPIC")
                        .required(true)
                        .num_args(1..)
                        .value_parser(value_parser!(OsString))
                        .help("Topics, 1 to 1024 bytes each"),
                )
                .after_help("Example:\n  campanile ring owner ring.toml topics:matrix"),
        )
        .subcommand(
            Command::new("diff")
                .about("Show how many percent of the topics move between two ring files, from whom to whom")
                .args([file("OLD"), file("NEW"), json()])
                .after_help("Example:\n  git show HEAD:ring.toml | campanile ring diff - ring.toml"),
        )
        .subcommand(
            Command::new("add")
                .about("Add a member, raise the version, and show what moves")
                .args([edited_file(), name()])
                .arg(Arg::new("ADDRESS").required(true).help("Where it is reached, such as 127.0.0.1:5003"))
                .arg(weight().default_value("1"))
                .after_help("Example:\n  campanile ring add ring.toml ts-c 127.0.0.1:5003 --weight 2"),
        )
        .subcommand(
            Command::new("remove")
                .about("Remove a member, raise the version, and show what moves")
                .args([edited_file(), name()])
                .after_help("Example:\n  campanile ring remove ring.toml ts-c"),
        )
        .subcommand(
            Command::new("set")
                .about("Change a member's address or weight, raise the version, and show what moves")
                .args([edited_file(), name()])
                .arg(
                    Arg::new("address")
                        .long("address")
                        .value_name("ADDRESS")
                        .help("Where it is reached from now on, such as 127.0.0.1:5003"),
                )
                .arg(weight())
                .group(ArgGroup::new("new").args(["address", "weight"]).required(true).multiple(true))
                .after_help("Example:\n  campanile ring set ring.toml ts-c --weight 3"),
        )
        .after_help(
            "Examples:\n  campanile ring check ring.toml\n  campanile ring show ring.toml\n  \
             campanile ring owner ring.toml topics:matrix\n  \
             campanile ring add ring.toml ts-c 127.0.0.1:5003\n\n\
             Where FILE is only read, - stands for standard input. Exit codes: 0 done, 1 cannot write, \
             2 bad ring, file or usage.",
        )
}

/// Does what the arguments say. Faults go to stderr, one per line.
pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    let done = match matches.subcommand() {
        Some(("check", matches)) => check(matches),
        Some(("show", matches)) => show(matches),
        Some(("owner", matches)) => owner(matches),
        Some(("diff", matches)) => diff(matches),
        Some(("add", matches)) => change(matches, |shown, text| {
            let weight = matches.get_one("weight").copied().unwrap_or(1);
            edit::add(shown, text, text_of(matches, "NAME"), text_of(matches, "ADDRESS"), weight)
        }),
        Some(("remove", matches)) => {
            change(matches, |shown, text| edit::remove(shown, text, text_of(matches, "NAME")))
        }
        Some(("set", matches)) => change(matches, |shown, text| {
            let address = matches.get_one::<String>("address").map(String::as_str);
            edit::set(shown, text, text_of(matches, "NAME"), address, matches.get_one("weight").copied())
        }),
        _ => Err(End::Bad("ring: no such subcommand; see campanile ring --help".to_owned())),
    };
    let (code, says) = match done.and_then(|output| print(&output)) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(End::Bad(says)) => (2, says),
        Err(End::Failed(says)) => (1, says),
    };
    // Nobody is left to be told if stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{says}");
    ExitCode::from(code)
}

fn check(matches: &ArgMatches) -> Result<Vec<u8>, End> {
    let (shown, ring) = ring_of(matches, "FILE")?;
    Ok(format!("{shown}: ok, {}\n", summary(&ring)).into())
}

fn show(matches: &ArgMatches) -> Result<Vec<u8>, End> {
    let (shown, ring) = ring_of(matches, "FILE")?;
    let output = if matches.get_flag("json") { show_json(&ring) } else { show_text(&shown, &ring) };
    Ok(output.into())
}

fn owner(matches: &ArgMatches) -> Result<Vec<u8>, End> {
    let (_, ring) = ring_of(matches, "FILE")?;
    let topics: Vec<&[u8]> = matches
        .get_many::<OsString>("TOPIC")
        .into_iter()
        .flatten()
        .map(|topic| topic.as_encoded_bytes())
        .collect();
    if let Some(topic) = topics.iter().find(|topic| !(1..=TOPIC_BYTES).contains(&topic.len())) {
        return Err(End::Bad(format!("TOPIC: has {} bytes; a topic has 1 to {TOPIC_BYTES}", topic.len())));
    }
    let mut output = Vec::new();
    for topic in &topics {
        if topics.len() > 1 {
            output.extend_from_slice(topic);
            output.push(b'\t');
        }
        output.extend_from_slice(ring.owner(topic).name().as_bytes());
        output.push(b'\n');
    }
    Ok(output)
}

fn diff(matches: &ArgMatches) -> Result<Vec<u8>, End> {
    if ["OLD", "NEW"].iter().all(|id| matches.get_one::<PathBuf>(id).is_some_and(|path| is_stdin(path))) {
        return Err(End::Bad("OLD and NEW cannot both be standard input".to_owned()));
    }
    // Both are read before either ends the command: every fault is named.
    let (old, new) = match (ring_of(matches, "OLD"), ring_of(matches, "NEW")) {
        (Ok((_, old)), Ok((_, new))) => (old, new),
        (Err(End::Bad(old)), Err(End::Bad(new))) => return Err(End::Bad(format!("{old}\n{new}"))),
        (Err(end), _) | (_, Err(end)) => return Err(end),
    };
    let movement = Movement::between(&old, &new);
    let refused = watch::adopt(&old, new.clone()).err();
    if matches.get_flag("json") {
        return Ok(diff_json(&old, &new, &movement, refused.is_none()).into());
    }
    let mut output = format!("version {} -> version {}\n", old.version(), new.version());
    movement_text(&movement, &mut output);
    if let Some(refused) = refused {
        let _ = writeln!(output, "a running cluster would refuse this edit: {refused}");
    }
    Ok(output.into())
}

/// Edits the file and says what that moves.
fn change(
    matches: &ArgMatches,
    edit: impl FnOnce(&str, &str) -> Result<Edited, EditError>,
) -> Result<Vec<u8>, End> {
    let Some(path) = matches.get_one::<PathBuf>("FILE") else {
        return Err(End::Bad("no FILE".to_owned()));
    };
    let shown = path.display().to_string();
    if is_stdin(path) {
        return Err(End::Bad("standard input cannot be edited; name a file".to_owned()));
    }
    let text = read_text(path).map_err(|error| unreadable(&shown, &error))?;
    let edited = edit(&shown, &text).map_err(|error| match error {
        EditError::Faulty(faults) => End::Bad(faults.to_string()),
        other => End::Bad(Fault::new(shown.as_str(), other.to_string()).to_string()),
    })?;
    replace(path, &text, &edited.text)
        .map_err(|error| End::Failed(format!("{shown}: not changed: {error}")))?;
    let mut output = format!("{shown}: {}\n", summary(&edited.after));
    match &edited.before {
        Some(before) => movement_text(&Movement::between(before, &edited.after), &mut output),
        None => output.push_str("the ring was empty before\n"),
    }
    Ok(output.into())
}

fn file(id: &'static str) -> Arg {
    let arg = Arg::new(id).required(true).value_parser(value_parser!(PathBuf));
    arg.help("Ring file; - reads standard input")
}

fn edited_file() -> Arg {
    file("FILE").help("Ring file to edit; its comments stay")
}

fn text_of<'a>(matches: &'a ArgMatches, id: &str) -> &'a str {
    matches.get_one::<String>(id).map_or("", String::as_str)
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == OsStr::new("-")
}

/// Reads and checks the ring that an argument names; says also what faults call it.
fn ring_of(matches: &ArgMatches, id: &str) -> Result<(String, Ring), End> {
    let Some(path) = matches.get_one::<PathBuf>(id) else {
        return Err(End::Bad(format!("no {id}")));
    };
    let (shown, read) = if is_stdin(path) {
        let shown = "standard input".to_owned();
        let text = read_stdin().map_err(|error| unreadable(&shown, &error))?;
        let read = Ring::parse(&shown, &text);
        (shown, read)
    } else {
        (path.display().to_string(), Ring::read(path).map(|(ring, _)| ring))
    };
    Ok((shown, read.map_err(|faults| End::Bad(faults.to_string()))?))
}

fn read_stdin() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().lock().take(STDIN_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > STDIN_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16 MiB"));
    }
    Ok(text)
}

fn unreadable(shown: &str, error: &io::Error) -> End {
    End::Bad(Fault::new(shown, format!("cannot be read: {error}")).to_string())
}

/// Writes to stdout. A reader that has seen enough and closed the pipe is no failure.
fn print(output: &[u8]) -> Result<(), End> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(output).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(End::Failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        command().debug_assert();
        let parse = |line: &str| command().try_get_matches_from(line.split(' '));
        assert!(parse("ring set ring.toml ts-a --weight 3").is_ok());
        assert!(parse("ring set ring.toml ts-a --weight 3 --address h:1").is_ok());
        assert!(parse("ring set ring.toml ts-a").is_err());
        assert!(parse("ring owner ring.toml").is_err());
        assert!(parse("ring show -").is_ok());
    }
}
