//! What can be wrong with the events of a proxy rather than with what they carry.

/// A connection that can't be followed: another one, or a gap, may be behind its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// An upgrade whose correlation id belongs to a live connection.
    IdLive,
    /// An upgrade whose correlation id is none that a proxy makes.
    IdShape,
    /// A frame whose index does not follow the last one's in its direction.
    FrameIndex,
    /// A fragment that could not be held: `max-memory` is reached.
    MemoryFull,
    /// A verdict that was not ready in time, so that it was not given.
    Late,
    /// A connection that is older than `max-session-age-s`.
    TooOld,
    /// Frames of a connection whose beginning was not seen.
    UnknownId,
}

impl Anomaly {
    pub const ALL: [Self; 7] = [
        Self::IdLive,
        Self::IdShape,
        Self::FrameIndex,
        Self::MemoryFull,
        Self::Late,
        Self::TooOld,
        Self::UnknownId,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::IdLive => "correlation-id-live",
            Self::IdShape => "correlation-id-shape",
            Self::FrameIndex => "frame-index",
            Self::MemoryFull => "max-memory",
            Self::Late => "late",
            Self::TooOld => "max-session-age-s",
            Self::UnknownId => "unknown-correlation-id",
        }
    }

    /// What the endpoint is told; it fits a close frame (RFC 6455 section 5.5).
    pub const fn text(self) -> &'static str {
        match self {
            Self::IdLive => "This correlation id is in use; connect again without sending one.",
            Self::IdShape => "This correlation id is not the proxy's own; connect without sending one.",
            Self::FrameIndex => "frames are missing or repeated",
            Self::MemoryFull => "too many unfinished messages; try again later",
            Self::Late => "the inspection took too long",
            Self::TooOld => "the connection is too old; connect again",
            Self::UnknownId => "the beginning of the connection was not seen; connect again",
        }
    }
}
