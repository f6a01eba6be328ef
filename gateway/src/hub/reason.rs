//! Why something was not done, as every front may have to say it. The list is closed; docs/protocol.md shows it,
//! kept equal by a test.

use campanile_proto::Refusal;

/// Whether a publish that was not acknowledged may have happened all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Published {
    /// It did not happen, and it will not.
    Not,
    /// Nobody knows.
    Unknown,
}

/// Why a join or a publish was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No `[[topics]]` pattern matches, or the name is not one that the front takes.
    UnmatchedTopic,
    /// The session has as many channels as it may have.
    TooManyChannels,
    /// The topic's owner could not be reached within the deadline; nothing was handed to it.
    OwnerUnreachable,
    /// The publish was handed to the owner, and no answer came within the deadline, or with the owner's life.
    Unanswered,
    /// A bound is reached: the queue to the owner, the owner's own, the frames that wait for a join, or memory.
    Overloaded,
    /// The session, or the topic, publishes more often than it may.
    RateLimited,
    /// The owner is ending.
    OwnerDraining,
    /// The payload of `publish` is not `["event", {…}]`.
    InvalidPublish,
    /// The event is empty or longer than 255 bytes.
    InvalidEvent,
    /// The event belongs to the protocol: `phx_…`, `presence_…`, `position`.
    ReservedEvent,
    /// The payload is not a JSON object.
    InvalidPayload,
    /// The idempotency key is no string of 1 to 64 bytes.
    InvalidKey,
    /// The idempotency key came before, with another event or payload.
    KeyReused,
    /// The client sent an event that no rule knows.
    UnknownEvent,
}

impl Reason {
    /// All reasons, in the order of the docs.
    pub const ALL: [Self; 14] = [
        Self::UnmatchedTopic,
        Self::TooManyChannels,
        Self::OwnerUnreachable,
        Self::Unanswered,
        Self::Overloaded,
        Self::RateLimited,
        Self::OwnerDraining,
        Self::InvalidPublish,
        Self::InvalidEvent,
        Self::ReservedEvent,
        Self::InvalidPayload,
        Self::InvalidKey,
        Self::KeyReused,
        Self::UnknownEvent,
    ];

    /// The word that clients match on.
    pub fn text(self) -> &'static str {
        match self {
            Self::UnmatchedTopic => "unmatched topic",
            Self::TooManyChannels => "too many channels joined",
            Self::OwnerUnreachable => "owner unreachable",
            Self::Unanswered => "no answer from owner",
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate limited",
            Self::OwnerDraining => "owner is ending",
            Self::InvalidPublish => "invalid publish",
            Self::InvalidEvent => "invalid event",
            Self::ReservedEvent => "reserved event",
            Self::InvalidPayload => "invalid payload",
            Self::InvalidKey => "invalid key",
            Self::KeyReused => "key used with another body",
            Self::UnknownEvent => "unknown event",
        }
    }

    /// Whether anything happened.
    pub fn outcome(self) -> Published {
        match self {
            Self::Unanswered => Published::Unknown,
            _ => Published::Not,
        }
    }

    /// Whether the same request may succeed later.
    pub fn retry(self) -> bool {
        matches!(
            self,
            Self::OwnerUnreachable
                | Self::Unanswered
                | Self::Overloaded
                | Self::RateLimited
                | Self::OwnerDraining
        )
    }

    /// What a gateway makes of an owner's refusal of a publish.
    pub fn of_refusal(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotOwner | Refusal::Expired => Self::OwnerUnreachable,
            Refusal::Overloaded | Refusal::StaleNumber => Self::Overloaded,
            Refusal::RateLimited => Self::RateLimited,
            Refusal::Draining => Self::OwnerDraining,
            Refusal::UnknownOutcome => Self::Unanswered,
            Refusal::KeyReused => Self::KeyReused,
        }
    }
}
