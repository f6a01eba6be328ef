//! The table of endings: every reason for which a gateway closes a client's connection, with the code that it
//! sends, the words beside it, and whether the client is to come back. docs/protocol.md shows the same table,
//! kept equal by a test.

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The client closed it, or the network broke it: nothing is sent but the answer to its close.
    Gone,
    /// A frame that the front cannot read.
    Malformed,
    /// A text frame that is not UTF-8.
    InvalidUtf8,
    /// A frame above the limit.
    TooBig,
    /// A frame that breaks the WebSocket protocol.
    Protocol,
    /// Nothing came for the idle time.
    Idle,
    /// The client's outbox was full.
    Slow,
    /// The gateway is ending.
    Drain,
    /// Messages were missed, and the protocol has no other way to say so.
    Lost,
    /// A subscription could not be made in time, and the protocol has no other way to say so.
    Unreachable,
}

impl Ending {
    /// All endings that send a close frame, in the order of the docs.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::InvalidUtf8,
        Self::TooBig,
        Self::Protocol,
        Self::Idle,
        Self::Slow,
        Self::Drain,
    ];

    /// The endings of Redis connections, in the order of the docs: they are told by the end alone.
    pub const REDIS: [Self; 5] = [Self::Malformed, Self::Slow, Self::Lost, Self::Unreachable, Self::Drain];

    /// The WebSocket close code. Never 1000: older phoenix.js does not come back from it.
    pub fn code(self) -> u16 {
        match self {
            Self::Idle | Self::Gone => 1001,
            Self::Protocol => 1002,
            Self::InvalidUtf8 => 1007,
            Self::TooBig => 1009,
            Self::Malformed => 1011,
            Self::Drain => 1012,
            Self::Slow | Self::Lost | Self::Unreachable => 1013,
        }
    }

    /// The words in the close frame, 123 bytes at most.
    pub fn text(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Malformed => "malformed frame",
            Self::InvalidUtf8 => "text frame is not UTF-8",
            Self::TooBig => "frame above the limit",
            Self::Protocol => "WebSocket protocol error",
            Self::Idle => "nothing received for the idle time",
            Self::Slow => "client reads too slowly",
            Self::Drain => "gateway is ending, come back to another",
            Self::Lost => "messages were missed",
            Self::Unreachable => "owner unreachable",
        }
    }

    /// Whether the client is expected to come back as it is, or has to mend something first.
    pub fn come_back(self) -> bool {
        match self {
            Self::Gone | Self::Idle | Self::Slow | Self::Drain | Self::Lost | Self::Unreachable => true,
            Self::Malformed | Self::InvalidUtf8 | Self::TooBig | Self::Protocol => false,
        }
    }

    /// A word for labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Malformed => "malformed",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooBig => "too_big",
            Self::Protocol => "protocol",
            Self::Idle => "idle",
            Self::Slow => "slow",
            Self::Drain => "drain",
            Self::Lost => "lost",
            Self::Unreachable => "unreachable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_ending_sends_1000_and_every_text_fits_a_close_frame() {
        for ending in Ending::ALL {
            assert_ne!(ending.code(), 1000, "{ending:?}");
            assert!(ending.text().len() <= 123, "{ending:?}");
        }
    }
}
