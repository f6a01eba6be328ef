//! One connection of a member, from its join to its end: hears, publishes, and asks again.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use super::judge::Answered;
use super::member::{Ended, Member};
use super::shared::Phase;
use super::wire::{Answer, Heard, Line};
use crate::arguments::Pace;
use crate::client::{Connection, Lost, Received};
use crate::faults::FaultKind;
use crate::protocol::heartbeat;
use crate::schedule::Schedule;

/// Publishes that a publisher may have without an answer; what is due beyond is left out.
const UNANSWERED: usize = 1_000;
/// Sent before the publisher looks at what came in.
const BURST: usize = 64;
/// How long one that comes and goes stays, in seconds: at least, and at random up to this much longer.
const STAY: (f64, f64) = (0.2, 4.0);
/// Until a publish is sent again after an error, at most.
const RETRY: Duration = Duration::from_millis(500);
const DAY: Duration = Duration::from_secs(86_400);

impl Member {
    /// Stays joined until the connection is lost, the run is over, or this member goes.
    pub(super) async fn stay(&mut self, connection: &mut Connection, line: &Line) -> Ended {
        let mut phase = self.shared.phase.subscribe();
        let mut heard_at = Instant::now();
        let go_at = heard_at + Duration::from_secs_f64(STAY.0 + STAY.1 * self.random.f64());
        // Often enough to notice a server that is silent within the deadline.
        let mut beat = interval((self.deadline / 3).min(Duration::from_secs(25)));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beats = 0;
        self.skip_missed();
        loop {
            let now = Instant::now();
            let running = *phase.borrow_and_update();
            if running == Phase::Closing {
                return Ended::Over;
            }
            if let Err(lost) = self.publish_due(connection, line, running, now, heard_at).await {
                return Ended::Lost(lost);
            }
            let due = self.next_due(running);
            // All of these can be dropped half-way without loss.
            tokio::select! {
                biased;
                received = connection.receive() => match received {
                    Ok(received) => {
                        heard_at = Instant::now();
                        if let Err(lost) = self.received(line, received, heard_at) {
                            return Ended::Lost(lost);
                        }
                    }
                    Err(lost) => return Ended::Lost(lost),
                },
                _ = phase.changed() => {}
                () = sleep_until(due.unwrap_or(now + DAY).into()), if due.is_some() => {}
                () = sleep_until(go_at.into()), if self.churns && running == Phase::Publishing => {
                    return Ended::Left;
                }
                _ = beat.tick() => {
                    if heard_at.elapsed() >= self.deadline {
                        return Ended::Lost(Lost("silent: no heartbeat was answered in time".into()));
                    }
                    beats += 1;
                    if let Err(lost) = self.send(connection, heartbeat(beats)).await {
                        return Ended::Lost(lost);
                    }
                }
            }
        }
    }

    async fn send(&self, connection: &mut Connection, text: String) -> Result<(), Lost> {
        match timeout(self.deadline, connection.send(text)).await {
            Ok(sent) => sent,
            Err(_) => Err(Lost("silent: took nothing in time".into())),
        }
    }

    /// What was due while this publisher was away is left out.
    fn skip_missed(&mut self) {
        if let Some(schedule) = self.publishing.as_mut().and_then(|own| own.schedule.as_mut()) {
            let now = Instant::now();
            while schedule.take(0, now, now + DAY).is_some() {}
        }
    }

    fn next_due(&self, phase: Phase) -> Option<Instant> {
        let own = self.publishing.as_ref()?;
        let next = own.schedule.as_ref().and_then(Schedule::due);
        let next = next.filter(|_| phase == Phase::Publishing);
        let waiting = own.outstanding.next_due(self.deadline);
        next.into_iter().chain(waiting).min()
    }

    /// Sends what is due, for the first time or again; an error if a reply is overdue.
    async fn publish_due(
        &mut self,
        connection: &mut Connection,
        line: &Line,
        phase: Phase,
        now: Instant,
        heard_at: Instant,
    ) -> Result<(), Lost> {
        let Some(mut own) = self.publishing.take() else {
            return Ok(());
        };
        let mut frames = Vec::new();
        let shared = self.shared.clone();
        let subject = &shared.topics[self.topic];
        if let Some(number) = own.outstanding.overdue(now, self.deadline) {
            self.publishing = Some(own);
            // A server that says nothing at all may be cut off; one that talks must answer.
            if now.saturating_duration_since(heard_at) < self.deadline {
                self.shared.fault(FaultKind::Unanswered, || {
                    let topic = &self.subject().judge.borrow().name;
                    let (deadline, member) = (self.deadline, self.number);
                    format!("topic {topic}: publish {number} of publisher {member} had no reply within {deadline:?}")
                });
            }
            return Err(Lost("a publish had no reply in time".into()));
        }
        while frames.len() < BURST
            && let Some((number, sending)) = own.outstanding.take_due(now)
        {
            self.shared.retries.up();
            subject.judge.borrow_mut().sent_again(number);
            let key = key_of(number);
            frames.push(line.publish(number, sending, &subject.payload.text(number), Some(&key)));
        }
        if phase == Phase::Publishing {
            let (turn, publishers) = own.turn;
            let pace = Pace::Rate(own.rate);
            let schedule = own.schedule.get_or_insert_with(|| Schedule::new(pace, turn, publishers, now));
            while frames.len() < BURST && schedule.take(0, now, now + DAY).is_some() {
                if own.outstanding.len() >= UNANSWERED {
                    continue;
                }
                let number = subject.judge.borrow_mut().sent(self.place, now);
                let key = (self.random.f64() < own.keys).then(|| key_of(number));
                own.outstanding.sent(number, key.is_some(), now);
                self.shared.outstanding.set(self.shared.outstanding.get() + 1);
                self.shared.publishes.up();
                frames.push(line.publish(number, 1, &subject.payload.text(number), key.as_deref()));
            }
        }
        self.publishing = Some(own);
        if frames.is_empty() {
            return Ok(());
        }
        let sending = async {
            for frame in frames {
                connection.feed(frame).await?;
            }
            connection.flush().await
        };
        match timeout(self.deadline, sending).await {
            Ok(sent) => sent,
            Err(_) => Err(Lost("silent: took nothing in time".into())),
        }
    }

    /// Takes one frame; an error if the server has ended the channel.
    fn received(&mut self, line: &Line, received: Received, now: Instant) -> Result<(), Lost> {
        let subject = self.subject();
        let heard = match received {
            Received::Text(text) => line.read(&subject.payload, &text),
            Received::Binary(bytes) => Heard::Strange(format!("a binary frame of {} bytes", bytes.len())),
        };
        match heard {
            Heard::Event { offset, number } => {
                self.shared.events.up();
                let mut faults = self.shared.faults.borrow_mut();
                let mut judge = subject.judge.borrow_mut();
                judge.delivered(self.place, offset, number, now, &mut faults);
            }
            Heard::Notice(told) => {
                self.shared.notices.up();
                self.told_of_loss(&told);
                let mut faults = self.shared.faults.borrow_mut();
                subject.judge.borrow_mut().noticed(self.place, &told, &mut faults);
            }
            Heard::Answer { number, answer } => self.answered(number, answer, now),
            Heard::Heartbeat => {}
            Heard::Joined(_) => self.strange("a second reply to the join"),
            Heard::Ended(_) => return Err(Lost("channel ended by the server".into())),
            Heard::Strange(frame) => self.strange(&frame),
        }
        Ok(())
    }

    fn answered(&mut self, number: u64, answer: Answer, now: Instant) {
        let waits = |member: &Self| {
            let own = member.publishing.as_ref()?;
            own.outstanding.waits(number).then_some(())
        };
        if waits(self).is_none() {
            return self.strange(&format!("a reply to publish {number}, which waits for none"));
        }
        let again = self.random.f64() * RETRY.as_secs_f64();
        let again = now + Duration::from_secs_f64(again);
        let shared = self.shared.clone();
        let judge = &shared.topics[self.topic].judge;
        let mut faults = shared.faults.borrow_mut();
        match answer {
            Answer::Ok(offset) => {
                let took = judge.borrow_mut().acknowledged(number, offset, now, &mut faults);
                shared.waits.borrow_mut().record(took.unwrap_or_default());
                self.settled(number);
            }
            Answer::Refused { reason, unknown, retry } => {
                shared.publish_errors.count(&reason);
                if !unknown && judge.borrow_mut().not_published(number, &mut faults) == Answered::Refused {
                    self.settled(number);
                } else if retry {
                    self.again_or_give_up(number, again);
                } else {
                    judge.borrow_mut().given_up(number);
                    shared.given_up.up();
                    self.settled(number);
                }
            }
        }
    }

    fn settled(&mut self, number: u64) {
        if let Some(own) = &mut self.publishing {
            own.outstanding.remove(number);
            self.shared.outstanding.set(self.shared.outstanding.get() - 1);
        }
    }

    /// Every reply that was waited for is lost.
    pub(super) fn connection_lost(&mut self) {
        let waiting = self.publishing.as_ref().map(|own| own.outstanding.waiting());
        for number in waiting.unwrap_or_default() {
            self.again_or_give_up(number, Instant::now());
        }
    }

    fn again_or_give_up(&mut self, number: u64, due: Instant) {
        let hopeful = self.publishing.as_mut().is_some_and(|own| own.outstanding.again(number, due));
        if !hopeful {
            self.subject().judge.borrow_mut().given_up(number);
            self.shared.given_up.up();
            self.settled(number);
        }
    }
}

/// Keys count per topic, and a run's topics are its own.
fn key_of(number: u64) -> String {
    format!("publish-{number}")
}
