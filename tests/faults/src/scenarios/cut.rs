//! A network that swallows what goes one way, or both, between the gateways and one topic server: no reset, no error.

use super::owner::{Fault, out_of_reach};
use crate::cluster::{Cluster, Node};
use crate::failure::Result;
use crate::network::{Host, Network};
use crate::report::Row;
use crate::stage::Stage;

#[derive(Debug, Clone, Copy)]
pub(super) enum Direction {
    ToTopicServer,
    ToGateways,
    Both,
}

pub(super) async fn cut(stage: &Stage, direction: Direction) -> Result<Vec<Row>> {
    stage.say("hosts: gateways, ts-a, ts-b, and this one, with a router between them");
    let network = Network::new(&["gateways", "ts-a", "ts-b"])?;
    let [gateways, first, second] = [0, 1, 2].map(|number| network.host(number).clone());
    let cluster =
        Cluster::start(stage, &[first.way(), second.way()], &[gateways.way(), gateways.way()]).await?;
    let name = match direction {
        Direction::ToTopicServer => "cut-one-way",
        Direction::ToGateways => "cut-other-way",
        Direction::Both => "cut-both",
    };
    let cut = match direction {
        Direction::ToTopicServer => vec![(gateways, second)],
        Direction::ToGateways => vec![(second, gateways)],
        Direction::Both => vec![(gateways.clone(), second.clone()), (second, gateways)],
    };
    out_of_reach(stage, name, cluster, stage.long(10, 10), Cut(cut)).await
}

/// Directions, from and to.
struct Cut(Vec<(Host, Host)>);

impl Fault for Cut {
    async fn begin(&mut self, _: &mut Cluster) -> Result<()> {
        self.0.iter().try_for_each(|(from, to)| Network::cut(from, to))
    }

    async fn end(&mut self, _: &mut Cluster) -> Result<()> {
        self.0.iter().try_for_each(|(from, to)| Network::heal(from, to))
    }

    fn who_notices<'a>(&self, cluster: &'a Cluster) -> Vec<(&'a Node, f64)> {
        let gateways = cluster.gateways.iter().map(|gateway| (gateway, 1.0));
        gateways.chain([(&cluster.topic_servers[1], 0.0)]).collect()
    }
}
