//! Numbered publishes to many topics, one after the other, while the test does something to the cluster; and what
//! became of each.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::client::{Client, Got};
use super::cluster::{Cluster, TopicServerNode};
use super::wait::{DEADLINE, equal, eventually};

/// Publishes of one topic that are under way together, unless the test says otherwise.
const BURST: u64 = 3;

/// Between two rounds: load, and not as much as the machine can take.
const PAUSE: Duration = Duration::from_millis(5);

/// Traffic that goes on: a publisher on the first gateway, which listens too, and one listener on each other one.
pub(crate) struct Traffic {
    topics: Arc<Vec<String>>,
    /// Of each topic at the beginning; none without positions.
    epochs: BTreeMap<String, String>,
    stop: watch::Sender<bool>,
    rounds: watch::Receiver<u64>,
    publisher: JoinHandle<(Session, BTreeMap<String, Vec<Answer>>)>,
    listeners: Vec<JoinHandle<Session>>,
    goal: watch::Sender<Option<BTreeMap<String, u64>>>,
}

/// How much is published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Publishes of one topic that are under way together.
    pub(crate) burst: u64,
    /// Bytes that the first message of each topic carries for nothing.
    pub(crate) padding: usize,
}

/// What there was in the end.
pub(crate) struct Outcome {
    /// Of each topic at the beginning; none without positions.
    pub(crate) epochs: BTreeMap<String, String>,
    /// Of each topic's publishes, the first one's first.
    pub(crate) answers: BTreeMap<String, Vec<Answer>>,
    /// What each client was sent, by topic; the publisher's first.
    pub(crate) heard: Vec<BTreeMap<String, Vec<Heard>>>,
    with_positions: bool,
}

/// The reply to one publish.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Of the publish: from 1, without a gap.
    pub(crate) number: u64,
    pub(crate) payload: Value,
    pub(crate) took: Duration,
}

/// What a listener is told of one topic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    /// An event, by its number and its offset if that is told.
    Event(u64, Option<u64>),
    /// Anything else: `position`, `phx_error`.
    Notice(Value),
}

/// One client, joined to all topics.
struct Session {
    client: Client,
    join_refs: HashMap<String, String>,
    epochs: BTreeMap<String, String>,
    heard: BTreeMap<String, Vec<Heard>>,
}

impl Heard {
    fn number(&self) -> Option<u64> {
        match self {
            Self::Event(number, _) => Some(*number),
            Self::Notice(_) => None,
        }
    }
}

impl Answer {
    pub(crate) fn is_ok(&self) -> bool {
        self.payload["status"] == "ok"
    }
}

impl Traffic {
    /// So many topics of this name, of all servers, with positions.
    pub(crate) async fn start(cluster: &Cluster, topics: usize) -> Self {
        let topics = (0..topics).map(|number| format!("room:{number}")).collect();
        Self::start_on(cluster, topics, true).await
    }

    /// These topics, with positions or without.
    pub(crate) async fn start_on(cluster: &Cluster, topics: Vec<String>, positions: bool) -> Self {
        Self::start_with(cluster, topics, positions, Load { burst: BURST, padding: 0 }).await
    }

    /// These topics under this load.
    pub(crate) async fn start_with(
        cluster: &Cluster,
        topics: Vec<String>,
        positions: bool,
        load: Load,
    ) -> Self {
        let topics = Arc::new(topics);
        let (stop, stopping) = watch::channel(false);
        let (goal, goals) = watch::channel(None);
        let (round, rounds) = watch::channel(0);
        let mut listeners = Vec::new();
        for gateway in 1..cluster.gateways.len() {
            let session = Session::join(cluster, gateway, &topics, positions).await;
            listeners.push(tokio::spawn(session.listen(goals.clone())));
        }
        let session = Session::join(cluster, 0, &topics, positions).await;
        let epochs = session.epochs.clone();
        let publisher = tokio::spawn(session.publish(Arc::clone(&topics), load, stopping, round));
        Self { topics, epochs, stop, rounds, publisher, listeners, goal }
    }

    pub(crate) fn topics(&self) -> &[String] {
        &self.topics
    }

    /// Waits until every topic has been published to a few more times.
    pub(crate) async fn goes_on(&mut self) {
        let from = *self.rounds.borrow();
        self.rounds.wait_for(|round| *round >= from + 3).await.expect("the publisher lives");
    }

    /// Ends it, when every listener has what was acknowledged.
    pub(crate) async fn end(self) -> Outcome {
        self.stop.send_replace(true);
        let (publisher, answers) = self.publisher.await.unwrap();
        let last_ok = |answers: &Vec<Answer>| Some(answers.iter().rfind(|answer| answer.is_ok())?.number);
        let last = answers.iter().filter_map(|(topic, answers)| Some((topic.clone(), last_ok(answers)?)));
        let last: BTreeMap<_, _> = last.collect();
        self.goal.send_replace(Some(last));
        let mut heard = vec![publisher.listen(self.goal.subscribe()).await.heard];
        for listener in self.listeners {
            heard.push(listener.await.unwrap().heard);
        }
        let with_positions = !self.epochs.is_empty();
        Outcome { epochs: self.epochs, answers, heard, with_positions }
    }

    /// Ends it: every publish was acknowledged, everybody has each exactly once and in order, nobody was told anything
    /// else, and the topics' counters are the same as before.
    pub(crate) async fn end_lossless(self, cluster: &Cluster) -> Outcome {
        let outcome = self.end().await;
        outcome.expect_lossless();
        for gateway in &cluster.gateways {
            let metrics = &gateway.metrics;
            assert_eq!((metrics.new_epochs.get(), metrics.missed.get()), (0, 0), "told as lost");
        }
        if outcome.with_positions {
            let mut client = cluster.client(cluster.gateways.len() - 1).await;
            for (topic, epoch) in &outcome.epochs {
                let offset = outcome.answers[topic].len() as u64;
                let position = json!({"resume": {"epoch": epoch, "offset": offset}});
                let (joined, _) = client.join_with(topic, position).await;
                assert_eq!(joined, json!({"epoch": epoch, "offset": offset, "recovered": true}), "{topic}");
            }
        }
        outcome
    }
}

impl Outcome {
    /// Every publish was acknowledged, and everybody has each exactly once and in order, and nothing else.
    pub(crate) fn expect_lossless(&self) {
        for topic in self.answers.keys() {
            self.expect_lossless_topic(topic);
        }
    }

    /// The same of one topic.
    pub(crate) fn expect_lossless_topic(&self, topic: &str) {
        let answers = &self.answers[topic];
        let refused: Vec<_> = answers.iter().filter(|answer| !answer.is_ok()).collect();
        assert!(refused.is_empty(), "{topic}: of {} were refused {refused:?}", answers.len());
        for answer in answers {
            if self.with_positions {
                assert_eq!(answer.payload["response"]["offset"], answer.number, "{topic}");
            }
        }
        let offset = |number| self.with_positions.then_some(number);
        let wanted: Vec<_> =
            (1..=answers.len() as u64).map(|number| Heard::Event(number, offset(number))).collect();
        for (client, heard) in self.heard.iter().enumerate() {
            let heard = heard.get(topic).map_or(&[][..], Vec::as_slice);
            let first = heard.iter().zip(&wanted).position(|(heard, wanted)| heard != wanted);
            assert!(
                heard == wanted,
                "{topic}, client {client}: {} of {} came; the first that is wrong is {:?}",
                heard.len(),
                wanted.len(),
                first.map(|at| &heard[at.saturating_sub(2)..(at + 3).min(heard.len())]),
            );
        }
    }

    /// What may happen to a topic whose holder dies: publishes may fail, with an answer; what everybody is sent grows,
    /// without a repeat; and what was acknowledged is there, but for what lies before a notice of loss, which each is
    /// given once. Returns whether there was one.
    pub(crate) fn expect_honest_topic(&self, topic: &str) -> bool {
        let mut notices = 0;
        for heard in &self.heard {
            let heard = &heard[topic];
            let notice = heard.iter().position(|heard| matches!(heard, Heard::Notice(_)));
            let numbers: Vec<_> = heard.iter().filter_map(Heard::number).collect();
            assert!(numbers.is_sorted_by(|one, two| one < two), "{topic}: {numbers:?}");
            for answer in self.answers[topic].iter().filter(|answer| !answer.is_ok()) {
                let response = &answer.payload["response"];
                assert_eq!(response["retry"], true, "{topic}: {answer:?}");
                if response["outcome"] != "unknown" {
                    assert_eq!(response["outcome"], "not_published", "{topic}: {answer:?}");
                    assert!(!numbers.contains(&answer.number), "{topic}: came: {answer:?}");
                }
            }
            let from = match notice {
                None => 0,
                Some(at) => {
                    let Heard::Notice(notice) = &heard[at] else { unreachable!() };
                    assert_eq!(notice[3], "position", "{notice}");
                    assert_eq!(notice[4]["recovered"], false, "{notice}");
                    assert_ne!(notice[4]["epoch"], self.epochs[topic], "{notice}");
                    heard[at..].iter().find_map(Heard::number).unwrap_or(u64::MAX)
                }
            };
            let until =
                notice.map_or(u64::MAX, |at| heard[..at].iter().rev().find_map(Heard::number).unwrap_or(0));
            for answer in self.answers[topic].iter().filter(|answer| answer.is_ok()) {
                // Between the two lies what the notice is about.
                if answer.number <= until || answer.number >= from {
                    assert!(numbers.contains(&answer.number), "{topic} {}: {heard:?}", answer.number);
                }
            }
            let of_one = heard.iter().filter(|heard| heard.number().is_none()).count();
            assert!(of_one <= 1, "{topic}: {heard:?}");
            notices += of_one;
        }
        assert!(notices == 0 || notices == self.heard.len(), "{topic}: told to {notices}: {:?}", self.heard);
        notices > 0
    }

    /// How long the slowest answer took.
    pub(crate) fn slowest(&self) -> Duration {
        let answers = self.answers.values().flatten();
        answers.map(|answer| answer.took).max().unwrap_or_default()
    }
}

impl Session {
    async fn join(cluster: &Cluster, gateway: usize, topics: &[String], positions: bool) -> Self {
        let mut client = cluster.client(gateway).await;
        let (mut join_refs, mut epochs) = (HashMap::new(), BTreeMap::new());
        let payload = if positions { json!({"positions": true}) } else { json!({}) };
        for topic in topics {
            let join_ref = client.next_ref();
            client.feed(json!([join_ref, join_ref, topic, "phx_join", payload]).to_string()).await;
            join_refs.insert(topic.clone(), join_ref);
        }
        client.flush().await;
        for topic in topics {
            let reply = client.reply(&join_refs[topic]).await;
            assert_eq!(reply["status"], "ok", "join of {topic}: {reply}");
            if let Some(epoch) = reply["response"]["epoch"].as_str() {
                epochs.insert(topic.clone(), epoch.to_owned());
            }
        }
        let heard = topics.iter().map(|topic| (topic.clone(), Vec::new())).collect();
        Self { client, join_refs, epochs, heard }
    }

    async fn publish(
        mut self,
        topics: Arc<Vec<String>>,
        load: Load,
        stopping: watch::Receiver<bool>,
        round: watch::Sender<u64>,
    ) -> (Self, BTreeMap<String, Vec<Answer>>) {
        let mut answers: BTreeMap<String, Vec<Answer>> =
            topics.iter().map(|topic| (topic.clone(), Vec::new())).collect();
        let mut number = 0;
        while !*stopping.borrow() {
            let mut waiting = HashMap::new();
            for _ in 0..load.burst {
                number += 1;
                let padding = "x".repeat(if number == 1 { load.padding } else { 0 });
                for topic in topics.iter() {
                    let (join_ref, reference) = (&self.join_refs[topic], self.client.next_ref());
                    let publish = json!([join_ref, reference, topic, "publish", ["event", {"n": number, "x": padding}]]);
                    self.client.feed(publish.to_string()).await;
                    waiting.insert(reference, (topic.clone(), number));
                }
            }
            let sent = Instant::now();
            self.client.flush().await;
            while !waiting.is_empty() {
                let frame = self.client.json().await;
                if frame[3] != "phx_reply" {
                    self.hear(frame);
                    continue;
                }
                let (topic, number) = waiting.remove(frame[1].as_str().unwrap()).expect("one answer each");
                let answer = Answer { number, payload: frame[4].clone(), took: sent.elapsed() };
                answers.get_mut(&topic).unwrap().push(answer);
            }
            round.send_modify(|round| *round += 1);
            sleep(PAUSE).await;
        }
        answers.values_mut().for_each(|answers| answers.sort_by_key(|answer| answer.number));
        (self, answers)
    }

    /// Listens until the goal is known and reached, and nothing comes behind it.
    async fn listen(mut self, mut goal: watch::Receiver<Option<BTreeMap<String, u64>>>) -> Self {
        loop {
            let wanted = goal.borrow_and_update().clone();
            if let Some(wanted) = wanted {
                let has = |topic: &String, number| {
                    let is_it = |heard: &Heard| matches!(heard, Heard::Event(own, _) if *own >= number);
                    self.heard[topic].iter().rev().any(is_it)
                };
                if wanted.iter().all(|(topic, number)| has(topic, *number)) {
                    self.client.expect_silence().await;
                    return self;
                }
            }
            tokio::select! {
                _ = goal.changed() => {}
                got = self.client.next() => match got {
                    Got::Text(frame) => self.hear(frame),
                    other => panic!("{other:?}; last frames:\n{}", self.client.shown()),
                }
            }
        }
    }

    fn hear(&mut self, frame: Value) {
        let topic = frame[2].as_str().unwrap();
        assert_eq!(frame[0], self.join_refs[topic], "{frame}");
        let heard = match frame[4]["n"].as_u64() {
            Some(number) if frame[3] == "event" => Heard::Event(number, frame[1].as_u64()),
            _ => Heard::Notice(frame.clone()),
        };
        self.heard.get_mut(topic).unwrap().push(heard);
    }
}

/// Every topic is with its owner, and no server has anything left to hand over or to wait for.
pub(crate) async fn settled(cluster: &Cluster, topics: &[String]) {
    let ring = cluster.ring();
    let state = |server: &TopicServerNode| {
        (server.name.clone(), server.metrics.handoffs_open.get(), server.metrics.subscriptions.get())
    };
    let wanted = |server: &TopicServerNode| {
        let owned = topics.iter().filter(|topic| server.owns(&ring, topic)).count();
        (server.name.clone(), 0, (owned * cluster.gateways.len()) as i64)
    };
    let wanted: Vec<_> = cluster.topic_servers.iter().map(wanted).collect();
    let all = async || equal(cluster.topic_servers.iter().map(state).collect(), wanted.clone());
    eventually("all have what is their own: name, open handoffs, subscriptions", DEADLINE, all).await;
}
