//! The events of a connection's life, and which of them go to the audit stream.

/// An event's kind, in the order of a connection's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    Handshake,
    Open,
    Message,
    Ping,
    Pong,
    Close,
}

impl EventKind {
    pub const ALL: [Self; 6] =
        [Self::Handshake, Self::Open, Self::Message, Self::Ping, Self::Pong, Self::Close];

    /// The name in configuration and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "ws_handshake",
            Self::Open => "ws_open",
            Self::Message => "ws_message",
            Self::Ping => "ws_ping",
            Self::Pong => "ws_pong",
            Self::Close => "ws_close",
        }
    }
}

/// A set of event kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventSet(u8);

impl EventSet {
    pub const EMPTY: Self = Self(0);

    #[must_use]
    pub const fn with(self, kind: EventKind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    #[inline]
    pub const fn contains(self, kind: EventKind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

impl FromIterator<EventKind> for EventSet {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::EMPTY, Self::with)
    }
}
