//! The frame header (RFC 6455 section 5.2): reading it, checking it, writing it.
//!
//! ```text
//!   byte 0           byte 1           then
//!   F R R R  opcode  M  length(7)     length(16 or 64) if 126 or 127, mask key(32) if M
//! ```

use crate::error::ProtocolError;

/// The longest header: two bytes, a 64-bit length and a mask key.
pub const HEADER_SIZE_MAX: usize = 14;
/// The most that a control frame may carry (RFC 6455 section 5.5).
pub const CONTROL_PAYLOAD_SIZE_MAX: usize = 125;
/// The bit of a header's first byte that marks the first frame of a compressed message (RFC 7692 section 6).
pub const RSV1: u8 = 0x40;

/// A frame's opcode; the reserved ones can't be constructed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    pub const fn new(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xa => Some(Self::Pong),
            _ => None,
        }
    }

    pub const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Continuation => "continuation",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Close => "close",
            Self::Ping => "ping",
            Self::Pong => "pong",
        }
    }
}

/// Which end of a connection sent a frame: it decides whether the frame must be masked (RFC 6455 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Client,
    Server,
}

/// A frame header that holds every MUST that can be judged by the header alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub fin: bool,
    pub opcode: Opcode,
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload that follow.
    pub payload_size: u64,
}

impl Header {
    /// Reads a header from the start of `bytes`, as sent by `sender`. `Ok(None)`: more bytes are needed.
    ///
    /// Returns the header and its length in bytes. A fault is reported from the first byte that shows it, whether
    /// or not the rest has arrived.
    ///
    /// # Errors
    /// The first MUST of RFC 6455 sections 5.1, 5.2 and 5.5 that the header breaks.
    #[inline]
    pub fn parse(bytes: &[u8], sender: Role) -> Result<Option<(Self, usize)>, ProtocolError> {
        Self::parse_extended(bytes, sender, false)
    }

    /// The same, where [`RSV1`] may stand on the first frame of a data message if `deflates`: the endpoints have agreed on
    /// permessage-deflate. The header that is returned does not say whether it stood there.
    #[inline]
    pub(crate) fn parse_extended(
        bytes: &[u8],
        sender: Role,
        deflates: bool,
    ) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        if first & 0x70 != 0 && !(deflates && begins_compressed(first)) {
            return Err(ProtocolError::ReservedBits);
        }
        let opcode = Opcode::new(first & 0x0f).ok_or(ProtocolError::ReservedOpcode)?;
        let fin = first & 0x80 != 0;
        if opcode.is_control() && !fin {
            return Err(ProtocolError::ControlFragmented);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let masked = second & 0x80 != 0;
        match (sender, masked) {
            (Role::Client, false) => return Err(ProtocolError::UnmaskedByClient),
            (Role::Server, true) => return Err(ProtocolError::MaskedByServer),
            _ => {}
        }
        let short = second & 0x7f;
        if opcode.is_control() && usize::from(short) > CONTROL_PAYLOAD_SIZE_MAX {
            return Err(ProtocolError::ControlTooLong);
        }
        let (payload_size, at) = match short {
            126 => {
                let Some(&[a, b]) = bytes.get(2..4) else { return Ok(None) };
                let size = u64::from(u16::from_be_bytes([a, b]));
                if size < 126 {
                    return Err(ProtocolError::LengthEncoding);
                }
                (size, 4)
            }
            127 => {
                // The first byte alone shows a length that wraps.
                if bytes.get(2).is_some_and(|high| high & 0x80 != 0) {
                    return Err(ProtocolError::LengthEncoding);
                }
                let Some(size) = bytes.get(2..10) else { return Ok(None) };
                let size = size.iter().fold(0, |size, byte| size << 8 | u64::from(*byte));
                if size < 65536 {
                    return Err(ProtocolError::LengthEncoding);
                }
                (size, 10)
            }
            short => (u64::from(short), 2),
        };
        if !masked {
            return Ok(Some((Self { fin, opcode, mask: None, payload_size }, at)));
        }
        let Some(&[a, b, c, d]) = bytes.get(at..at + 4) else { return Ok(None) };
        Ok(Some((Self { fin, opcode, mask: Some([a, b, c, d]), payload_size }, at + 4)))
    }

    /// How many bytes [`Header::encode`] writes.
    #[inline]
    pub const fn encoded_size(&self) -> usize {
        let length = match self.payload_size {
            0..=125 => 2,
            126..=65535 => 4,
            _ => 10,
        };
        length + if self.mask.is_some() { 4 } else { 0 }
    }

    /// Writes the header in its only canonical form, shortest length and RSV clear; returns its length in bytes.
    /// The caller masks the payload.
    #[inline]
    pub fn encode(&self, out: &mut [u8; HEADER_SIZE_MAX]) -> usize {
        out[0] = if self.fin { 0x80 } else { 0 } | self.opcode.bits();
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        // The casts keep the low bytes of a length that the match has just bounded.
        let at = match self.payload_size {
            0..=125 => {
                out[1] = masked | self.payload_size as u8;
                2
            }
            126..=65535 => {
                out[1] = masked | 126;
                out[2..4].copy_from_slice(&(self.payload_size as u16).to_be_bytes());
                4
            }
            _ => {
                out[1] = masked | 127;
                out[2..10].copy_from_slice(&self.payload_size.to_be_bytes());
                10
            }
        };
        match self.mask {
            Some(key) => {
                out[at..at + 4].copy_from_slice(&key);
                at + 4
            }
            None => at,
        }
    }
}

/// RSV1 alone, on a text or binary frame: control frames and continuations never carry it (RFC 7692 section 6).
#[cold]
const fn begins_compressed(first: u8) -> bool {
    first & 0x70 == RSV1 && matches!(Opcode::new(first & 0x0f), Some(Opcode::Text | Opcode::Binary))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(bytes: &[u8]) -> Result<Option<(Header, usize)>, ProtocolError> {
        Header::parse(bytes, Role::Server)
    }

    #[test]
    fn faults_are_seen_at_the_first_byte_that_shows_them() {
        assert_eq!(server(&[0xc1]), Err(ProtocolError::ReservedBits));
        assert_eq!(server(&[0x83]), Err(ProtocolError::ReservedOpcode));
        assert_eq!(server(&[0x8b]), Err(ProtocolError::ReservedOpcode));
        assert_eq!(server(&[0x09]), Err(ProtocolError::ControlFragmented));
        assert_eq!(server(&[0x89, 126]), Err(ProtocolError::ControlTooLong));
        assert_eq!(server(&[0x81, 0x80]), Err(ProtocolError::MaskedByServer));
        assert_eq!(Header::parse(&[0x81, 0x00], Role::Client), Err(ProtocolError::UnmaskedByClient));
        assert_eq!(server(&[0x81, 127, 0x80]), Err(ProtocolError::LengthEncoding));
    }

    #[test]
    fn lengths_must_be_shortest() {
        assert_eq!(server(&[0x82, 126, 0, 125]), Err(ProtocolError::LengthEncoding));
        assert_eq!(server(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), Err(ProtocolError::LengthEncoding));
        for size in [0u64, 1, 125, 126, 65535, 65536, u64::MAX >> 1] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let header = Header { fin: true, opcode: Opcode::Binary, mask, payload_size: size };
                let mut out = [0; HEADER_SIZE_MAX];
                let length = header.encode(&mut out);
                assert_eq!(length, header.encoded_size());
                let sender = if mask.is_some() { Role::Client } else { Role::Server };
                assert_eq!(Header::parse(&out[..length], sender), Ok(Some((header, length))));
                for cut in 0..length {
                    assert_eq!(Header::parse(&out[..cut], sender), Ok(None));
                }
            }
        }
    }
}
