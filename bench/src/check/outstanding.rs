//! A publisher's publishes without a final answer: which wait for a reply, and which must be sent again and when.
//! Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// For how long a publish is sent again: keys are remembered for two minutes.
const RETRY_FOR: Duration = Duration::from_secs(100);

/// One publish without a final answer.
#[derive(Debug)]
struct Publish {
    keyed: bool,
    sendings: u32,
    first_sent: Instant,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Sent at this time on the connection that stands.
    Waiting(Instant),
    /// To be sent again, not before this time.
    Again(Instant),
}

/// All of one publisher.
#[derive(Debug, Default)]
pub(super) struct Outstanding(BTreeMap<u64, Publish>);

impl Outstanding {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn sent(&mut self, number: u64, keyed: bool, now: Instant) {
        let publish = Publish { keyed, sendings: 1, first_sent: now, state: State::Waiting(now) };
        self.0.insert(number, publish);
    }

    /// Whether this publish waits for a reply.
    pub(super) fn waits(&self, number: u64) -> bool {
        matches!(self.0.get(&number), Some(Publish { state: State::Waiting(_), .. }))
    }

    /// The final answer came, or none is wanted any more.
    pub(super) fn remove(&mut self, number: u64) {
        self.0.remove(&number);
    }

    /// Wants it sent again, not before `due`; false if that could count twice: without a key, or when the key may
    /// be forgotten.
    pub(super) fn again(&mut self, number: u64, due: Instant) -> bool {
        let Some(publish) = self.0.get_mut(&number) else {
            return false;
        };
        publish.state = State::Again(due);
        let hopeful = publish.keyed && due < publish.first_sent + RETRY_FOR;
        if !hopeful {
            self.0.remove(&number);
        }
        hopeful
    }

    /// The connection is lost, and every reply with it: all that waited, to be decided with
    /// [`Outstanding::again`].
    pub(super) fn waiting(&self) -> Vec<u64> {
        let waiting = self.0.iter().filter(|(_, publish)| matches!(publish.state, State::Waiting(_)));
        waiting.map(|(&number, _)| number).collect()
    }

    /// The next one that is due to be sent again, with the number of this sending and its key's wish; it waits now.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(u64, u32)> {
        let due = |publish: &Publish| matches!(publish.state, State::Again(due) if due <= now);
        let (&number, publish) = self.0.iter_mut().find(|(_, publish)| due(publish))?;
        publish.state = State::Waiting(now);
        publish.sendings += 1;
        Some((number, publish.sendings))
    }

    /// The first publish whose reply is later than `deadline`.
    pub(super) fn overdue(&self, now: Instant, deadline: Duration) -> Option<u64> {
        let late =
            |publish: &Publish| matches!(publish.state, State::Waiting(sent) if now >= sent + deadline);
        self.0.iter().find(|(_, publish)| late(publish)).map(|(&number, _)| number)
    }

    /// When something is due next: a sending, or the end of a wait.
    pub(super) fn next_due(&self, deadline: Duration) -> Option<Instant> {
        let due = |publish: &Publish| match publish.state {
            State::Waiting(sent) => sent + deadline,
            State::Again(due) => due,
        };
        self.0.values().map(due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lost_reply_is_asked_for_again_with_a_key_and_given_up_without() {
        let now = Instant::now();
        let mut outstanding = Outstanding::default();
        outstanding.sent(1, true, now);
        outstanding.sent(2, false, now);
        outstanding.sent(3, true, now);
        outstanding.remove(3);
        assert_eq!(outstanding.waiting(), [1, 2]);
        assert!(outstanding.again(1, now + SECOND) && !outstanding.again(2, now + SECOND));
        assert!(!outstanding.waits(1) && outstanding.len() == 1);
        assert_eq!(outstanding.take_due(now), None);
        assert_eq!(outstanding.next_due(SECOND), Some(now + SECOND));
        assert_eq!(outstanding.take_due(now + SECOND), Some((1, 2)));
        assert!(outstanding.waits(1) && outstanding.take_due(now + SECOND).is_none());
    }

    #[test]
    fn nothing_is_sent_again_when_the_key_may_be_forgotten() {
        let now = Instant::now();
        let mut outstanding = Outstanding::default();
        outstanding.sent(1, true, now);
        assert!(outstanding.again(1, now + RETRY_FOR - SECOND));
        assert!(!outstanding.again(1, now + RETRY_FOR));
        assert_eq!(outstanding.len(), 0);
    }

    #[test]
    fn a_reply_that_does_not_come_is_overdue() {
        let now = Instant::now();
        let mut outstanding = Outstanding::default();
        outstanding.sent(1, true, now);
        assert_eq!(outstanding.overdue(now, SECOND), None);
        assert_eq!(outstanding.overdue(now + SECOND, SECOND), Some(1));
        outstanding.again(1, now);
        assert_eq!(outstanding.overdue(now + SECOND, SECOND), None);
    }
}
