//! Every metric of a gateway: name and meaning. docs/operations.md lists the same, kept equal by a test.

use campanile_process::metrics::Registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::client::admission::Turned;
use crate::client::close::Ending;
use crate::hub::publish::Accepted;
use crate::hub::reason::Reason;

/// A label with one of a few fixed words.
type Label = [(&'static str, &'static str); 1];

/// The numbers of one gateway. Cloning a metric shares it.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections that are open.
    pub sessions: Gauge,
    /// Connections that ended, by reason.
    pub sessions_ended: Family<Label, Counter>,
    /// Connections that were turned away, by reason.
    pub connections_refused: Family<Label, Counter>,
    /// Upgrades that were refused, by reason.
    pub upgrades_refused: Family<Label, Counter>,
    /// Channels that are joined.
    pub channels: Gauge,
    /// Joins, and frames on topics that are not joined, that were refused, by reason.
    pub joins_refused: Family<Label, Counter>,
    /// Subscriptions of Redis connections, patterns included.
    pub redis_subscriptions: Gauge,
    /// Patterns that somebody here listens to, each once.
    pub patterns: Gauge,
    /// Topics that the hub holds.
    pub topics: Gauge,
    /// Publishes that were acknowledged.
    pub publishes_accepted: Counter,
    /// Publishes that got an error, by reason.
    pub publishes_refused: Family<Label, Counter>,
    /// Messages that came from topic servers.
    pub deliveries_in: Counter,
    /// Messages queued for clients.
    pub deliveries_out: Counter,
    /// Messages that a joined channel missed and could not be given any more.
    pub missed: Counter,
    /// Events of drop-oldest topics that gave way in a client's full queue.
    pub dropped: Counter,
    /// Channels that came back with a position and were given all that they missed.
    pub recovered: Counter,
    /// Joined channels whose topic's counter began anew.
    pub new_epochs: Counter,
    /// Deliveries that came twice and were dropped.
    pub repeated: Counter,
    /// Messages of topic servers for subscriptions that are over.
    pub stale: Counter,
    /// Deliveries that came too early: the subscription was made anew.
    pub jumps: Counter,
    /// Subscribed topics whose holder gave them up.
    pub moved: Counter,
    /// Links that are up.
    pub links: Gauge,
    /// Links that broke or could not be opened, by member.
    pub link_failures: Family<[(&'static str, String); 1], Counter>,
    /// Version of the newest ring.
    pub ring_version: Gauge,
    /// Ring files that were refused.
    pub rings_refused: Counter,
    /// Config files that were refused.
    pub configs_refused: Counter,
}

impl Metrics {
    /// Puts every metric into the registry.
    pub fn register(&self, registry: &mut Registry) {
        let r = registry.sub_registry_with_prefix("campanile_gateway");
        r.register("sessions", "Client connections that are open", self.sessions.clone());
        r.register("sessions_ended", "Client connections that ended, by reason", self.sessions_ended.clone());
        r.register(
            "connections_refused",
            "Connections turned away before they asked for anything, by reason",
            self.connections_refused.clone(),
        );
        r.register(
            "upgrades_refused",
            "WebSocket upgrades refused, by reason",
            self.upgrades_refused.clone(),
        );
        r.register("channels", "Channels that are joined", self.channels.clone());
        r.register(
            "joins_refused",
            "Joins, and frames on topics that are not joined, refused, by reason",
            self.joins_refused.clone(),
        );
        r.register(
            "redis_subscriptions",
            "Subscriptions of Redis connections, patterns included",
            self.redis_subscriptions.clone(),
        );
        r.register("patterns", "Patterns with listeners here, each once", self.patterns.clone());
        r.register("topics", "Topics with listeners here, or lately so", self.topics.clone());
        r.register("publishes_accepted", "Publishes acknowledged", self.publishes_accepted.clone());
        r.register(
            "publishes_refused",
            "Publishes that got an error, by reason",
            self.publishes_refused.clone(),
        );
        r.register("deliveries_in", "Messages from topic servers", self.deliveries_in.clone());
        r.register("deliveries_out", "Messages queued for clients", self.deliveries_out.clone());
        r.register(
            "missed",
            "Messages that a joined channel missed and could not be given any more",
            self.missed.clone(),
        );
        r.register(
            "dropped",
            "Queued events of drop-oldest topics that gave way because their client's queue was full",
            self.dropped.clone(),
        );
        r.register(
            "recovered",
            "Channels that came back with a position and got all that they missed",
            self.recovered.clone(),
        );
        r.register("new_epochs", "Joined channels whose topic's counter began anew", self.new_epochs.clone());
        r.register("repeated", "Deliveries that came twice and were dropped", self.repeated.clone());
        r.register(
            "stale",
            "Messages from topic servers for subscriptions that are over",
            self.stale.clone(),
        );
        r.register(
            "jumps",
            "Deliveries that came too early; the topic was subscribed anew",
            self.jumps.clone(),
        );
        r.register("moved", "Subscribed topics given up by their holder", self.moved.clone());
        r.register("links", "Links to topic servers that are up", self.links.clone());
        r.register(
            "link_failures",
            "Links that broke or could not be opened, by member",
            self.link_failures.clone(),
        );
        r.register("ring_version", "Version of the newest ring", self.ring_version.clone());
        r.register("rings_refused", "Ring files refused", self.rings_refused.clone());
        r.register("configs_refused", "Config files refused", self.configs_refused.clone());
    }

    pub(crate) fn ended(&self, ending: Ending) {
        self.sessions_ended.get_or_create(&[("reason", ending.word())]).inc();
    }

    pub(crate) fn connection_refused(&self, why: Turned) {
        self.connections_refused.get_or_create(&[("reason", why.word())]).inc();
    }

    pub(crate) fn upgrade_refused(&self, reason: &'static str) {
        self.upgrades_refused.get_or_create(&[("reason", reason)]).inc();
    }

    pub(crate) fn join_refused(&self, reason: Reason) {
        self.joins_refused.get_or_create(&[("reason", reason.text())]).inc();
    }

    pub(crate) fn publish_refused(&self, reason: Reason) {
        self.publishes_refused.get_or_create(&[("reason", reason.text())]).inc();
    }

    pub(crate) fn answered(&self, result: &Result<Accepted, Reason>) {
        match result {
            Ok(_) => {
                self.publishes_accepted.inc();
            }
            Err(reason) => self.publish_refused(*reason),
        }
    }
}
