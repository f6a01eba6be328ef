//! Clients that are gone without a word: their network is cut while they are joined.

use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Way};
use crate::failure::Result;
use crate::http;
use crate::judge::{Judge, Load};
use crate::network::Network;
use crate::process::Process;
use crate::report::{Row, Rows};
use crate::stage::Stage;
use crate::wait::{eventually, time_until};

/// The gateway's idle time here, in seconds; the default is 60.
const IDLE: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn clients(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Rows::new("vanishing-clients");
    let network = Network::new(&["clients"])?;
    let host = network.host(0);
    let here = || Way { host: Network::own_address(), ..Way::default() };
    let gateway = || here().options(&["--idle-seconds", &IDLE.to_string()]);
    let mut cluster = Cluster::start(stage, &[here(), here()], &[gateway(), gateway()]).await?;
    // Its subscribers say that they live every third of their deadline.
    let load = Load { lossless: true, ..Load::default() };
    let judge = Judge::start(stage, &cluster, &load).await?;
    let before = Size::now(&cluster).await;
    let count = 2_000;
    let mut command: Vec<_> = host.within().map(str::to_owned).to_vec();
    command.push(stage.program.to_string_lossy().into_owned());
    let gateways: Vec<_> =
        cluster.gateways.iter().map(|gateway| format!("--url={}", gateway.address)).collect();
    let options = format!("bench idle --connections {count} --topics 200 --seconds 3600");
    command.extend(options.split(' ').map(str::to_owned).chain(gateways));
    let clients = Process::start(&stage.folder, "clients", &command, &[])?;
    let joined = async || match Size::now(&cluster).await.channels {
        channels if channels >= before.channels + count as f64 * 0.95 => Ok(()),
        channels => Err((channels, clients.stderr())),
    };
    eventually("all have joined", PATIENCE, joined).await?;
    let full = Size::now(&cluster).await;
    stage.say(&format!("{} sessions; their network is cut, and they end", full.sessions));
    let cut = Instant::now();
    Network::cut_off(host)?;
    // What they still send gets nowhere.
    drop(clients);
    let members = 120.0 * 1.2;
    let gone = async || Size::now(&cluster).await.sessions <= members;
    let gone = time_until(cut, PATIENCE, gone).await;
    rows.at_most("their sessions are gone after", gone, stage.within(Duration::from_secs(IDLE + 2)));
    // Topics linger for a second after their last channel. The check's 20 are at both gateways.
    let left = async || Size::now(&cluster).await.topics <= 40.0;
    rows.at_most(
        "their topics are given up after",
        time_until(cut, PATIENCE, left).await,
        stage.within(Duration::from_secs(IDLE + 4)),
    );
    let small = async || Size::now(&cluster).await.descriptors < before.descriptors + 100;
    rows.at_most(
        "their descriptors are closed after",
        time_until(cut, PATIENCE, small).await,
        stage.within(Duration::from_secs(IDLE + 4)),
    );
    let after = Size::now(&cluster).await;
    let mib = |bytes: u64| bytes / (1 << 20);
    rows.tell(
        "gateways' memory before, with them, afterwards",
        format!("{}, {}, {} MiB", mib(before.memory), mib(full.memory), mib(after.memory)),
    );
    rows.tell(
        "sessions, topics, descriptors afterwards",
        format!("{}, {}, {}", after.sessions, after.topics, after.descriptors),
    );
    judge.finish(&mut rows).await?;
    cluster.still_stands(&mut rows);
    Ok(rows.into_rows())
}

/// What all gateways hold together.
#[derive(Debug)]
struct Size {
    sessions: f64,
    channels: f64,
    topics: f64,
    descriptors: usize,
    memory: u64,
}

impl Size {
    async fn now(cluster: &Cluster) -> Self {
        let mut size = Self { sessions: 0.0, channels: 0.0, topics: 0.0, descriptors: 0, memory: 0 };
        for gateway in &cluster.gateways {
            size.sessions += gateway.metric("sessions").await;
            size.channels += gateway.metric("channels").await;
            size.topics += gateway.metric("topics").await;
            size.descriptors += http::descriptors(gateway.id());
            size.memory += http::memory(gateway.id());
        }
        size
    }
}
