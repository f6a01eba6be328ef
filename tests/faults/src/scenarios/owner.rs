//! What must hold while one topic server cannot be reached, whatever the cause.

use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Node};
use crate::failure::Result;
use crate::judge::{Judge, Load};
use crate::probe::{Found, Probe};
use crate::report::{Row, Rows, in_words};
use crate::stage::Stage;
use crate::wait::{eventually, time_until};

/// The gateway's default for how long a publish waits for its topic's owner, and what a busy machine may add.
const DEADLINE: Duration = Duration::from_millis(5_000 + 500);
/// Within this a link without a sign of life is given up, and what looking for it may add.
const DETECTION: Duration = Duration::from_millis(5_000 + 200);
/// Within this messages flow again.
const RETURN: Duration = Duration::from_secs(2);
/// How long it is waited for what should come much sooner.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is done to the second topic server, and what undoes it.
pub(super) trait Fault {
    /// Takes it out of reach.
    async fn begin(&mut self, cluster: &mut Cluster) -> Result<()>;
    /// Brings it back.
    async fn end(&mut self, cluster: &mut Cluster) -> Result<()>;
    /// Who has to notice by silence that a link is dead, and how many links of theirs are then left.
    fn who_notices<'a>(&self, cluster: &'a Cluster) -> Vec<(&'a Node, f64)>;
}

/// Runs the fault for so long on this cluster.
pub(super) async fn out_of_reach(
    stage: &Stage,
    situation: &str,
    mut cluster: Cluster,
    away: Duration,
    mut fault: impl Fault,
) -> Result<Vec<Row>> {
    let mut rows = Rows::new(situation);
    let judge = Judge::start(stage, &cluster, &Load::default()).await?;
    let [here, there] = [&cluster.gateways[0], &cluster.gateways[1]].map(|gateway| gateway.address);
    let of = |server: usize| cluster.topics_of(&cluster.topic_servers[server].name, 5);
    let (others, touched) = (of(0)?, of(1)?);
    let others = Probe::start(here, there, &others, 200).await?;
    let touched = Probe::start(here, there, &touched, 50).await?;
    let calm = Instant::now();
    stage.hold(stage.long(3, 10)).await;

    stage.say("the fault begins");
    let begun = Instant::now();
    fault.begin(&mut cluster).await?;
    for (node, left) in fault.who_notices(&cluster) {
        let noticed = async || node.metric("links").await == left && node.metric("ring_version").await > 0.0;
        let took = time_until(begun, PATIENCE, noticed).await;
        rows.at_most(&format!("{} gives the link up after", node.name), took, stage.within(DETECTION));
    }
    stage.hold(away.saturating_sub(begun.elapsed())).await;
    stage.say("the fault ends");
    fault.end(&mut cluster).await?;
    let back = Instant::now();
    let again = async || touched.all_deliver_after(back).ok_or("no delivery on some topic yet");
    let again = eventually("messages flow again", PATIENCE, again).await.ok();
    rows.at_most(
        "delivery again after its return",
        again.map(|at| at.duration_since(back)),
        stage.within(RETURN),
    );
    stage.say("messages flow again");
    stage.hold(stage.long(2, 5)).await;
    let end = Instant::now();
    let answered = async || match touched.between(calm, end).unanswered {
        0 => Ok(()),
        open => Err(open),
    };
    // What is still open then is told below.
    let _ = eventually("every publish is answered", PATIENCE, answered).await;

    let during = touched.between(begun, back);
    tell_replies(&mut rows, stage, &during);
    let [before, during] = [others.between(calm, begun), others.between(begun, back)];
    tell_others(&mut rows, stage, &before, &during);
    let lost = during.publishes - during.delivered + during.errors;
    rows.must("publishes to other topics not delivered", lost, "0", lost == 0);
    touched.is_whole()?;
    others.is_whole()?;
    stage.say("everybody catches up");
    let report = judge.finish(&mut rows).await?;
    rows.tell(
        "longest wait for an ok, retries included",
        format!("{} ms", report["results"]["longest_wait_ms"]),
    );
    cluster.still_stands(&mut rows);
    Ok(rows.into_rows())
}

/// Every publish to a topic whose owner is away is answered at its deadline at the latest.
fn tell_replies(rows: &mut Rows, stage: &Stage, during: &Found) {
    rows.must(
        "publishes to its topics answered with an error",
        during.errors,
        "more than 0",
        during.errors > 0,
    );
    rows.tell("with the reasons", during.reasons.join(", "));
    rows.at_most("the longest wait for a reply", Some(during.longest_reply), stage.within(DEADLINE));
    rows.must("publishes never answered", during.unanswered, "0", during.unanswered == 0);
}

/// p99 of those who have nothing to do with the fault: unchanged, but for what a machine's noise is. The short form runs on
/// busy machines, with programs that are not optimised: it finds those who wait for somebody's deadline.
pub(super) fn tell_others(rows: &mut Rows, stage: &Stage, before: &Found, during: &Found) {
    let noise = Duration::from_millis(stage.many(1_000, 2));
    let most = before.p99.mul_f64(1.1).max(before.p99 + noise);
    let value = format!("{} before, {} during", in_words(before.p99), in_words(during.p99));
    rows.must("p99 of other topics", value, &format!("at most {}", in_words(most)), during.p99 <= most);
}
