//! The floor server's command line and its end.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{SignalKind, signal};

use super::server::serve;
use crate::opening::reserve_all_files;

pub(crate) fn command() -> Command {
    Command::new("floor-server")
        .about("What to compare servers with: one `send` per delivery and nothing else (--protocol floor)")
        .hide(true)
        .arg(
            Arg::new("listen")
                .long("listen")
                .value_name("ADDR")
                .default_value("127.0.0.1:4900")
                .value_parser(value_parser!(SocketAddr))
                .help("Where to listen; port 0 takes any free one"),
        )
}

/// Serves until SIGTERM or SIGINT: 0; or 1 if it cannot.
pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    let listen = matches.get_one::<SocketAddr>("listen").copied();
    let listen = listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 4900)));
    reserve_all_files();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let served = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let listener = TcpListener::bind(listen).await?;
            writeln!(std::io::stdout(), "listening floor {}", listener.local_addr()?)?;
            tokio::select! {
                served = serve(listener) => served,
                _ = terminate.recv() => Ok(()),
                _ = interrupt.recv() => Ok(()),
            }
        })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere left to tell of an output that is closed.
            let _ = writeln!(std::io::stderr(), "error: --listen {listen}: {error}");
            ExitCode::from(1)
        }
    }
}
