//! `campanile bench`: the load generator and correctness checker; all of it is in `campanile-bench`.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

/// The subcommand and its options.
pub(crate) fn command() -> Command {
    campanile_bench::command()
}

/// Runs it: 0 all was well, 1 a fault was found or the run failed, 2 bad settings.
pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    campanile_bench::run(matches)
}
