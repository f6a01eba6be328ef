//! A whole scenario, as it prints itself.

use std::fmt;

use campanile_proto::message::Place;
use campanile_ring_config::{Member, Ring};

use super::maker::Maker;
use super::{Kind, Operation};

/// Where a topic server may run: its name, and the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The name that it is started with.
    pub name: String,
    /// Its address, which no other has.
    pub address: String,
    /// Whether it runs from the beginning.
    pub running: bool,
}

/// A run, as data.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What made it, and makes everything else that chance decides.
    pub seed: u64,
    /// What may happen.
    pub kind: Kind,
    /// How many gateways there are.
    pub gateways: usize,
    /// Where topic servers may run.
    pub spots: Vec<Spot>,
    /// The rings, each with a version one higher than the one before.
    pub rings: Vec<Ring>,
    /// How many clients there are.
    pub clients: usize,
    /// How many topics there are.
    pub topics: usize,
    /// Messages that topics keep.
    pub history: usize,
    /// Seconds for which topics keep them, and for which a topic that nobody uses is remembered.
    pub keeps: u64,
    /// Payloads are so large that a replay takes several steps.
    pub large: bool,
    /// Now and then a topic server says a delivery twice, or forgets one, as one with a fault might.
    pub glitches: bool,
    /// Clients seldom stay with a topic.
    pub flighty: bool,
    /// When clients learn of each topic, in milliseconds.
    pub births: Vec<u64>,
    /// Milliseconds during which things happen.
    pub lasts: u64,
    /// What happens when, in milliseconds, in order.
    pub operations: Vec<(u64, Operation)>,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed_0001);
        let kind = match random.u32(..100) {
            0..3 => Kind::Quiet,
            3..25 => Kind::Planned,
            25..35 => Kind::Doubled,
            35..43 => Kind::Links,
            43..51 => Kind::Deaths,
            51..61 => Kind::Torn,
            61..75 => Kind::Everything,
            75..83 => Kind::TornHandoff,
            83..87 => Kind::Newcomer,
            87..91 => Kind::Laggard,
            91..95 => Kind::TakenBack,
            95..97 => Kind::Forgotten,
            97 | 98 => Kind::Split,
            _ => Kind::Reused,
        };
        Self::of_kind(seed, kind)
    }

    /// The plan of a seed, of this kind.
    pub fn of_kind(seed: u64, kind: Kind) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed_0002);
        let mut maker = Maker::new(&mut random, kind);
        maker.fill();
        maker.finish(seed)
    }

    /// Whether only planned moves happen, so that nothing may be lost and nobody may be told of anything.
    pub fn is_planned(&self) -> bool {
        matches!(self.kind, Kind::Quiet | Kind::Planned | Kind::Doubled)
    }
}

impl Spot {
    /// What rings call it.
    pub(crate) fn place(&self) -> Place {
        Place { name: self.name.clone(), address: self.address.clone() }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {:?}, {} gateways, {} clients, {} topics, {} messages kept for {} s, large: {}, glitches: {}, {} ms",
            self.seed,
            self.kind,
            self.gateways,
            self.clients,
            self.topics,
            self.history,
            self.keeps,
            self.large,
            self.glitches,
            self.lasts
        )?;
        for (index, spot) in self.spots.iter().enumerate() {
            let runs = if spot.running { "" } else { ", not yet running" };
            writeln!(f, "  Server({index}) is {} at {}{runs}", spot.name, spot.address)?;
        }
        for ring in &self.rings {
            let member =
                |member: &Member| format!("{}@{}*{}", member.name(), member.address(), member.weight());
            let members: Vec<String> = ring.members().iter().map(member).collect();
            writeln!(f, "  ring {}: {}", ring.version(), members.join(" "))?;
        }
        for (at, operation) in &self.operations {
            writeln!(f, "  {at:>6} ms {operation:?}")?;
        }
        Ok(())
    }
}
