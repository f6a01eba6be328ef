//! The scenarios: list.
//!
//! * `killed`: kill -9 of each role; `storm`: all clients of a killed gateway come back;
//! * `paused`: SIGSTOP and SIGCONT; `cut`: the network swallows what goes one way, or both;
//! * `output`: a stderr that is full; `clock`: a clock that jumps; `descriptors`: none is left;
//! * `slow`: clients that read slowly; `vanishing`: clients that are gone without a word;
//! * `bad_frames`: nonsense on open and on new connections; `flood`: more publishes than the cluster can take;
//! * `soak`: everything that comes and goes, for long, and what is left of it;
//! * `owner`: what must hold while one topic server cannot be reached, whatever the cause.

mod bad_frames;
mod clock;
mod cut;
mod descriptors;
mod flood;
mod killed;
mod output;
mod owner;
mod paused;
mod slow;
mod soak;
mod storm;
mod vanishing;

use std::fmt;
use std::pin::Pin;

use crate::failure::Result;
use crate::report::Row;
use crate::stage::Stage;

type Running<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>>> + 'a>>;

/// Something that is done to a cluster.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) in_ci: bool,
    pub(crate) needs_root: bool,
    /// Whether it runs in namespaces of its own.
    pub(crate) needs_network: bool,
    /// Whether its full form takes so long that it runs only when it is named.
    pub(crate) is_long: bool,
    pub(crate) run: for<'a> fn(&'a Stage) -> Running<'a>,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

impl Scenario {
    const fn new(name: &'static str, about: &'static str, run: for<'a> fn(&'a Stage) -> Running<'a>) -> Self {
        Self { name, about, in_ci: false, needs_root: false, needs_network: false, is_long: false, run }
    }

    const fn long(self) -> Self {
        Self { is_long: true, ..self }
    }

    const fn in_ci(self) -> Self {
        Self { in_ci: true, ..self }
    }

    const fn needs_root(self) -> Self {
        Self { needs_root: true, ..self }
    }

    const fn needs_network(self) -> Self {
        Self { needs_root: true, needs_network: true, ..self }
    }
}

/// All of them, in the order in which they run.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("kill9-gateway", "kill -9 of a gateway under load", |stage| {
        Box::pin(killed::gateway(stage))
    })
    .in_ci(),
    Scenario::new("kill9-topic-server", "kill -9 of a topic server under load", |stage| {
        Box::pin(killed::topic_server(stage))
    })
    .in_ci(),
    Scenario::new("pause-gateway", "SIGSTOP of a gateway, then SIGCONT", |stage| {
        Box::pin(paused::gateway(stage))
    })
    .in_ci(),
    Scenario::new("pause-topic-server", "SIGSTOP of a topic server, then SIGCONT", |stage| {
        Box::pin(paused::topic_server(stage))
    })
    .in_ci(),
    Scenario::new("cut-one-way", "what gateways send to one topic server is swallowed", |stage| {
        Box::pin(cut::cut(stage, cut::Direction::ToTopicServer))
    })
    .needs_network()
    .in_ci(),
    Scenario::new("cut-other-way", "what one topic server sends to gateways is swallowed", |stage| {
        Box::pin(cut::cut(stage, cut::Direction::ToGateways))
    })
    .needs_network(),
    Scenario::new("cut-both", "both ways between gateways and one topic server are swallowed", |stage| {
        Box::pin(cut::cut(stage, cut::Direction::Both))
    })
    .needs_network(),
    Scenario::new("stderr-full-tmpfs", "logs go to a small tmpfs that fills up", |stage| {
        Box::pin(output::full_tmpfs(stage))
    })
    .needs_root()
    .in_ci(),
    Scenario::new("stderr-dev-full", "logs go to /dev/full", |stage| Box::pin(output::dev_full(stage))),
    Scenario::new("clock-jump", "the wall clock jumps (Debian's faketime)", |stage| {
        Box::pin(clock::jump(stage))
    })
    .in_ci(),
    Scenario::new("descriptor-exhaustion", "more connections than a process may have open files", |stage| {
        Box::pin(descriptors::exhausted(stage))
    })
    .in_ci(),
    Scenario::new("slow-readers", "5 % of the clients read at 1 kB/s", |stage| {
        Box::pin(slow::readers(stage))
    }),
    Scenario::new("vanishing-clients", "clients join, and their network is cut", |stage| {
        Box::pin(vanishing::clients(stage))
    })
    .needs_network()
    .in_ci(),
    Scenario::new("bad-frames", "10,000 refused and 500 malformed frames per second", |stage| {
        Box::pin(bad_frames::flood(stage))
    })
    .in_ci(),
    Scenario::new(
        "killed-gateway-storm",
        "a gateway full of clients is killed: all come back elsewhere",
        |stage| Box::pin(storm::storm(stage)),
    )
    .in_ci(),
    Scenario::new("flood", "three times as many publishes as the cluster can take", |stage| {
        Box::pin(flood::flood(stage))
    }),
    Scenario::new(
        "soak",
        "clients, topics and ring edits come and go: nothing may be left of them",
        |stage| Box::pin(soak::soak(stage)),
    )
    .long()
    .in_ci(),
];
