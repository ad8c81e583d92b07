//! Compressed payloads as an attacker writes them (RFC 7692): any kind of block, with or without a past.

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Strategy};

const TAIL: &[u8] = &[0, 0, 0xff, 0xff];

/// The kinds of deflate blocks (RFC 1951 section 3.2.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocks {
    Stored,
    Fixed,
    Dynamic,
}

/// One sender's stream; what it compresses may refer to what it compressed before.
pub(super) struct Stream {
    stream: Deflate,
}

impl Stream {
    pub fn new(blocks: Blocks) -> Self {
        let (level, strategy) = match blocks {
            Blocks::Stored => (0, Strategy::Default),
            Blocks::Fixed => (6, Strategy::Fixed),
            Blocks::Dynamic => (6, Strategy::HuffmanOnly),
        };
        Self::with(level, strategy)
    }

    /// A stream that uses back-references wherever it can.
    pub fn with_references() -> Self {
        Self::with(9, Strategy::Default)
    }

    fn with(level: i32, strategy: Strategy) -> Self {
        let config = DeflateConfig { level, window_bits: -15, strategy, ..DeflateConfig::default() };
        Self { stream: Deflate::new_with_config(config) }
    }

    /// The payload of a compressed message, without the tail that senders leave out.
    pub fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut out = self.run(payload, DeflateFlush::SyncFlush);
        if out.ends_with(TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        out
    }

    /// The payload of a compressed message whose last block says that it is the last.
    pub fn final_message(&mut self, payload: &[u8]) -> Vec<u8> {
        self.run(payload, DeflateFlush::Finish)
    }

    fn run(&mut self, mut payload: &[u8], flush: DeflateFlush) -> Vec<u8> {
        let mut out = Vec::new();
        let mut room = vec![0; payload.len() + payload.len() / 1000 * 5 + 256];
        loop {
            let before = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.compress(payload, &mut room, flush);
            let (taken, given) = (self.stream.total_in() - before.0, self.stream.total_out() - before.1);
            // Both are sizes of slices.
            payload = &payload[taken as usize..];
            out.extend(&room[..given as usize]);
            if status.is_err() || (given as usize) < room.len() {
                return out;
            }
        }
    }
}

/// `payload` compressed by itself.
pub(super) fn message(blocks: Blocks, payload: &[u8]) -> Vec<u8> {
    Stream::new(blocks).message(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_of_their_kind() {
        // Dynamic codes pay off only where letters are many and few.
        let payload = b"abcaabbaabacabaacabbaacaabbcaab".repeat(40);
        for (blocks, kind) in [(Blocks::Stored, 0), (Blocks::Fixed, 1), (Blocks::Dynamic, 2)] {
            assert_eq!(message(blocks, &payload)[0] >> 1 & 3, kind);
            assert_eq!(message(blocks, &payload)[0] & 1, 0, "not final");
            assert_eq!(Stream::new(blocks).final_message(&payload)[0] & 1, 1);
        }
    }
}
