//! A client that sends more than can be taken is read more slowly: TCP holds it back then, and the time that reading and
//! refusing would take is there for others. Who sends little is not held back, even if it is refused now and then.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use crate::client::idle;

/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(2);

/// No pause is longer.
const LONGEST: Duration = Duration::from_millis(100);

/// Steps to the longest pause.
const STEPS: u8 = 6;

/// After so many milliseconds without a pause, they begin anew with the shortest.
const CALM: u32 = 1_000;

/// So many refusals at once cost a client no pause.
const FREE: u8 = 20;

/// In so many milliseconds it has one of them again.
const FREE_AGAIN: u32 = 50;

/// The pauses of one session. It holds a timer only while there is one.
#[derive(Debug)]
pub(crate) struct Pause {
    timer: Option<Pin<Box<Sleep>>>,
    /// When something was refused last, or was paused for, by [`idle::now`].
    last: u32,
    /// Refusals without a pause that are left.
    free: u8,
    steps: u8,
}

/// Whether a client may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As ever.
    Free,
    /// The pause is over.
    Again,
    /// Not before the task is woken.
    Paused,
}

impl Default for Pause {
    fn default() -> Self {
        Self { timer: None, last: 0, free: FREE, steps: 0 }
    }
}

impl Pause {
    /// Something was refused.
    pub(crate) fn refused(&mut self) {
        // Wraps after 49 days: then one pause is shorter or longer than it should be.
        if let Some(length) = self.after_refusal(idle::now() as u32) {
            self.begin(length);
        }
    }

    /// The client has sent much at once, on a way that is slow.
    pub(crate) fn hurried(&mut self) {
        let length = self.next(idle::now() as u32);
        self.begin(length);
    }

    /// The client has sent much at once, and all was well.
    pub(crate) fn ease(&mut self) {
        self.steps = 0;
    }

    /// Within a pause nothing changes.
    fn begin(&mut self, length: Duration) {
        if self.timer.is_none() {
            self.timer = Some(Box::pin(sleep(length)));
        }
    }

    fn after_refusal(&mut self, now: u32) -> Option<Duration> {
        let again = (now.wrapping_sub(self.last) / FREE_AGAIN).min(u32::from(FREE));
        let free = FREE.min(self.free.saturating_add(again as u8));
        let Some(left) = free.checked_sub(1) else { return Some(self.next(now)) };
        // What has passed of the next one is not forgotten.
        self.last = if free == FREE { now } else { self.last.wrapping_add(again * FREE_AGAIN) };
        self.free = left;
        None
    }

    /// How long the next pause is.
    fn next(&mut self, now: u32) -> Duration {
        if now.wrapping_sub(self.last) > CALM {
            self.steps = 0;
        }
        self.last = now;
        let length = LONGEST.min(FIRST * (1 << self.steps));
        self.steps = STEPS.min(self.steps + 1);
        length
    }

    /// Whether the client may be read.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Reading {
        let Some(timer) = &mut self.timer else { return Reading::Free };
        match timer.as_mut().poll(context) {
            Poll::Pending => Reading::Paused,
            Poll::Ready(()) => {
                self.timer = None;
                Reading::Again
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_begin_anew_after_a_calm_second() {
        let mut pause = Pause::default();
        let mut lengths =
            |times: &[u32]| -> Vec<_> { times.iter().map(|now| pause.next(*now).as_millis()).collect() };
        assert_eq!(lengths(&[5, 10, 15, 20, 25, 30, 35, 40]), [2, 4, 8, 16, 32, 64, 100, 100]);
        assert_eq!(lengths(&[1_040]), [100], "a second is not over");
        assert_eq!(lengths(&[2_041, 2_042]), [2, 4]);
        // The clock wraps.
        assert_eq!(lengths(&[u32::MAX, 2]), [2, 4]);
        pause.ease();
        assert_eq!(pause.next(3).as_millis(), 2, "all was well meanwhile");
    }

    #[test]
    fn who_is_refused_twenty_times_a_second_is_not_paused() {
        let mut pause = Pause::default();
        assert!((0..10_000).all(|number| pause.after_refusal(number * 50).is_none()));
        let mut pause = Pause::default();
        let begin = 1_000;
        assert!((0..20).all(|_| pause.after_refusal(begin).is_none()), "so many at once");
        assert_eq!(pause.after_refusal(begin), Some(FIRST));
        assert_eq!(pause.after_refusal(begin + 49), Some(FIRST * 2));
        assert_eq!(pause.after_refusal(begin + 99), None);
        assert_eq!(pause.after_refusal(begin + 99), Some(FIRST * 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_and_what_comes_within_it_does_not_prolong_it() {
        let mut pause = Pause::default();
        let context = &mut Context::from_waker(Waker::noop());
        assert_eq!(pause.poll(context), Reading::Free);
        pause.hurried();
        assert_eq!(pause.poll(context), Reading::Paused);
        tokio::time::advance(FIRST / 2).await;
        pause.hurried();
        tokio::time::advance(FIRST / 2 + Duration::from_millis(1)).await;
        assert_eq!(pause.poll(context), Reading::Again);
        assert_eq!(pause.poll(context), Reading::Free);
        assert!(pause.timer.is_none(), "no memory for who is not paused");
    }
}
