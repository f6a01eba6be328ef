//! Edits of the ring while clients come and go: weights change, and a member leaves and comes back.

use std::time::{Duration, Instant};

use tokio::time::interval_at;

use crate::cluster::Cluster;
use crate::failure::Result;
use crate::stage::Stage;
use crate::wait::eventually;

/// How long an edit may take until all have read it and everything has moved.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was edited.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Edited {
    pub(crate) edits: u64,
    /// Until every process had the ring, and everything was where it says.
    pub(crate) slowest: Duration,
}

/// One edit every so often, until `until`, and then those that bring the ring back to where it was.
pub(crate) async fn edit(
    stage: &Stage,
    cluster: &Cluster,
    every: Duration,
    until: Instant,
) -> Result<Edited> {
    let server = &cluster.topic_servers[cluster.topic_servers.len() - 1];
    let address = server.address.to_string();
    let other = cluster.topic_servers[0].name.as_str();
    let round: [&[&str]; 4] = [
        &["set", other, "--weight", "2"],
        &["remove", &server.name],
        &["add", &server.name, &address],
        &["set", other, "--weight", "1"],
    ];
    let mut tick = interval_at((Instant::now() + every).into(), every);
    let mut edited = Edited::default();
    for step in round.iter().cycle() {
        let is_whole = edited.edits % round.len() as u64 == 0;
        if Instant::now() + every >= until && is_whole {
            break;
        }
        if Instant::now() + every < until {
            tick.tick().await;
        }
        let begun = Instant::now();
        let version = cluster.edit(step)?;
        settled(cluster, version).await?;
        edited.edits += 1;
        edited.slowest = edited.slowest.max(begun.elapsed());
        stage.say(&format!(
            "ring {version}: {}, settled after {:.2} s",
            step.join(" "),
            begun.elapsed().as_secs_f64()
        ));
    }
    Ok(edited)
}

/// Waits until every process has this ring, and nothing is on its way any more.
async fn settled(cluster: &Cluster, version: u64) -> Result<()> {
    let look = async || {
        let mut missing = Vec::new();
        for node in cluster.nodes() {
            let (has, open) = (node.metric("ring_version").await, node.metric("handoffs_open").await);
            if has != version as f64 || open != 0.0 {
                missing.push((node.name.clone(), has, open));
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    };
    eventually(&format!("ring {version} is everywhere"), PATIENCE, look).await
}
