//! `campanile`: a realtime publish/subscribe cluster in one program. Here are only the subcommands; what they do
//! lies in the crates.

mod bench;
mod cluster;
mod common;
mod dev;
mod files;
mod gateway;
mod ring;
mod topic_server;

use std::process::ExitCode;

use clap::Command;

fn main() -> ExitCode {
    let matches = command().get_matches();
    match matches.subcommand() {
        Some(("topic-server", matches)) => topic_server::run(matches),
        Some(("gateway", matches)) => gateway::run(matches),
        Some(("ring", matches)) => ring::run(matches),
        Some(("bench", matches)) => bench::run(matches),
        Some((_, matches)) => dev::run(matches),
        // No subcommand: as if it were `dev`, which has no option that must be given.
        None => dev::run(&dev::command().get_matches_from(["campanile dev"])),
    }
}

fn command() -> Command {
    Command::new("campanile")
        .about("A realtime publish/subscribe cluster: WebSocket gateways, topic servers, a ring, no broker")
        .version(common::VERSION)
        .after_help(
            "Without a subcommand it runs `campanile dev`: a whole cluster in this process, to try it out.\n\
             Every option of a subcommand can also be given as a variable: CAMPANILE_ and its name in capitals, \
             with _ for -, such as CAMPANILE_PORT=0.",
        )
        .subcommand(dev::command())
        .subcommand(topic_server::command())
        .subcommand(gateway::command())
        .subcommand(ring::command())
        .subcommand(bench::command())
}
