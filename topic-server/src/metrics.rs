//! Every metric of a topic server: name and meaning. docs/operations.md lists the same, kept equal by a test.

use campanile_process::metrics::Registry;
use campanile_proto::Refusal;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::gateways::outbox::Ending;

/// A label with one of a few fixed words.
type Reason = [(&'static str, &'static str); 1];

/// The numbers of one topic server. Cloning a metric shares it.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Links that are up.
    pub links: Gauge,
    /// Links that ended, by reason.
    pub links_ended: Family<Reason, Counter>,
    /// Links that were refused at their Hello, by reason.
    pub links_refused: Family<Reason, Counter>,
    /// Topics that are held.
    pub topics: Gauge,
    /// Topics that somebody waits for.
    pub topics_waiting: Gauge,
    /// Subscriptions: one per topic and gateway.
    pub subscriptions: Gauge,
    /// Patterns: one per pattern and gateway.
    pub patterns: Gauge,
    /// Subscriptions that were refused, by reason.
    pub subscribes_refused: Family<Reason, Counter>,
    /// Publishes that got an offset.
    pub publishes_accepted: Counter,
    /// Re-sends that got the answer of their first sending.
    pub publishes_repeated: Counter,
    /// Publishes that were refused, by reason.
    pub publishes_refused: Family<Reason, Counter>,
    /// Messages queued for gateways: one per publish and gateway that holds subscribers.
    pub deliveries: Counter,
    /// Reads of what was missed.
    pub reads: Counter,
    /// Bytes of all histories.
    pub history_bytes: Gauge,
    /// Topics in the queue of those with a history.
    pub histories: Gauge,
    /// Histories that gave way because all together were too large.
    pub histories_evicted: Counter,
    /// Topics handed over to another server, which has confirmed it.
    pub topics_moved: Counter,
    /// Topics taken over from another server with their state.
    pub topics_taken: Counter,
    /// Topics that are to be handed over, or are without a confirmation.
    pub handoffs_open: Gauge,
    /// Topics that were given away and went on here.
    pub handoffs_taken_back: Counter,
    /// Topics that began a new epoch because whoever held them was out of reach.
    pub handoffs_forced: Counter,
    /// Links to other topic servers that are up.
    pub peer_links: Gauge,
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
        let registry = registry.sub_registry_with_prefix("campanile_topic_server");
        registry.register("links", "Links to gateways that are up", self.links.clone());
        registry.register("links_ended", "Links that ended, by reason", self.links_ended.clone());
        registry.register(
            "links_refused",
            "Links refused at their Hello, by reason",
            self.links_refused.clone(),
        );
        registry.register("topics", "Topics held", self.topics.clone());
        registry.register(
            "topics_waiting",
            "Topics that somebody waits for until another server has handed them over",
            self.topics_waiting.clone(),
        );
        registry.register(
            "subscriptions",
            "Subscriptions, one per topic and gateway",
            self.subscriptions.clone(),
        );
        registry.register("patterns", "Patterns, one per pattern and gateway", self.patterns.clone());
        registry.register(
            "subscribes_refused",
            "Subscriptions refused, by reason",
            self.subscribes_refused.clone(),
        );
        registry.register(
            "publishes_accepted",
            "Publishes that got an offset",
            self.publishes_accepted.clone(),
        );
        registry.register(
            "publishes_repeated",
            "Re-sent publishes that got their first answer again",
            self.publishes_repeated.clone(),
        );
        registry.register(
            "publishes_refused",
            "Publishes refused, by reason",
            self.publishes_refused.clone(),
        );
        registry.register(
            "deliveries",
            "Messages queued for gateways, one per publish and gateway with subscribers",
            self.deliveries.clone(),
        );
        registry.register("reads", "Reads of what was missed", self.reads.clone());
        registry.register("history_bytes", "Bytes of all topics' histories", self.history_bytes.clone());
        registry.register(
            "histories",
            "Topics with a history, and some that had one lately",
            self.histories.clone(),
        );
        registry.register(
            "histories_evicted",
            "Histories that gave way because all together were too large",
            self.histories_evicted.clone(),
        );
        registry.register("topics_moved", "Topics handed over to another server", self.topics_moved.clone());
        registry.register(
            "topics_taken",
            "Topics taken over from another server with their state",
            self.topics_taken.clone(),
        );
        registry.register(
            "handoffs_open",
            "Topics that are to be handed over or without a confirmation",
            self.handoffs_open.clone(),
        );
        registry.register(
            "handoffs_taken_back",
            "Topics that were given away and went on here",
            self.handoffs_taken_back.clone(),
        );
        registry.register(
            "handoffs_forced",
            "Topics that began a new epoch because whoever held them was out of reach",
            self.handoffs_forced.clone(),
        );
        registry.register(
            "peer_links",
            "Links opened to other topic servers that are up",
            self.peer_links.clone(),
        );
        registry.register("ring_version", "Version of the newest ring", self.ring_version.clone());
        registry.register("rings_refused", "Ring files refused", self.rings_refused.clone());
        registry.register("configs_refused", "Config files refused", self.configs_refused.clone());
    }

    pub(crate) fn ended(&self, ending: Ending) {
        self.links_ended.get_or_create(&[("reason", ending.word())]).inc();
    }

    pub(crate) fn link_refused(&self, reason: &'static str) {
        self.links_refused.get_or_create(&[("reason", reason)]).inc();
    }

    pub(crate) fn subscribe_refused(&self, reason: Refusal) {
        self.subscribes_refused.get_or_create(&[("reason", word(reason))]).inc();
    }

    pub(crate) fn refused(&self, reason: Refusal) {
        self.publishes_refused.get_or_create(&[("reason", word(reason))]).inc();
    }
}

/// A word for labels.
fn word(reason: Refusal) -> &'static str {
    match reason {
        Refusal::NotOwner => "not_owner",
        Refusal::Expired => "expired",
        Refusal::Overloaded => "overloaded",
        Refusal::Draining => "draining",
        Refusal::UnknownOutcome => "unknown_outcome",
        Refusal::StaleNumber => "stale_number",
        Refusal::KeyReused => "key_reused",
        Refusal::RateLimited => "rate_limited",
    }
}
