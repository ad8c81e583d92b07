//! What a peer writes, and what it makes of what it reads: an own reading of RFC 6455, byte by byte, beside that of the product.

use wsi_policy::{Action, CloseCode, ContentFilter, Direction, Directions, Normalize};
use wsi_ws::Opcode;

use crate::{random::Random, scenario::Sent};

/// What arrives at a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    Message { opcode: u8, payload: Vec<u8> },
    Control { opcode: u8, payload: Vec<u8> },
    Close(Option<u16>),
}

/// The bytes of a script.
pub fn write(direction: Direction, script: &[Sent], random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for sent in script {
        match sent {
            Sent::Message { opcode, payload, fragments, ping_between } => {
                let size = payload.len().div_ceil(*fragments).max(1);
                let mut parts: Vec<_> = payload.chunks(size).collect();
                if parts.is_empty() {
                    parts.push(&[]);
                }
                for (i, part) in parts.iter().enumerate() {
                    let opcode = if i == 0 { opcode.bits() } else { 0 };
                    let is_last = i + 1 == parts.len();
                    frame(&mut bytes, direction, is_last, opcode, part, random);
                    if *ping_between && !is_last {
                        frame(&mut bytes, direction, true, Opcode::Ping.bits(), b"between", random);
                    }
                }
            }
            Sent::Control { opcode, payload } => {
                frame(&mut bytes, direction, true, opcode.bits(), &payload[..payload.len().min(125)], random);
            }
            Sent::Close { code } => {
                let body = [&code.to_be_bytes()[..], b"bye"].concat();
                frame(&mut bytes, direction, true, Opcode::Close.bits(), &body, random);
            }
            Sent::Fault { bytes: fault, .. } => bytes.extend_from_slice(fault),
        }
    }
    bytes
}

/// Reads complete frames off the start of `bytes`. Every frame must be canonical: final, shortest length, masked by the
/// direction's rule.
///
/// # Errors
/// What is wrong with a frame.
pub fn read(direction: Direction, bytes: &[u8]) -> Result<Vec<Got>, String> {
    let mut got = Vec::new();
    let mut rest = bytes;
    while let Some((header, payload, after)) = split(rest) {
        let is_masked = header[1] & 0x80 != 0;
        if is_masked != (direction == Direction::ToServer) {
            return Err("masked the wrong way".into());
        }
        if header[0] & 0xf0 != 0x80 {
            return Err(format!("first byte {:#x}: fragmented, or a reserved bit is set", header[0]));
        }
        let shortest = match payload.len() {
            0..126 => 2,
            126..65_536 => 4,
            _ => 10,
        };
        if header.len() != shortest + if is_masked { 4 } else { 0 } {
            return Err("length not in its shortest form".into());
        }
        let mut payload = payload.to_vec();
        if is_masked {
            let key = &header[header.len() - 4..];
            payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        }
        got.push(match header[0] & 0x0f {
            8 => Got::Close(payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]))),
            opcode @ (9 | 10) => Got::Control { opcode, payload },
            opcode => Got::Message { opcode, payload },
        });
        rest = after;
    }
    Ok(got)
}

/// Something that no peer may send.
pub fn fault(direction: Direction, random: &mut Random) -> Sent {
    let masked = |first: u8, second: u8| match direction {
        Direction::ToServer => vec![first, second | 0x80, 1, 2, 3, 4],
        Direction::ToClient => vec![first, second],
    };
    let (bytes, code) = match random.below(7) {
        0 => (masked(0x83, 0), 1002),
        1 => (masked(0x80, 0), 1002),
        2 => (masked(0x09, 0), 1002),
        3 => (masked(0xa1, 0), 1002),
        4 => (masked(0x89, 126), 1002),
        5 => match direction {
            Direction::ToServer => (vec![0x81, 0], 1002),
            Direction::ToClient => (vec![0x81, 0x80], 1002),
        },
        // A length that the limits do not allow; the payload never comes.
        _ => ([&masked(0x82, 126)[..2], &[0xff, 0xff]].concat(), 1009),
    };
    // The long form keeps its mask key behind the length.
    let bytes = if code == 1009 && direction == Direction::ToServer {
        [&bytes[..], &[1, 2, 3, 4]].concat()
    } else {
        bytes
    };
    Sent::Fault { bytes, code }
}

/// A filter that does nothing yet.
pub fn empty_filter() -> ContentFilter {
    ContentFilter {
        name: String::new(),
        patterns: Vec::new(),
        rule_sets: Vec::new(),
        directions: Directions::Both,
        normalize: Normalize::default(),
        action: Action::Close(CloseCode::POLICY_VIOLATION),
        message_size_max: None,
    }
}

fn frame(
    out: &mut Vec<u8>,
    direction: Direction,
    fin: bool,
    opcode: u8,
    payload: &[u8],
    random: &mut Random,
) {
    let is_masked = direction == Direction::ToServer;
    let mask_bit = if is_masked { 0x80 } else { 0 };
    out.push(if fin { 0x80 } else { 0 } | opcode);
    match payload.len() {
        size @ 0..126 => out.push(mask_bit | size as u8),
        size @ 126..65_536 => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(size as u16).to_be_bytes());
        }
        size => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(size as u64).to_be_bytes());
        }
    }
    if is_masked {
        let key = random.bytes(4);
        out.extend_from_slice(&key);
        out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        out.extend_from_slice(payload);
    }
}

/// Header, payload and the rest, if the first frame is complete.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let second = *bytes.get(1)?;
    let (size, mut at): (u64, usize) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])), 4),
        127 => (bytes.get(2..10)?.iter().fold(0, |size, byte| size << 8 | u64::from(*byte)), 10),
        size => (u64::from(size), 2),
    };
    if second & 0x80 != 0 {
        at += 4;
    }
    let end = at.checked_add(usize::try_from(size).ok()?)?;
    Some((bytes.get(..at)?, bytes.get(at..end)?, bytes.get(end..)?))
}
