//! `campanile bench check` beside a scenario: it judges whether the contract held.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::failure::{Failure, Result};
use crate::process::Process;
use crate::report::Rows;
use crate::stage::Stage;
use crate::wait::eventually;

/// How long its members may take to join, and to catch up at the end.
const PATIENCE: Duration = Duration::from_secs(45);

/// What it does.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) publishers: usize,
    pub(crate) subscribers: usize,
    pub(crate) topics: usize,
    pub(crate) rate: u32,
    pub(crate) churn: &'static str,
    /// Share of the publishes with an idempotency key. Such a key keeps its topic for 2 minutes.
    pub(crate) keys: &'static str,
    /// Whether a loss that is honestly told is a violation, too: where no owner dies or is given up.
    pub(crate) lossless: bool,
    /// How long its members wait for a reply, in seconds.
    pub(crate) deadline: u32,
}

impl Default for Load {
    fn default() -> Self {
        let (publishers, subscribers, topics, rate) = (20, 100, 20, 200);
        Self { publishers, subscribers, topics, rate, churn: "0.33", keys: "1", lossless: false, deadline: 8 }
    }
}

/// The check while it runs.
#[derive(Debug)]
pub(crate) struct Judge(Process);

impl Judge {
    /// Starts it on all gateways, and waits until publishes flow.
    pub(crate) async fn start(stage: &Stage, cluster: &Cluster, load: &Load) -> Result<Self> {
        let gateways: Vec<_> = cluster.gateways.iter().map(|gateway| gateway.address).collect();
        Self::start_on(stage, cluster, load, &gateways).await
    }

    /// Starts it on these gateways.
    pub(crate) async fn start_on(
        stage: &Stage,
        cluster: &Cluster,
        load: &Load,
        gateways: &[SocketAddr],
    ) -> Result<Self> {
        let Load { publishers, subscribers, topics, rate, churn, keys, lossless, deadline } = load;
        let mut command = vec![stage.program.to_string_lossy().into_owned()];
        // It runs until it is interrupted.
        let options = format!(
            "bench check --json --seconds 3600 --publishers {publishers} --subscribers {subscribers} --topics {topics} \
             --rate {rate} --churn {churn} --keys {keys} --deadline {deadline}"
        );
        command.extend(options.split(' ').map(str::to_owned));
        command.extend(lossless.then(|| "--lossless".to_owned()));
        command.extend(gateways.iter().map(|gateway| format!("--url={gateway}")));
        let before = cluster.accepted().await;
        let mut process = Process::start(&stage.folder, "check", &command, &[])?;
        let look = async || match cluster.accepted().await {
            now if now >= before + 20.0 => Ok(()),
            now => Err((now - before, process.runs(), process.stderr())),
        };
        eventually("the check's publishes flow", PATIENCE, look).await?;
        Ok(Self(process))
    }

    /// Lets everybody catch up, and adds what it found: no violation of the contract, every publish answered.
    pub(crate) async fn finish(mut self, rows: &mut Rows) -> Result<Value> {
        if !self.0.runs() {
            return Err(Failure::new(format!("the check ended by itself: {}", self.0.stderr())));
        }
        self.0.signal(Signal::INT)?;
        let code = self.0.code(PATIENCE).await?;
        let report: Value = serde_json::from_str(&self.0.stdout())
            .map_err(|error| Failure::new(format!("the check's report: {error}; {}", self.0.stderr())))?;
        let faults = report["faults"]["total"].as_u64().unwrap_or(u64::MAX);
        let result = |key: &str| report["results"][key].as_f64().unwrap_or(-1.0);
        rows.must(
            "violations of the contract",
            format!("{faults} in {} deliveries", result("deliveries")),
            "0",
            faults == 0 && code == Some(0) && result("deliveries") > 0.0,
        );
        if faults > 0 {
            let examples = report["faults"]["examples"].as_array().into_iter().flatten();
            rows.tell("of these", examples.filter_map(Value::as_str).take(3).collect::<Vec<_>>().join("; "));
        }
        let open = result("unanswered") + result("given_up");
        rows.must("publishes without a final answer", open, "0", open == 0.0);
        Ok(report)
    }
}
