//! Processes that are there and do nothing: SIGSTOP, then SIGCONT.

use std::time::{Duration, Instant};

use super::owner::{Fault, out_of_reach, tell_others};
use crate::cluster::{Cluster, Node};
use crate::failure::Result;
use crate::judge::{Judge, Load};
use crate::probe::Probe;
use crate::report::{Row, Rows};
use crate::stage::Stage;
use crate::wait::time_until;

/// Within this a process without a sign of life is given up, and what looking for it may add.
const DETECTION: Duration = Duration::from_millis(5_000 + 200);
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn topic_server(stage: &Stage) -> Result<Vec<Row>> {
    let cluster = Cluster::plain(stage).await?;
    out_of_reach(stage, "pause-topic-server", cluster, stage.long(10, 10), Pause).await
}

struct Pause;

impl Fault for Pause {
    async fn begin(&mut self, cluster: &mut Cluster) -> Result<()> {
        cluster.topic_servers[1].pause()
    }

    async fn end(&mut self, cluster: &mut Cluster) -> Result<()> {
        cluster.topic_servers[1].go_on()
    }

    fn who_notices<'a>(&self, cluster: &'a Cluster) -> Vec<(&'a Node, f64)> {
        cluster.gateways.iter().map(|gateway| (gateway, 1.0)).collect()
    }
}

pub(super) async fn gateway(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Rows::new("pause-gateway");
    let mut cluster = Cluster::plain(stage).await?;
    // No owner is away: nobody may lose anything. The clients of the paused gateway go elsewhere after 4 s.
    let load = Load { lossless: true, deadline: 4, ..Load::default() };
    let judge = Judge::start(stage, &cluster, &load).await?;
    let awake = cluster.gateways[0].address;
    let mut topics = cluster.topics_of("ts-a", 3)?;
    topics.extend(cluster.topics_of("ts-b", 3)?);
    let probe = Probe::start(awake, awake, &topics, 200).await?;
    let calm = Instant::now();
    stage.hold(stage.long(3, 10)).await;
    stage.say("SIGSTOP to the second gateway");
    let begun = Instant::now();
    cluster.gateways[1].pause()?;
    for server in &cluster.topic_servers {
        let gone = time_until(begun, PATIENCE, async || server.metric("links").await == 1.0).await;
        rows.at_most(&format!("{} gives its link up after", server.name), gone, stage.within(DETECTION));
    }
    stage.hold(stage.long(10, 10).saturating_sub(begun.elapsed())).await;
    stage.say("SIGCONT");
    let back = Instant::now();
    cluster.gateways[1].go_on()?;
    let gateway = &cluster.gateways[1];
    let linked = async || {
        let mut links = gateway.metric("links").await;
        for server in &cluster.topic_servers {
            links += server.metric("links").await;
        }
        links == 6.0
    };
    rows.at_most(
        "all its links are up again after",
        time_until(back, PATIENCE, linked).await,
        stage.within(Duration::from_secs(2)),
    );
    stage.hold(stage.long(2, 5)).await;
    let [before, during] = [probe.between(calm, begun), probe.between(begun, back)];
    tell_others(&mut rows, stage, &before, &during);
    let lost = during.publishes - during.delivered + during.errors;
    rows.must("publishes of other clients not delivered", lost, "0", lost == 0);
    probe.is_whole()?;
    stage.say("everybody catches up");
    judge.finish(&mut rows).await?;
    cluster.still_stands(&mut rows);
    Ok(rows.into_rows())
}
