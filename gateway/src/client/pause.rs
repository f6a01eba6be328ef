//! A client whose publishes are refused as overloaded is read more slowly: TCP holds it back then, and the time that
//! reading and refusing would take is there for others.

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

/// After so many milliseconds without a refusal, pauses begin anew with the shortest.
const CALM: u32 = 1_000;

/// The pauses of one session. It holds a timer only while there is one.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    timer: Option<Pin<Box<Sleep>>>,
    /// When something was refused last, by [`idle::now`].
    refused: u32,
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

impl Pause {
    /// Something was refused. Within a pause nothing changes.
    pub(crate) fn begin(&mut self) {
        if self.timer.is_none() {
            // Wraps after 49 days: then one pause is shorter or longer than it should be.
            let now = idle::now() as u32;
            let length = self.next(now);
            self.timer = Some(Box::pin(sleep(length)));
        }
    }

    /// How long the next pause is.
    fn next(&mut self, now: u32) -> Duration {
        if now.wrapping_sub(self.refused) > CALM {
            self.steps = 0;
        }
        self.refused = now;
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
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_and_a_refusal_within_it_does_not_prolong_it() {
        let mut pause = Pause::default();
        let context = &mut Context::from_waker(Waker::noop());
        assert_eq!(pause.poll(context), Reading::Free);
        pause.begin();
        assert_eq!(pause.poll(context), Reading::Paused);
        tokio::time::advance(FIRST / 2).await;
        pause.begin();
        tokio::time::advance(FIRST / 2 + Duration::from_millis(1)).await;
        assert_eq!(pause.poll(context), Reading::Again);
        assert_eq!(pause.poll(context), Reading::Free);
        assert!(pause.timer.is_none(), "no memory for who is not paused");
    }
}
