//! One client of a run: it joins, is cut off or goes away, and comes back with its position, on another gateway.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::judge::{Came, Position, Standing};
use super::outstanding::Outstanding;
use super::shared::{Phase, Shared, Subject};
use super::wire::{Heard, Line};
use crate::client::{Connection, Connector, Lost, Received};
use crate::faults::FaultKind;
use crate::schedule::Schedule;

/// Between two attempts to come back, at first and at most; each is shortened at random by up to a half.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long one that comes and goes is away, at most, in seconds.
const AWAY: f64 = 2.0;

/// One client.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) shared: Rc<Shared>,
    pub(super) connector: Rc<Connector>,
    /// Its number in the run, from 0; publishers first.
    pub(super) number: usize,
    pub(super) topic: usize,
    /// Its number at the topic's judge.
    pub(super) place: usize,
    /// Bounds every step and every reply.
    pub(super) deadline: Duration,
    /// Whether it comes and goes.
    pub(super) churns: bool,
    pub(super) publishing: Option<Publishing>,
    pub(super) random: fastrand::Rng,
    /// The gateway to take next, and how many joins were tried.
    pub(super) gateway: usize,
    pub(super) attempts: u64,
}

/// What a publisher has beside.
#[derive(Debug)]
pub(super) struct Publishing {
    pub(super) rate: f64,
    /// Its number among the publishers, and their count.
    pub(super) turn: (usize, usize),
    /// Set when the publishing begins.
    pub(super) schedule: Option<Schedule>,
    pub(super) outstanding: Outstanding,
    /// Share of the publishes with a key.
    pub(super) keys: f64,
}

/// Why a session ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The run is over.
    Over,
    /// This member wanted to go.
    Left,
    Lost(Lost),
}

impl Member {
    /// Lives until the run is over.
    pub(super) async fn live(mut self) {
        let mut failures = 0;
        let mut joined_before = false;
        while self.shared.phase() != Phase::Closing {
            let shared = self.shared.clone();
            match self.come().await {
                Ok((mut connection, line)) => {
                    failures = 0;
                    if std::mem::replace(&mut joined_before, true) {
                        shared.reconnects.up();
                    }
                    shared.joined.set(shared.joined.get() + 1);
                    let ended = self.stay(&mut connection, &line).await;
                    shared.joined.set(shared.joined.get() - 1);
                    if matches!(ended, Ended::Over) {
                        return connection.close().await;
                    }
                    self.subject().judge.borrow_mut().left(self.place);
                    self.connection_lost();
                    match ended {
                        Ended::Lost(lost) => shared.losses.count(&lost.0),
                        _ => self.leave(connection).await,
                    }
                }
                Err(reason) => {
                    failures += 1;
                    shared.join_errors.count(&reason);
                }
            }
            // Another one than before, where there is one.
            let gateways = self.connector.gateways();
            self.gateway = (self.gateway + 1 + self.random.usize(..gateways.max(2) - 1)) % gateways;
            let pause = BACKOFF.0.mul_f64(f64::from(1u32 << failures.min(10))).min(BACKOFF.1);
            let share = 0.5 + 0.5 * self.random.f64();
            self.pause(pause.mul_f64(share), Phase::Closing).await;
        }
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.shared.topics[self.topic]
    }

    /// Goes away on purpose: every other time without a word, as a client whose network is gone.
    async fn leave(&mut self, connection: Connection) {
        self.shared.leaves.up();
        if self.random.bool() {
            connection.close().await;
        } else {
            drop(connection);
        }
        let away = Duration::from_secs_f64(AWAY * self.random.f64());
        // At the end everybody comes back.
        self.pause(away, Phase::CatchingUp).await;
    }

    /// Waits, until that phase at most.
    async fn pause(&self, time: Duration, until: Phase) {
        let mut phase = self.shared.phase.subscribe();
        tokio::select! {
            () = sleep(time) => {}
            // The sender lives as long as the run.
            _ = phase.wait_for(|phase| *phase >= until) => {}
        }
    }

    /// Connects and joins, once.
    async fn come(&mut self) -> Result<(Connection, Line), String> {
        // The connector takes the gateway from the number's remainder, and the source address from the rest.
        let number = self.number * self.connector.gateways() + self.gateway;
        let mut connection = self.connector.open(number).await.map_err(|error| error.reason)?;
        self.attempts += 1;
        let line = Line::new(self.number, self.attempts, &self.subject().judge.borrow().name);
        let label = self.connector.label(number);
        let joining = timeout(self.deadline, self.join(&mut connection, &line));
        match joining.await {
            Ok(Ok(())) => Ok((connection, line)),
            Ok(Err(reason)) => Err(reason),
            Err(_) => Err(format!("{label} did not answer a join in time")),
        }
    }

    async fn join(&self, connection: &mut Connection, line: &Line) -> Result<(), String> {
        let subject = self.subject();
        let position = subject.judge.borrow().position(self.place);
        let lost = |lost: Lost| format!("while joining: {}", lost.0);
        connection.send(line.join(position.as_ref())).await.map_err(lost)?;
        loop {
            let heard = match connection.receive().await.map_err(lost)? {
                Received::Text(text) => line.read(&subject.payload, &text),
                Received::Binary(bytes) => Heard::Strange(format!("a binary frame of {} bytes", bytes.len())),
            };
            match heard {
                Heard::Joined(Ok(told)) => {
                    match self.joined(&told) {
                        Came::Fresh => {}
                        Came::Recovered => self.shared.recovered.up(),
                        Came::NotRecovered => {
                            self.shared.not_recovered.up();
                            self.told_of_loss(&told);
                        }
                    }
                    return Ok(());
                }
                Heard::Joined(Err(reason)) => return Err(format!("join refused: {reason}")),
                Heard::Ended(_) => return Err("channel ended while joining".into()),
                other => self.strange(&format!("before the join's reply: {other:?}")),
            }
        }
    }

    fn joined(&self, told: &Standing) -> Came {
        let mut faults = self.shared.faults.borrow_mut();
        let mut judge = self.subject().judge.borrow_mut();
        judge.joined(self.place, told, Instant::now(), &mut faults)
    }

    pub(super) fn told_of_loss(&self, told: &Standing) {
        self.shared.told_of_loss(|| {
            let topic = &self.subject().judge.borrow().name;
            let Position { epoch, offset } = &told.position;
            format!(
                "topic {topic}: member {} was told of a loss before offset {offset} of epoch {epoch}",
                self.number
            )
        });
    }

    pub(super) fn strange(&self, what: &str) {
        self.shared.fault(FaultKind::Strange, || {
            let topic = &self.subject().judge.borrow().name;
            format!("topic {topic}: member {}: {what}", self.number)
        });
    }
}
