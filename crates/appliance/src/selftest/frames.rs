//! Frames as bytes (RFC 6455 section 5.2), right or deliberately wrong. Written apart from what the product writes with, so that
//! the two can't share a mistake.

use wsi_config::policy::Direction;

pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// The largest payload of a control frame, in bytes (RFC 6455 section 5.5).
pub(crate) const CONTROL_SIZE_MAX: usize = 125;

const KEY: [u8; 4] = [0x1d, 0xa7, 0x00, 0xff];

/// Writes frames as the sender of one direction should: a client masks, a server does not.
#[derive(Clone, Copy)]
pub(crate) struct Framer {
    masks: bool,
}

/// How a header spells its length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    Shortest,
    Bits16,
    Bits64,
}

impl Framer {
    pub fn new(direction: Direction) -> Self {
        Self { masks: direction == Direction::ToServer }
    }

    /// One frame; `first` is its first byte: FIN, reserved bits and opcode.
    pub fn frame(self, first: u8, payload: &[u8]) -> Vec<u8> {
        self.spelled(first, Length::Shortest, payload.len() as u64, payload)
    }

    pub fn text(self, payload: &[u8]) -> Vec<u8> {
        self.frame(FIN | TEXT, payload)
    }

    /// The frame that the other endpoint would write.
    pub fn wrongly_masked(self, first: u8, payload: &[u8]) -> Vec<u8> {
        Self { masks: !self.masks }.frame(first, payload)
    }

    /// A frame that says of itself that it has `declared` bytes.
    pub fn spelled(self, first: u8, length: Length, declared: u64, payload: &[u8]) -> Vec<u8> {
        let mask_bit = if self.masks { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match (length, declared) {
            (Length::Shortest, 0..126) => bytes.push(mask_bit | declared as u8),
            (Length::Bits16, _) | (Length::Shortest, 126..0x1_0000) => {
                bytes.push(mask_bit | 126);
                bytes.extend((declared as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend(declared.to_be_bytes());
            }
        }
        if self.masks {
            bytes.extend(KEY);
            bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
        } else {
            bytes.extend(payload);
        }
        bytes
    }

    /// One message in as many frames as there are pieces; `first` is the opcode, with RSV1 if it is compressed.
    pub fn fragments(self, first: u8, pieces: &[&[u8]]) -> Vec<u8> {
        self.fragments_with(first, pieces, &[])
    }

    /// As [`Framer::fragments`], with `between` after every frame but the last.
    pub fn fragments_with(self, first: u8, pieces: &[&[u8]], between: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let is_last = at + 1 == pieces.len();
            let opcode = if at == 0 { first } else { CONTINUATION };
            bytes.extend(self.frame(if is_last { FIN | opcode } else { opcode }, piece));
            if !is_last {
                bytes.extend(between);
            }
        }
        bytes
    }

    pub fn close(self, code: u16, reason: &[u8]) -> Vec<u8> {
        self.frame(FIN | CLOSE, &[&code.to_be_bytes()[..], reason].concat())
    }
}

/// Every byte of `payload` by itself.
pub(crate) fn singles(payload: &[u8]) -> Vec<&[u8]> {
    payload.chunks(1).collect()
}
