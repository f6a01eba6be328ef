//! Which topic servers a gateway sees: it has a link to them, or had one a short while ago. Told to all of them, so
//! that nobody opens a topic anew whose holder is only out of his own sight (rule H4). Times come in as arguments.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use campanile_proto::message::Place;

/// A topic server is seen for so long after its link has broken.
pub(crate) const SEEN_FOR: Duration = Duration::from_secs(5);

/// One topic server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// Number of the link that is open.
    link: Option<u64>,
    /// When the last one broke, or the first one could have been opened.
    last: Instant,
}

/// What was told.
#[derive(Debug, Default)]
pub(crate) struct Told(BTreeSet<Place>);

impl Sight {
    /// There has been no time yet to open a link: that says nothing about the topic server.
    pub(crate) fn new(now: Instant) -> Self {
        Self { link: None, last: now }
    }

    /// A link is open.
    pub(crate) fn open(&mut self, link: u64) {
        self.link = Some(link);
    }

    /// This link is over; `None` stands for whichever there is.
    pub(crate) fn end(&mut self, link: Option<u64>, now: Instant) {
        if self.link.is_some() && (link.is_none() || link == self.link) {
            self.link = None;
            self.last = now;
        }
    }

    /// The link that is open.
    pub(crate) fn link(&self) -> Option<u64> {
        self.link
    }

    /// Whether the topic server is seen.
    pub(crate) fn sees(&self, now: Instant) -> bool {
        self.link.is_some() || now.saturating_duration_since(self.last) < SEEN_FOR
    }
}

impl Told {
    /// Notes what is seen now. `true` if it is not what was told last.
    pub(crate) fn changes_to(&mut self, seen: BTreeSet<Place>) -> bool {
        let changes = self.0 != seen;
        self.0 = seen;
        changes
    }

    /// What is to be told.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_server_is_seen_while_its_link_is_open_and_for_five_seconds_after() {
        let now = Instant::now();
        let mut sight = Sight::new(now);
        assert!(sight.sees(now), "not tried yet");
        assert!(!sight.sees(now + SEEN_FOR), "never linked");
        sight.open(4);
        assert!(sight.sees(now + 100 * SEEN_FOR));
        sight.end(Some(3), now);
        assert_eq!(sight.link(), Some(4), "an older link's end means nothing");
        sight.end(Some(4), now);
        assert!(sight.sees(now + SEEN_FOR - Duration::from_millis(1)));
        assert!(!sight.sees(now + SEEN_FOR));
        sight.end(None, now + SEEN_FOR);
        assert!(!sight.sees(now + SEEN_FOR), "it was over already");
        sight.open(5);
        sight.end(None, now + SEEN_FOR);
        assert!(sight.sees(now + SEEN_FOR));
    }
}
