//! A stream to messages: a length in four bytes, and in version 2 a type in the fifth.

use std::ops::Range;

use crate::Fault;

/// The most that a length may say, in bytes.
pub const MESSAGE_SIZE_MAX: usize = 16 << 20;
const MESSAGE_SIZE_MAX_V1: usize = 10 << 20;

const LENGTH_SIZE: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Version 1: the JSON says what it is.
    Envelope,
    Handshake,
    RequestHeaders,
    RequestBody,
    ResponseHeaders,
    ResponseBody,
    RequestComplete,
    WebSocketFrame,
    Configure,
    Cancel,
    Ping,
}

impl Kind {
    fn of(byte: u8) -> Result<Self, Fault> {
        match byte {
            0x01 => Ok(Self::Handshake),
            0x10 => Ok(Self::RequestHeaders),
            0x11 => Ok(Self::RequestBody),
            0x12 => Ok(Self::ResponseHeaders),
            0x13 => Ok(Self::ResponseBody),
            0x14 => Ok(Self::RequestComplete),
            0x15 => Ok(Self::WebSocketFrame),
            0x17 => Ok(Self::Configure),
            0x40 => Ok(Self::Cancel),
            0x41 => Ok(Self::Ping),
            _ => Err(Fault::UnknownType),
        }
    }
}

/// A complete message at the start of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub kind: Kind,
    pub body: Range<usize>,
    /// Bytes of the buffer that it takes up.
    pub size: usize,
}

/// The version of a stream is seen from its fifth byte: JSON begins with `{`, and no type has that number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Framing {
    version: Option<Version>,
}

impl Framing {
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// The message at the start of `buffer`. `Err` as soon as its first five bytes show that it is none.
    ///
    /// # Errors
    /// A length or a type that the protocol does not have.
    #[inline]
    pub fn next(&mut self, buffer: &[u8]) -> Result<Next, Fault> {
        let [a, b, c, d, fifth, ..] = *buffer else { return Ok(Next::More(LENGTH_SIZE + 1)) };
        let size = u32::from_be_bytes([a, b, c, d]) as usize;
        let version = *self.version.get_or_insert(if fifth == b'{' { Version::V1 } else { Version::V2 });
        let (kind, body_at, size_max) = match version {
            Version::V1 => (Kind::Envelope, LENGTH_SIZE, MESSAGE_SIZE_MAX_V1),
            Version::V2 => (Kind::of(fifth)?, LENGTH_SIZE + 1, MESSAGE_SIZE_MAX),
        };
        if size > size_max {
            return Err(Fault::TooLarge);
        }
        if size == 0 {
            return Err(Fault::Json);
        }
        let end = LENGTH_SIZE + size;
        if buffer.len() < end {
            return Ok(Next::More(end));
        }
        Ok(Next::Message(Envelope { kind, body: body_at..end, size: end }))
    }
}

/// What stands at the start of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A part of a message that takes as many bytes in all, as far as is known.
    More(usize),
    Message(Envelope),
}
