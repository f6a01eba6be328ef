//! `kill -9` of each role under load.

use std::time::{Duration, Instant};

use super::owner::{Fault, out_of_reach, tell_others};
use crate::cluster::{Cluster, Node};
use crate::failure::Result;
use crate::judge::{Judge, Load};
use crate::probe::Probe;
use crate::report::{Row, Rows};
use crate::stage::Stage;
use crate::wait::time_until;

/// How long it is waited for what should come much sooner.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn topic_server(stage: &Stage) -> Result<Vec<Row>> {
    let cluster = Cluster::plain(stage).await?;
    out_of_reach(stage, "kill9-topic-server", cluster, stage.long(7, 10), Kill).await
}

struct Kill;

impl Fault for Kill {
    async fn begin(&mut self, cluster: &mut Cluster) -> Result<()> {
        cluster.topic_servers[1].kill()
    }

    async fn end(&mut self, cluster: &mut Cluster) -> Result<()> {
        cluster.topic_servers[1].start().await
    }

    /// The kernel tells everybody.
    fn who_notices<'a>(&self, _: &'a Cluster) -> Vec<(&'a Node, f64)> {
        Vec::new()
    }
}

/// A gateway dies and comes back, several times: its clients go on at the other one, whose own notice nothing.
pub(super) async fn gateway(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Rows::new("kill9-gateway");
    let mut cluster = Cluster::plain(stage).await?;
    // No owner dies: nobody may lose anything.
    let judge = Judge::start(stage, &cluster, &Load { lossless: true, ..Load::default() }).await?;
    let survivor = cluster.gateways[0].address;
    let mut topics = cluster.topics_of("ts-a", 3)?;
    topics.extend(cluster.topics_of("ts-b", 3)?);
    let probe = Probe::start(survivor, survivor, &topics, 200).await?;
    let calm = Instant::now();
    stage.hold(stage.long(3, 10)).await;
    let begun = Instant::now();
    let mut forgotten = Some(Duration::ZERO);
    for _ in 0..stage.many(2, 5) {
        stage.say("kill -9 of the second gateway");
        let killed = Instant::now();
        cluster.gateways[1].kill()?;
        for server in &cluster.topic_servers {
            let gone = time_until(killed, PATIENCE, async || server.metric("links").await == 1.0).await;
            forgotten = forgotten.zip(gone).map(|(longest, gone)| longest.max(gone));
        }
        stage.hold(stage.long(2, 5)).await;
        stage.say("it starts again");
        cluster.gateways[1].start().await?;
        stage.hold(stage.long(2, 5)).await;
    }
    let during = probe.between(begun, Instant::now() - Duration::from_secs(1));
    let before = probe.between(calm, begun);
    rows.at_most("topic servers drop its links after", forgotten, stage.within(Duration::from_secs(1)));
    let lost = during.publishes - during.delivered + during.errors;
    rows.must("publishes of other clients not delivered", lost, "0", lost == 0);
    tell_others(&mut rows, stage, &before, &during);
    probe.is_whole()?;
    stage.say("everybody catches up");
    let report = judge.finish(&mut rows).await?;
    rows.tell("channels that came back with all they missed", report["results"]["recovered"].to_string());
    cluster.still_stands(&mut rows);
    Ok(rows.into_rows())
}
