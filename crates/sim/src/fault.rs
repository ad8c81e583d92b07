//! What no peer may send.

use wsi_policy::Direction;

use crate::{peer, random::Random, scenario::Sent};

/// First bytes and payloads.
type Frames = &'static [(u8, &'static [u8])];

/// Frames with nothing wrong but the one thing, the rule that they break, and the close code.
const FRAMES: [(Frames, &str, u16); 12] = [
    (&[(0x83, b"")], "protocol/reserved-opcode", 1002),
    (&[(0x80, b"")], "protocol/orphan-continuation", 1002),
    (&[(0x09, b"")], "protocol/control-fragmented", 1002),
    (&[(0xa1, b"")], "protocol/reserved-bits", 1002),
    (&[(0x89, &[b'x'; 126])], "protocol/control-too-long", 1002),
    (&[(0x01, b"a"), (0x81, b"b")], "protocol/nested-message", 1002),
    (&[(0x81, b"\xff")], "protocol/invalid-utf8", 1007),
    (&[(0x01, b"\xc3"), (0x80, b"")], "protocol/invalid-utf8", 1007),
    (&[(0x88, b"\x03\xed")], "protocol/close-code", 1002),
    (&[(0x88, b"\x03")], "protocol/close-length", 1002),
    (&[(0x88, b"\x03\xe8\xff")], "protocol/close-reason-utf8", 1007),
    (&[(0x88, b"\x0b\xb7"), (0x81, b"")], "protocol/close-code", 1002),
];

/// Something that breaks the protocol or a limit; a peer that `compresses` can do more wrong.
pub fn fault(direction: Direction, compresses: bool, random: &mut Random) -> Sent {
    let mask_bit = if direction == Direction::ToServer { 0x80 } else { 0 };
    let mut bytes = Vec::new();
    let (rule, code) = match random.below(FRAMES.len() + 4) {
        at if at < FRAMES.len() => {
            let (frames, rule, code) = FRAMES[at];
            for (first, payload) in frames {
                peer::frame(&mut bytes, direction, *first, payload, random);
            }
            (Some(rule), code)
        }
        at if at == FRAMES.len() => {
            // Masked where it must not be, and the other way round.
            bytes.extend([0x81, mask_bit ^ 0x80]);
            let rule = match direction {
                Direction::ToServer => "protocol/unmasked-by-client",
                Direction::ToClient => "protocol/masked-by-server",
            };
            (Some(rule), 1002)
        }
        at if at == FRAMES.len() + 1 => {
            bytes.extend([0x82, mask_bit | 126, 0, 1, 1, 2, 3, 4]);
            (Some("protocol/length-encoding"), 1002)
        }
        at if at == FRAMES.len() + 2 => {
            // Two bits of the block's type that mean nothing.
            peer::frame(&mut bytes, direction, 0xc1, &[0x07], random);
            if compresses {
                (Some("protocol/invalid-deflate"), 1007)
            } else {
                (Some("protocol/reserved-bits"), 1002)
            }
        }
        _ => {
            // A length that no limit allows; the payload never comes.
            bytes.extend([0x82, mask_bit | 126, 0xff, 0xff, 1, 2, 3, 4]);
            (None, 1009)
        }
    };
    Sent::Fault { bytes, rule, code }
}
