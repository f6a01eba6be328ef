//! All clients of a killed gateway come back through the other one.

use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::failure::Result;
use crate::http;
use crate::judge::{Judge, Load};
use crate::probe::Probe;
use crate::report::{Row, Rows, in_words};
use crate::stage::Stage;
use crate::wait::{eventually, time_until};

/// All are back and resumed within this.
const RETURN: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn storm(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Rows::new("killed-gateway-storm");
    let mut cluster = Cluster::plain(stage).await?;
    let many = stage.many(1_000, 5_000);
    // Half of them are on each gateway, and some more, since not all are there at every moment.
    let members = many * 21 / 10;
    let load = Load {
        publishers: 100,
        subscribers: members - 100,
        topics: 100,
        rate: 50,
        churn: "0",
        keys: "1",
        lossless: true,
        deadline: 10,
    };
    let judge = Judge::start(stage, &cluster, &load).await?;
    let survivor = cluster.gateways[1].address;
    let topics = [cluster.topics_of("ts-a", 3)?, cluster.topics_of("ts-b", 3)?].concat();
    let probe = Probe::start(survivor, survivor, &topics, 200).await?;
    let calm = Instant::now();
    let sessions = cluster.gateways[0].metric("sessions").await;
    stage.say(&format!("{members} clients, {sessions} of them at the gateway that will die"));
    stage.hold(stage.long(3, 10)).await;
    let [dying, other] = [0, 1].map(|number| &cluster.gateways[number]);
    rows.must("clients at the gateway", sessions, &format!("at least {many}"), sessions >= many as f64);
    let (had, memory) = (other.metric("channels").await, http::memory(other.id()));
    rows.tell("channels of the other one before", had);
    let (all, recovered) = (had + dying.metric("channels").await, other.metric("recovered_total").await);
    let gone = sessions;
    let killed = Instant::now();
    cluster.gateways[0].kill()?;
    let other = &cluster.gateways[1];
    let back = async || other.metric("channels").await >= all;
    rows.at_most(
        "all are joined at the other one after",
        time_until(killed, PATIENCE, back).await,
        stage.within(RETURN),
    );
    let resumed = async || other.metric("recovered_total").await >= recovered + gone;
    rows.at_most(
        "all have got what they missed after",
        time_until(killed, PATIENCE, resumed).await,
        stage.within(RETURN),
    );
    let calm_again = Instant::now();
    stage.say("all are back");
    stage.hold(stage.long(2, 10)).await;
    let [before, during] = [probe.between(calm, killed), probe.between(killed, calm_again)];
    rows.tell("p99 of other clients before", in_words(before.p99));
    rows.at_most(
        "p99 of other clients meanwhile",
        Some(during.p99),
        stage.within(Duration::from_millis(250)),
    );
    let lost = during.publishes - during.delivered + during.errors;
    rows.must("publishes of other clients not delivered", lost, "0", lost == 0);
    let grown = http::memory(other.id()).saturating_sub(memory) / (1 << 20);
    rows.tell("the other one's memory grew by", format!("{grown} MiB"));
    probe.is_whole()?;
    cluster.gateways[0].start().await?;
    let linked = async || match cluster.gateways[0].metric("links").await {
        2.0 => Ok(()),
        links => Err(links),
    };
    eventually("the killed one has its links again", PATIENCE, linked).await?;
    judge.finish(&mut rows).await?;
    cluster.still_stands(&mut rows);
    Ok(rows.into_rows())
}
