//! Before the measurement: enough open files, addresses looked up, all connections opened and joined.

use futures_util::stream::{self, StreamExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::arguments::Common;
use crate::client::{Connection, Connector};
use crate::progress::Progress;
use crate::protocol::Channel;
use crate::run::{Failure, Stop};
use crate::target::sources;

/// How many connections are being opened at a time.
const AT_A_TIME: usize = 64;
/// Open files beside the connections: standard streams, the runtime's, `/proc`.
const SPARE_FILES: u64 = 64;

/// Makes room for this many open files, up to the hard limit; a failure says how to raise that.
pub(crate) fn reserve_files(needed: usize) -> Result<(), Failure> {
    let needed = needed as u64 + SPARE_FILES;
    let limit = getrlimit(Resource::Nofile);
    // `None` is: no limit.
    let allowed = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
    if allowed(limit.current) {
        return Ok(());
    }
    let raised = Rlimit { current: limit.maximum.map(|maximum| maximum.max(needed)), maximum: limit.maximum };
    if allowed(limit.maximum) && setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    let maximum = limit.maximum.unwrap_or(u64::MAX);
    Err(Failure::Settings(vec![format!(
        "this run needs {needed} open files, and the limit is {maximum}: raise it (as root `ulimit -Hn {needed}`, \
         or LimitNOFILE in a systemd unit, or /etc/security/limits.conf) or ask for fewer connections"
    )]))
}

/// Makes room for as many open files as there may be.
pub(crate) fn reserve_all_files() {
    let limit = getrlimit(Resource::Nofile);
    // A server with fewer than it could have still serves.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Looks up the targets and chooses the sources for this many connections, or connections in the whole run.
pub(crate) async fn connector(
    common: &Common,
    connections: usize,
    payload_bytes: usize,
) -> Result<Connector, Failure> {
    let mut targets = Vec::new();
    for url in &common.urls {
        targets.push(url.resolve().await.map_err(Failure::Running)?);
    }
    let sources = sources(&common.sources, &targets, connections);
    Ok(Connector::new(targets, sources, common.deadline, payload_bytes))
}

/// Opens one connection per channel and joins it, in the channels' order; the first that fails ends all.
pub(crate) async fn open_all(
    connector: &Connector,
    channels: &[&Channel],
    stop: &Stop,
) -> Result<Vec<Connection>, Failure> {
    let progress = Progress::new("connecting", channels.len() as u64);
    let opening = async {
        let mut opened = Vec::with_capacity(channels.len());
        let mut pending = stream::iter(channels.iter().enumerate())
            .map(|(number, channel)| connector.join(number, channel))
            .buffered(AT_A_TIME);
        while let Some(connection) = pending.next().await {
            opened.push(connection.map_err(|error| {
                Failure::Running(format!(
                    "{} (connection {} of {}): {}",
                    error.reason,
                    opened.len() + 1,
                    channels.len(),
                    error.advice
                ))
            })?);
            progress.show(opened.len() as u64, format!("{} of {}", opened.len(), channels.len()));
        }
        Ok(opened)
    };
    tokio::select! {
        opened = opening => opened,
        () = stop.wait() => Err(Failure::Running("interrupted while connecting: nothing was measured".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_there_are_can_be_reserved_and_more_cannot() {
        assert!(reserve_files(1).is_ok());
        if let Some(maximum) = getrlimit(Resource::Nofile).maximum {
            let Err(Failure::Settings(faults)) = reserve_files(maximum as usize) else { panic!("accepted") };
            assert!(faults[0].contains("ulimit -Hn"), "{faults:?}");
        }
    }
}
