//! More connections than a process may have open files.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cluster::{Cluster, Way};
use crate::failure::Result;
use crate::http;
use crate::judge::{Judge, Load};
use crate::probe::Probe;
use crate::process::tool;
use crate::report::{Row, Rows, in_words};
use crate::socket;
use crate::stage::{Stage, install};
use crate::wait::{eventually, time_until};

/// Open files that the limited processes may have.
const LIMIT: usize = 256;
const PATIENCE: Duration = Duration::from_secs(20);

/// Connections beyond the limit to a gateway and to a topic server: who is there stays, and later ones are served.
pub(super) async fn exhausted(stage: &Stage) -> Result<Vec<Row>> {
    install(stage, "util-linux", || tool(&["prlimit", "--version"]).is_ok())?;
    let mut rows = Rows::new("descriptor-exhaustion");
    let limited = || Way::default().within(&["prlimit", &format!("--nofile={LIMIT}:{LIMIT}")]);
    let mut cluster =
        Cluster::start(stage, &[Way::default(), limited()], &[Way::default(), limited()]).await?;
    // The check's clients come and go at the gateway that has files.
    let roomy = cluster.gateways[0].address;
    let load = Load { lossless: true, ..Load::default() };
    let judge = Judge::start_on(stage, &cluster, &load, &[roomy]).await?;
    let [gateway, server] = [&cluster.gateways[1], &cluster.topic_servers[1]];
    let topics = [cluster.topics_of("ts-a", 3)?, cluster.topics_of("ts-b", 3)?].concat();
    let probe = Probe::start(gateway.address, roomy, &topics, 200).await?;
    stage.say("connections beyond the limit of one gateway and one topic server");
    let begun = Instant::now();
    let mut connections = Vec::new();
    for address in [gateway.address, server.address] {
        for _ in 0..LIMIT * 2 {
            // The kernel takes some of those that the process does not.
            if let Ok(Ok(connection)) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await
            {
                connections.push(connection);
            }
        }
    }
    let used = || [gateway.id(), server.id()].map(http::descriptors);
    let mut most = used();
    // It paces its accepts, and may turn connections away before it has no file left.
    for _ in 0..20 {
        stage.hold(Duration::from_millis(50)).await;
        let [first, second] = used();
        most = [most[0].max(first), most[1].max(second)];
    }
    let offered = connections.len();
    stage.say(&format!("{offered} connections stand; open files at most {most:?} of {LIMIT}"));
    rows.must("connections offered", offered, &format!("at least {}", 2 * LIMIT), offered >= 2 * LIMIT);
    rows.tell("open files of the gateway and the topic server", format!("{most:?} of {LIMIT}"));
    stage.hold(stage.long(3, 8)).await;
    let found = probe.between(begun, Instant::now() - Duration::from_secs(1));
    let lost = found.publishes - found.delivered + found.errors;
    rows.must("publishes of those who were there before, lost", lost, "0", lost == 0);
    rows.tell("their p99", in_words(found.p99));
    stage.say("they go");
    drop(connections);
    let gone = Instant::now();
    let joins = async || {
        timeout(Duration::from_millis(500), socket::open(gateway.address, None))
            .await
            .is_ok_and(|socket| socket.is_ok())
    };
    rows.at_most(
        "a new client is served again after",
        time_until(gone, PATIENCE, joins).await,
        stage.within(Duration::from_secs(5)),
    );
    let links = async || match server.metric("ring_version").await {
        version if version > 0.0 => Ok(()),
        version => Err(version),
    };
    eventually("the topic server's admin port answers", PATIENCE, links).await?;
    let freed = async || match used() {
        few if few.iter().all(|&used| used < LIMIT / 2) => Ok(few),
        many => Err(many),
    };
    let few = eventually("their open files are few again", PATIENCE, freed).await?;
    rows.tell("open files afterwards", format!("{few:?}"));
    probe.is_whole()?;
    judge.finish(&mut rows).await?;
    cluster.still_stands(&mut rows);
    Ok(rows.into_rows())
}
