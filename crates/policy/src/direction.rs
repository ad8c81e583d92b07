//! The two ways through a connection.

/// The way that a frame travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    ToServer,
    ToClient,
}

impl Direction {
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];

    /// 0 or 1, for tables of two.
    #[inline]
    pub const fn index(self) -> usize {
        match self {
            Self::ToServer => 0,
            Self::ToClient => 1,
        }
    }

    #[inline]
    pub const fn reverse(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::ToServer => "to_server",
            Self::ToClient => "to_client",
        }
    }
}

/// The directions that a rule holds in: `"to-server"`, `"to-client"` or `"both"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directions {
    ToServer,
    ToClient,
    Both,
}

impl Directions {
    pub const fn contains(self, direction: Direction) -> bool {
        match self {
            Self::Both => true,
            Self::ToServer => matches!(direction, Direction::ToServer),
            Self::ToClient => matches!(direction, Direction::ToClient),
        }
    }
}
