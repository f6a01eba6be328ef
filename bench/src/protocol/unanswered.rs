//! Publishes whose answers name none: a server answers them in the order they were made.

use std::cell::RefCell;
use std::collections::VecDeque;

/// What waits for an answer, oldest first.
#[derive(Debug, Default)]
pub(super) struct Unanswered(RefCell<VecDeque<Question>>);

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Join,
    Heartbeat,
    /// A publish, by its sequence number.
    Publish(u64),
}

impl Unanswered {
    pub(super) fn asked(&self, question: Question) {
        self.0.borrow_mut().push_back(question);
    }

    /// The question of the next answer.
    pub(super) fn answered(&self) -> Option<Question> {
        self.0.borrow_mut().pop_front()
    }

    /// Takes the oldest publish if it is this one.
    pub(super) fn answered_publish(&self, sequence: u64) -> bool {
        let mut waiting = self.0.borrow_mut();
        let its_turn = waiting.front() == Some(&Question::Publish(sequence));
        if its_turn {
            waiting.pop_front();
        }
        its_turn
    }
}
