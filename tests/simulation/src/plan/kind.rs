//! What a run is about.

/// What may happen in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing but clients that come and go.
    Quiet,
    /// Edits of the ring, and nothing that breaks.
    Planned,
    /// Links break and are cut for a while; the ring stays.
    Links,
    /// Processes die and come back; the ring stays.
    Deaths,
    /// Edits of the ring while links break.
    Torn,
    /// Everything.
    Everything,
    /// Two edits in quick succession, and nothing that breaks.
    Doubled,
    /// Links between topic servers break while topics are on their way, or the taker dies (H3, H5).
    TornHandoff,
    /// A member starts only with the edit, and gateways that never saw the old ring ask it (R2).
    Newcomer,
    /// The old owner reads the edit long after the new one, while topics are used for the first time (H2).
    Laggard,
    /// An edit is taken back while gateways cannot hear the answers to what they have published (L5, H2).
    TakenBack,
    /// Answers are lost with their links, and the topics are forgotten before the gateways are back (L5).
    Forgotten,
    /// Topic servers cannot reach each other around an edit, but gateways reach all of them (H4).
    Split,
    /// Gateways drop topics whose subscriptions are still under way, and use their numbers again (L3).
    Reused,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Quiet,
        Self::Planned,
        Self::Links,
        Self::Deaths,
        Self::Torn,
        Self::Everything,
        Self::Doubled,
        Self::TornHandoff,
        Self::Newcomer,
        Self::Laggard,
        Self::TakenBack,
        Self::Forgotten,
        Self::Split,
        Self::Reused,
    ];

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| format!("{kind:?}") == name)
    }
}
