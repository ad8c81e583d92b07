//! Where the frames of one direction begin and end (RFC 6455 section 5.2), and which message they belong to.
//!
//! It judges nothing and never fails: what is malformed is the session's to say. It is asked so that verdicts can be told of a
//! message, and so that messages can be counted that a session no longer reads.

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const CONTROL: u8 = 0x8;
const MASK: u8 = 0x80;
const HEADER_SIZE_MAX: usize = 14;

/// The frame boundaries of what one endpoint sends.
#[derive(Debug, Default)]
pub(super) struct Walker {
    header: [u8; HEADER_SIZE_MAX],
    header_size: usize,
    /// Bytes of the current frame's payload that are to come.
    left: u64,
    is_in_payload: bool,
    is_in_message: bool,
}

/// What comes next: a frame, or as much of it as there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Bytes of the input.
    pub size: usize,
    /// The frame's, as it came: it may be a reserved one.
    pub opcode: u8,
    pub is_compressed: bool,
    /// A message or a control frame begins here.
    pub begins: bool,
    /// Bytes of payload among them.
    pub payload_size: usize,
    pub ends_frame: bool,
    /// The message or the control frame is complete.
    pub ends: bool,
}

impl Part {
    pub fn is_control(&self) -> bool {
        self.opcode & CONTROL != 0
    }
}

impl Walker {
    /// `None`: there is no input.
    pub fn next(&mut self, input: &[u8]) -> Option<Part> {
        let first = *if self.header_size > 0 { &self.header[0] } else { input.first()? };
        let mut part = Part {
            size: 0,
            opcode: first & 0xf,
            is_compressed: first & RSV1 != 0,
            begins: self.header_size == 0 && (!self.is_in_message || first & 0xf != 0),
            payload_size: 0,
            ends_frame: false,
            ends: false,
        };
        if !self.is_in_payload {
            part.size = self.take_header(input);
            if !part.is_control() {
                self.is_in_message = true;
            }
            if self.header_size < self.header_size_needed() {
                return (part.size > 0).then_some(part);
            }
            self.is_in_payload = true;
            self.left = self.payload_size();
        }
        let rest = input.len() - part.size;
        let taken = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
        part.size += taken;
        part.payload_size = taken;
        self.left -= taken as u64;
        if self.left == 0 {
            part.ends_frame = true;
            part.ends = first & FIN != 0 || part.is_control();
            self.is_in_payload = false;
            self.header_size = 0;
            if part.ends && !part.is_control() {
                self.is_in_message = false;
            }
        }
        (part.size > 0).then_some(part)
    }

    pub fn is_in_frame(&self) -> bool {
        self.header_size > 0
    }

    pub fn is_in_message(&self) -> bool {
        self.is_in_message
    }

    fn take_header(&mut self, input: &[u8]) -> usize {
        let mut taken = 0;
        while self.header_size < self.header_size_needed() && taken < input.len() {
            self.header[self.header_size] = input[taken];
            self.header_size += 1;
            taken += 1;
        }
        taken
    }

    /// Grows to its end as the second byte becomes known.
    fn header_size_needed(&self) -> usize {
        if self.header_size < 2 {
            return 2;
        }
        let length_size = match self.header[1] & !MASK {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length_size + if self.header[1] & MASK != 0 { 4 } else { 0 }
    }

    fn payload_size(&self) -> u64 {
        let long = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        match self.header[1] & !MASK {
            126 => long(&self.header[2..4]),
            127 => long(&self.header[2..10]),
            short => u64::from(short),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wsi_config::policy::Direction;

    use super::*;
    use crate::selftest::frames::{CONTINUATION, FIN, Framer, PING, TEXT};

    fn parts(bytes: &[u8], split: usize) -> Vec<Part> {
        let mut walker = Walker::default();
        let mut parts = Vec::new();
        for chunk in bytes.chunks(split) {
            let mut rest = chunk;
            while let Some(part) = walker.next(rest) {
                rest = &rest[part.size..];
                parts.push(part);
            }
        }
        parts
    }

    #[test]
    fn messages_and_control_frames_are_told_apart_however_they_are_cut() {
        let framer = Framer::new(Direction::ToServer);
        let message =
            framer.fragments_with(TEXT, &[b"one", b"", &[b'x'; 300]], &framer.frame(FIN | PING, b"p"));
        let bytes = [message, framer.text(b""), framer.frame(FIN | CONTINUATION, b"lost")].concat();
        for split in 1..bytes.len() {
            let parts = parts(&bytes, split);
            let count = |is: fn(&Part) -> bool| parts.iter().filter(|part| is(part)).count();
            assert_eq!(parts.iter().map(|part| part.size).sum::<usize>(), bytes.len());
            assert_eq!(count(|part| part.begins && !part.is_control()), 3, "by {split}");
            assert_eq!(count(|part| part.ends && !part.is_control()), 3, "by {split}");
            assert_eq!(count(|part| part.begins && part.is_control()), 2);
            assert_eq!(count(|part| part.ends && part.is_control()), 2);
            assert_eq!(count(|part| part.ends_frame), 7);
            assert_eq!(parts.iter().map(|part| part.payload_size).sum::<usize>(), 303 + 2 + 4);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_to_their_end(bytes: Vec<u8>, split in 1..40_usize) {
            let parts = parts(&bytes, split);
            prop_assert_eq!(parts.iter().map(|part| part.size).sum::<usize>(), bytes.len());
        }
    }
}
