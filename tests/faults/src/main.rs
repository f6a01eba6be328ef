//! `campanile-faults`: faults from outside, on real processes.
//!
//! Each scenario starts gateways and topic servers, runs `campanile bench check` beside them, does something to them, and
//! says in a table what was measured and whether it is what it must be.
//!
//! * `scenarios`: what is done, one file per kind of fault; `stage`: what each of them is given;
//! * `cluster`, `process`, `network`: what runs, and where;
//! * `judge`, `probe`, `http`: who looks; `socket`: a client that can do what no client should;
//! * `soak`: parts of the scenario of that name;
//! * `report`, `failure`, `wait`: small parts.

mod cluster;
mod failure;
mod http;
mod judge;
mod network;
mod probe;
mod process;
mod report;
mod scenarios;
mod soak;
mod socket;
mod stage;
mod wait;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;
use crate::report::{Row, json, table};
use crate::scenarios::{SCENARIOS, Scenario};
use crate::stage::Stage;

/// A scenario may not take longer, in seconds: in the short form, by hand, and by hand where it is long.
const LIMITS: [u64; 3] = [60, 900, 5400];

fn command() -> Command {
    let width = SCENARIOS.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    let line = |scenario: &Scenario| {
        let (name, about) = (scenario.name, scenario.about);
        let root = if scenario.needs_root { " (root)" } else { "" };
        let long = if scenario.is_long { " (in full, which is long, only if it is named)" } else { "" };
        let ci = if scenario.in_ci { "* " } else { "  " };
        format!("  {ci}{name:width$}  {about}{root}{long}\n")
    };
    let list: String = SCENARIOS.iter().map(line).collect();
    Command::new("scripts/faults")
        .about("Faults from outside on real gateways and topic servers, with `campanile bench check` as the judge")
        .after_help(format!(
            "Scenarios; those with a * are the ones that run with --ci:\n{list}\n\
             Exit code 0: all that must hold held; 1: something did not, or a scenario could not be carried out; 2: bad \
             options. What cannot run here, for lack of rights or tools, is skipped with a line that says so; with CI=true \
             and as root it must run. Every process that is signalled is one of the scenario's own."
        ))
        .arg(Arg::new("scenario").value_name("SCENARIO").num_args(0..).help("Which to run [default: all but `soak`]"))
        .arg(flag("short", "The short form: each at most 60 s"))
        .arg(flag("ci", "The short form of those with a *"))
        .arg(flag("list", "Print the names of all scenarios"))
        .arg(flag("inside", "This process has namespaces of its own").hide(true))
        .arg(option("seconds", "How long the main part of a scenario is to take").value_parser(clap::value_parser!(u64).range(1..=3600)))
        .arg(option("minutes", "The same in minutes").value_parser(clap::value_parser!(u64).range(1..=60)).conflicts_with("seconds"))
        .arg(option("json", "Write the rows to this file as JSON").value_parser(clap::value_parser!(PathBuf)))
        .arg(
            option("program", "The campanile to test [default: target/release/campanile, or else target/debug/campanile]")
                .value_parser(clap::value_parser!(PathBuf)),
        )
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn option(name: &'static str, help: &'static str) -> Arg {
    let value = match name {
        "seconds" | "minutes" => "N",
        _ => "FILE",
    };
    Arg::new(name).long(name).value_name(value).help(help)
}

fn main() -> ExitCode {
    let matches = command().get_matches();
    if matches.get_flag("list") {
        for scenario in SCENARIOS {
            say(scenario.name);
        }
        return ExitCode::SUCCESS;
    }
    match chosen(&matches).and_then(|chosen| run(&matches, &chosen)) {
        Ok(code) => code,
        Err(what) => {
            complain(&what);
            ExitCode::from(2)
        }
    }
}

/// The scenarios that the arguments name.
fn chosen(matches: &ArgMatches) -> Result<Vec<&'static Scenario>, String> {
    let names: Vec<_> = matches.get_many::<String>("scenario").into_iter().flatten().collect();
    if names.is_empty() {
        let is_meant =
            |scenario: &&Scenario| if matches.get_flag("ci") { scenario.in_ci } else { !scenario.is_long };
        return Ok(SCENARIOS.iter().filter(is_meant).collect());
    }
    let find = |name: &&String| {
        let found = SCENARIOS.iter().find(|scenario| scenario.name == name.as_str());
        found.ok_or_else(|| format!("no scenario is called {name:?}; --list prints all names"))
    };
    names.iter().map(find).collect()
}

fn run(matches: &ArgMatches, chosen: &[&Scenario]) -> Result<ExitCode, String> {
    let program = program(matches)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the runtime: {error}"))?;
    let inside = matches.get_flag("inside");
    if !inside {
        complain(&format!("testing {}", program.display()));
    }
    let mut rows = Vec::new();
    let mut all_held = true;
    for scenario in chosen {
        let folder = std::env::temp_dir().join(format!(
            "campanile-faults-{}-{:08x}",
            scenario.name,
            fastrand::u32(..)
        ));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let stage = Stage {
            program: program.clone(),
            folder,
            short: matches.get_flag("short") || matches.get_flag("ci"),
            seconds: matches
                .get_one("seconds")
                .copied()
                .or_else(|| matches.get_one::<u64>("minutes").map(|minutes| minutes * 60)),
            inside,
            began: Instant::now(),
        };
        if !inside {
            complain(&format!("{}: {}", scenario.name, scenario.about));
        }
        let done = runtime.block_on(bounded(scenario, &stage));
        let held = match done {
            Ok(found) => {
                let held = found.iter().all(|row: &Row| row.held != Some(false));
                rows.extend(found);
                held
            }
            Err(Failure::Skipped(why)) => {
                complain(&format!("  SKIPPED: {why}"));
                // Where everything is there, nothing may be left out.
                let must_run = std::env::var("CI").is_ok_and(|ci| ci == "true") && stage::is_root();
                rows.push(empty_row(scenario, &format!("skipped: {why}"), must_run.then_some(false)));
                !must_run
            }
            Err(Failure::Failed(why)) => {
                complain(&format!("  could not be carried out: {why}"));
                rows.push(empty_row(scenario, &format!("could not be carried out: {why}"), Some(false)));
                false
            }
        };
        all_held &= held;
        let took = stage.began.elapsed().as_secs_f64();
        if !inside {
            complain(&format!("  {} after {took:.1} s", if held { "held" } else { "DID NOT HOLD" }));
        }
        if held {
            let _ = std::fs::remove_dir_all(&stage.folder);
        } else {
            complain(&format!("  its files and logs are in {}", stage.folder.display()));
        }
    }
    if let Some(file) = matches.get_one::<PathBuf>("json") {
        std::fs::write(file, format!("{:#}\n", json(&rows)))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    say(&format!("\n{}", table(&rows)));
    say(if all_held { "All that must hold held." } else { "NOT all that must hold held." });
    Ok(if all_held { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Runs one, at most as long as it may take, and until somebody wants an end: its processes end with it.
async fn bounded(scenario: &Scenario, stage: &Stage) -> failure::Result<Vec<Row>> {
    let limit = Duration::from_secs(LIMITS[if stage.short { 0 } else { 1 + usize::from(scenario.is_long) }]);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let running = async {
        if scenario.needs_network && !stage.inside {
            network::enter(stage, scenario.name).await
        } else {
            (scenario.run)(stage).await
        }
    };
    tokio::select! {
        done = tokio::time::timeout(limit, running) => {
            done.unwrap_or_else(|_| Err(Failure::new(format!("not done within {limit:?}"))))
        }
        _ = interrupt.recv() => Err(Failure::new("interrupted")),
        _ = terminate.recv() => Err(Failure::new("terminated")),
    }
}

fn empty_row(scenario: &Scenario, why: &str, held: Option<bool>) -> Row {
    let (situation, figure) = (scenario.name.to_owned(), why.to_owned());
    Row { situation, figure, value: String::new(), must: String::new(), held }
}

fn program(matches: &ArgMatches) -> Result<PathBuf, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let built = ["release", "debug"].map(|profile| target.join(profile).join("campanile"));
    let named = matches.get_one::<PathBuf>("program").cloned();
    let found = named.into_iter().chain(built).find(|file| file.is_file());
    let file =
        found.ok_or("no campanile is there: build it (cargo build --release), or name it with --program")?;
    file.canonicalize().map_err(|error| format!("{}: {error}", file.display()))
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
