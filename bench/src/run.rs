//! The way from arguments to report and exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::ArgMatches;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::arguments::{Common, Reader};
use crate::report::Report;
use crate::{check, connect, fanout, floor, idle, pipe, process_stats, rooms, topics};

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Bad settings, every one named: exit code 2.
    Settings(Vec<String>),
    /// The run could not be done: exit code 1. Says what to do next.
    Running(String),
}

/// Runs what the arguments of [`crate::command`] ask for, prints the report to stdout and gives the exit code:
/// 0 all was well, 1 a fault was found or the run failed, 2 bad settings.
pub fn run(matches: &ArgMatches) -> ExitCode {
    if let Some(("floor-server", matches)) = matches.subcommand() {
        return floor::run(matches);
    }
    let done = perform(matches);
    // There is nowhere left to tell of an output that is closed.
    match done {
        Ok(report) => {
            let json = matches.subcommand().is_some_and(|(_, matches)| matches.get_flag("json"));
            let text = if json { format!("{:#}\n", report.json()) } else { report.table() };
            let _ = std::io::stdout().write_all(text.as_bytes());
            if report.ok() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(Failure::Settings(faults)) => {
            let _ = faults.iter().try_for_each(|fault| writeln!(std::io::stderr(), "error: {fault}"));
            ExitCode::from(2)
        }
        Err(Failure::Running(what)) => {
            let _ = writeln!(std::io::stderr(), "error: {what}");
            ExitCode::from(1)
        }
    }
}

/// Runs what the arguments ask for, on this thread alone. Must not be called inside a tokio runtime.
pub fn perform(matches: &ArgMatches) -> Result<Report, Failure> {
    let Some((name, matches)) = matches.subcommand() else {
        return Err(Failure::Settings(vec![
            "bench: name a workload: fanout, rooms, pipe, idle, connect, topics or check".into(),
        ]));
    };
    let mut reader = Reader::new(matches);
    let common = Common::read(&mut reader);
    for fault in common.pids.iter().filter_map(|&pid| process_stats::sample(pid).err()) {
        reader.fault(fault);
    }
    let workload = match name {
        "fanout" => Workload::Fanout(fanout::Settings::read(&mut reader)),
        "rooms" => Workload::Rooms(rooms::Settings::read(&mut reader)),
        "pipe" => Workload::Pipe(pipe::Settings::read(&mut reader)),
        "idle" => Workload::Idle(idle::Settings::read(&mut reader)),
        "connect" => Workload::Connect(connect::Settings::read(&mut reader)),
        "topics" => Workload::Topics(topics::Settings::read(&mut reader)),
        "check" => Workload::Check(check::Settings::read(&mut reader)),
        other => {
            return Err(Failure::Settings(vec![format!("bench: unknown workload {other}")]));
        }
    };
    reader.finish().map_err(Failure::Settings)?;
    // One thread: tasks share their counters without locks, and its CPU time is the generator's.
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let runtime = runtime.map_err(|error| Failure::Running(format!("cannot start the runtime: {error}")))?;
    let mut report = runtime.block_on(async {
        let stop = Stop::on_signals();
        if common.busy_poll {
            tokio::task::spawn_local(never_sleep());
        }
        match workload {
            Workload::Fanout(settings) => fanout::run(&settings, &common, &stop).await,
            Workload::Rooms(settings) => rooms::run(&settings, &common, &stop).await,
            Workload::Pipe(settings) => pipe::run(&settings, &common, &stop).await,
            Workload::Idle(settings) => idle::run(&settings, &common, &stop).await,
            Workload::Connect(settings) => connect::run(&settings, &common, &stop).await,
            Workload::Topics(settings) => topics::run(&settings, &common, &stop).await,
            Workload::Check(settings) => check::run(&settings, &common, &stop).await,
        }
    })?;
    if common.busy_poll {
        report.busy_polled();
    }
    Ok(report)
}

/// A task that is always ready: the runtime looks at its sockets and comes back instead of waiting for them. A thread
/// that sleeps has to be woken by who writes to its sockets, and on loopback that is the server, at its own cost.
async fn never_sleep() {
    loop {
        tokio::task::yield_now().await;
    }
}

enum Workload {
    Fanout(fanout::Settings),
    Rooms(rooms::Settings),
    Pipe(pipe::Settings),
    Idle(idle::Settings),
    Connect(connect::Settings),
    Topics(topics::Settings),
    Check(check::Settings),
}

/// The user's wish to end early: Ctrl-C or SIGTERM. A second one ends the process at once.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    fn on_signals() -> Self {
        let (wish, stop) = watch::channel(false);
        tokio::task::spawn_local(async move {
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                // Without handlers a signal ends the process, which is the next best thing.
                return std::future::pending().await;
            };
            for second in [false, true] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if second {
                    std::process::exit(1);
                }
                wish.send_replace(true);
            }
        });
        Self(stop)
    }

    /// Returns once the user wants to end.
    pub(crate) async fn wait(&self) {
        // The sender lives as long as the runtime.
        if self.0.clone().wait_for(|wish| *wish).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the user wants to end.
    pub(crate) fn wanted(&self) -> bool {
        *self.0.borrow()
    }
}
