//! What a completion belongs to, packed in the 64 bits that the ring carries.

use wsi_inspect::Role;

/// A place in the connection table, good for one connection: a late completion can't hit the next one there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub index: u32,
    /// 24 bits.
    pub generation: u32,
}

/// An operation of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// Nobody waits for it.
    Nobody,
    /// Another thread has something to say.
    Wake,
    Accept(u32),
    Readable(Key, Role),
    Writable(Key, Role),
    /// A proxy has connected to an agent's socket.
    AgentAccept(u32),
    AgentReadable(Key),
    AgentWritable(Key),
}

impl Token {
    pub const NOBODY: Self = Self::Nobody;

    /// `index << 32 | generation << 8 | operation`.
    pub fn bits(self) -> u64 {
        let pack = |key: Key, operation: u64| {
            u64::from(key.index) << 32 | u64::from(key.generation & GENERATION_MASK) << 8 | operation
        };
        match self {
            Self::Nobody => 0,
            Self::Wake => 1,
            Self::Accept(listener) => u64::from(listener) << 32 | 2,
            Self::Readable(key, Role::Client) => pack(key, 3),
            Self::Readable(key, Role::Server) => pack(key, 4),
            Self::Writable(key, Role::Client) => pack(key, 5),
            Self::Writable(key, Role::Server) => pack(key, 6),
            Self::AgentAccept(socket) => u64::from(socket) << 32 | 7,
            Self::AgentReadable(key) => pack(key, 8),
            Self::AgentWritable(key) => pack(key, 9),
        }
    }

    pub fn from_bits(bits: u64) -> Self {
        let index = (bits >> 32) as u32;
        let key = Key { index, generation: (bits >> 8) as u32 & GENERATION_MASK };
        match bits & 0xff {
            1 => Self::Wake,
            2 => Self::Accept(index),
            3 => Self::Readable(key, Role::Client),
            4 => Self::Readable(key, Role::Server),
            5 => Self::Writable(key, Role::Client),
            6 => Self::Writable(key, Role::Server),
            7 => Self::AgentAccept(index),
            8 => Self::AgentReadable(key),
            9 => Self::AgentWritable(key),
            _ => Self::Nobody,
        }
    }
}

/// Bits of a generation.
pub(crate) const GENERATION_MASK: u32 = 0x00ff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_ring() {
        let key = Key { index: u32::MAX, generation: GENERATION_MASK };
        for token in [
            Token::Nobody,
            Token::Wake,
            Token::Accept(7),
            Token::Readable(key, Role::Client),
            Token::Readable(key, Role::Server),
            Token::Writable(key, Role::Client),
            Token::Writable(Key { index: 0, generation: 0 }, Role::Server),
            Token::AgentAccept(3),
            Token::AgentReadable(key),
            Token::AgentWritable(key),
        ] {
            assert_eq!(Token::from_bits(token.bits()), token);
        }
    }
}
