//! What the subcommands that run something have in common: settings, exit codes, the start and the admin port.

use std::fmt::Display;
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use campanile_process::admin::{self, Admin, Readiness};
use campanile_process::listen;
use campanile_process::memory::{self, MemoryGuard};
use campanile_process::metrics::{Registry, register_process};
use campanile_process::open_files::{self, OpenFiles};
use campanile_process::settings::{Faults, Kind, Resolver, Setting};
use campanile_process::shutdown::Shutdown;
use campanile_process::telemetry;
use tokio_util::sync::CancellationToken;

/// What `--version` prints behind the name: release, commit, and the version of the link between the tiers.
pub(crate) const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("CAMPANILE_COMMIT"), ", link version 2)");

/// Exit code for bad settings, ring or config.
const BAD_SETTINGS: u8 = 2;

/// Fewer connections than this deserve a warning at the start.
const CONNECTIONS_WANTED: u64 = 10_000;

/// The settings of every subcommand that runs a part of a cluster.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "ring",
        value: "FILE",
        kind: Kind::Path,
        default: "",
        help: "The ring file, watched for edits; without it ring.toml in this folder, or else the example ring \
               compiled in (ts-a on 127.0.0.1:5001, ts-b on 127.0.0.1:5002)",
    },
    Setting {
        name: "config",
        value: "FILE",
        kind: Kind::Path,
        default: "",
        help: "A TOML file with settings (flags' names with _ for -) and [[topics]] tables, which are watched for \
               edits",
    },
    Setting {
        name: "admin",
        value: "ADDR",
        kind: Kind::Address,
        default: "",
        help: "Serve /metrics (Prometheus), /healthz and /readyz here",
    },
    Setting {
        name: "log",
        value: "FILTER",
        kind: Kind::Text,
        default: "info",
        help: "What to log on stderr: error, warn, info, debug, trace, or a filter such as \
               info,campanile_gateway=debug",
    },
    Setting {
        name: "drain-seconds",
        value: "SECONDS",
        kind: Kind::Seconds { min: 0, max: 3600 },
        default: "10",
        help: "How long an orderly end after SIGTERM or SIGINT may take; a second signal ends at once",
    },
    Setting {
        name: "memory-watermark",
        value: "BYTES",
        kind: Kind::Bytes { min: 0, max: 1 << 44 },
        default: "",
        help: "With more memory in RAM than this, the process takes no new connections, topics and publishes until it is \
               5 % below; 0 for never, without it 80 % of what the cgroup or the machine has",
    },
];

/// The values of [`SETTINGS`].
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) ring: Option<PathBuf>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) log: String,
    pub(crate) drain: Duration,
    memory_watermark: Option<u64>,
}

/// Why a subcommand did not end in good order.
pub(crate) enum End {
    /// Settings, ring or config; all faults at once.
    Bad(Faults),
    /// A taken port, or a failure while running.
    Failed(String),
}

impl Common {
    pub(crate) fn resolve(resolver: &mut Resolver<'_>) -> Self {
        let log = resolver.text("log").unwrap_or_default();
        resolver.faults(telemetry::check(&log).err());
        Self {
            // `--config` is read before all others, see `cluster::read_config`.
            ring: resolver.path("ring"),
            admin: resolver.address("admin"),
            log,
            drain: resolver.seconds("drain-seconds"),
            memory_watermark: resolver.bytes_if_given("memory-watermark"),
        }
    }

    /// Logs, and the limit of open files, which comes back. Call it when all settings are known to be good.
    pub(crate) fn start(&self, holds_clients: bool) -> Result<OpenFiles, End> {
        telemetry::start(&self.log).map_err(|fault| End::Bad(fault.into()))?;
        let files = open_files::raise_and_check();
        if holds_clients {
            files.warn_if_low(CONNECTIONS_WANTED);
        }
        Ok(files)
    }

    /// Watches the memory of this process until `end` is cancelled.
    pub(crate) fn watch_memory(&self, end: &CancellationToken) -> MemoryGuard {
        let guard = MemoryGuard::new(self.memory_watermark);
        tokio::spawn(guard.clone().watch(memory::used, end.clone()));
        guard
    }
}

impl From<Faults> for End {
    fn from(faults: Faults) -> Self {
        Self::Bad(faults)
    }
}

/// Runs a subcommand's work and turns its end into an exit code.
pub(crate) fn run<F: Future<Output = Result<(), End>>>(work: impl FnOnce() -> Result<F, End>) -> ExitCode {
    let result = work().and_then(|work| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| End::Failed(format!("cannot start: {error}")))?;
        let result = runtime.block_on(work);
        // What is left are tasks without a deadline of their own; the process need not wait for them.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(End::Bad(faults)) => {
            say(&faults);
            ExitCode::from(BAD_SETTINGS)
        }
        Err(End::Failed(text)) => {
            say(&format!("campanile: {text}"));
            ExitCode::FAILURE
        }
    }
}

/// The signals of this process.
pub(crate) fn signals() -> Result<Shutdown, End> {
    Shutdown::on_signals().map_err(|error| End::Failed(format!("cannot listen for signals: {error}")))
}

/// Listens, announces it, and warns where strangers may come.
pub(crate) async fn listen(
    role: &str,
    address: SocketAddr,
    option: &str,
) -> Result<tokio::net::TcpListener, End> {
    let listener = bind(address, option).await?;
    announce(role, &listener);
    Ok(listener)
}

/// Listens, and says which option to change if that fails.
pub(crate) async fn bind(address: SocketAddr, option: &str) -> Result<tokio::net::TcpListener, End> {
    listen::bind(address, option).await.map_err(|error| End::Failed(error.to_string()))
}

/// Listens where the ring says, and says what to do if that fails.
pub(crate) async fn bind_as_member(name: &str, address: SocketAddr) -> Result<tokio::net::TcpListener, End> {
    listen::bind(address, "").await.map_err(|error| {
        let why = match error.source.kind() {
            std::io::ErrorKind::AddrInUse => "the port is taken by another process".to_owned(),
            std::io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
            _ => format!("cannot listen there: {}", error.source),
        };
        let advice = format!("give {name} another address in the ring file, or end what listens there");
        End::Failed(format!("the ring's address of {name}, {address}: {why}; {advice}"))
    })
}

/// Says on stdout where a listener listens.
pub(crate) fn announce(role: &str, listener: &tokio::net::TcpListener) {
    if let Ok(address) = listener.local_addr() {
        listen::announce(role, address);
        listen::warn_if_public(role, address);
    }
}

/// Serves the admin port, if there is to be one, until `end` is cancelled.
pub(crate) async fn serve_admin(
    address: Option<SocketAddr>,
    mut registries: Vec<Registry>,
    ready: impl Fn() -> Readiness + Send + Sync + 'static,
    memory: &MemoryGuard,
    end: &CancellationToken,
) -> Result<(), End> {
    let Some(address) = address else { return Ok(()) };
    let mut process = Registry::default();
    register_process(&mut process, env!("CARGO_PKG_VERSION"), env!("CAMPANILE_COMMIT"));
    memory.register(&mut process);
    registries.push(process);
    let listener = listen("admin", address, "--admin").await?;
    let admin = Admin { registries: registries.into_iter().map(Arc::new).collect(), ready: Arc::new(ready) };
    tokio::spawn(admin::serve(listener, admin, end.clone()));
    Ok(())
}

/// A line on stderr, which may be closed.
pub(crate) fn say(text: &dyn Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
