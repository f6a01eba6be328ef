//! Which topic server a topic's requests go to, and on which link: one at a time (rules H8 and H9).

use std::time::{Duration, Instant};

use campanile_proto::planted::{Fault, planted};

use crate::hub::effect::{LinkView, MemberId, Routes};

/// Where a topic's requests go.
#[derive(Debug)]
pub(crate) struct Binding {
    member: MemberId,
    /// The link on which the subscription was made and the unanswered publishes were sent.
    link: Option<u64>,
    /// The member has given the topic up or refused it, and what it was handed has not been answered yet. For how long
    /// it is left alone if the ring still names it then.
    parting: Option<Duration>,
    /// The member is not asked for anything before.
    hold_until: Option<Instant>,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Requests go on this link, as before.
    Here(LinkView),
    /// Requests go on this link, on which nothing of the topic has been set up.
    Anew(LinkView),
    /// Requests wait: for a link, for answers, or for the end of a pause.
    Waits,
}

impl Binding {
    /// A topic that nothing has been asked for yet.
    pub(crate) fn new(member: MemberId) -> Self {
        Self { member, link: None, parting: None, hold_until: None }
    }

    /// The member that requests go to.
    pub(crate) fn member(&self) -> MemberId {
        self.member
    }

    /// The link that requests go on, once something has been set up there.
    pub(crate) fn link(&self) -> Option<u64> {
        self.link
    }

    /// Whether what comes on this link comes from where the topic is bound.
    pub(crate) fn is_on(&self, link: LinkView) -> bool {
        link.member == self.member && link.up.is_some() && link.up == self.link
    }

    /// Nothing new goes to the member. It is left as soon as it has answered what it was handed, or its link is down.
    /// If the ring still names it then, it is asked again after this pause.
    pub(crate) fn part(&mut self, pause: Duration) {
        self.parting = Some(self.parting.map_or(pause, |other| other.min(pause)));
    }

    /// Whether the member is being left.
    pub(crate) fn is_parting(&self) -> bool {
        self.parting.is_some()
    }

    /// The end of the pause.
    pub(crate) fn hold_until(&self) -> Option<Instant> {
        self.hold_until
    }

    /// Finds the member and the link. A topic that is in use, with a subscription or unanswered publishes, stays with
    /// its holder until that gives it up, or until its link is down and the ring names another (H8); a holder that has
    /// given it up is left when nothing that it was handed awaits its answer any more (H9).
    pub(crate) fn find(
        &mut self,
        topic: &[u8],
        in_use: bool,
        awaits_answers: impl FnOnce() -> bool,
        now: Instant,
        routes: &dyn Routes,
    ) -> Bound {
        let mut view = routes.view(self.member);
        if self.is_on(view) {
            match self.parting {
                Some(_) if awaits_answers() && !planted(Fault::TwoTargets) => return Bound::Waits,
                None if in_use && !planted(Fault::LeaveBeforeMoved) => return Bound::Here(view),
                Some(_) | None => {}
            }
        }
        let owner = routes.owner(topic);
        if let Some(pause) = self.parting.take() {
            self.link = None;
            self.hold_until = Some(now + pause);
        }
        if owner != self.member {
            *self = Self::new(owner);
            view = routes.view(owner);
        }
        self.hold_until.take_if(|until| *until <= now);
        match () {
            () if view.up.is_none() => Bound::Waits,
            () if view.up == self.link => Bound::Here(view),
            () if self.hold_until.is_some() => Bound::Waits,
            () => {
                self.link = view.up;
                Bound::Anew(view)
            }
        }
    }
}
