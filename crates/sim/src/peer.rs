//! What a peer writes: the bytes of its script, and where in them each frame ends.

use wsi_policy::Direction;
use wsi_ws::{Opcode, deflate::Flow};

use crate::{deflate::Deflater, random::Random, scenario::Sent};

/// The opcode of fragments after the first.
const CONTINUATION: u8 = 0;
const RSV1: u8 = 0x40;
pub const PING_BETWEEN: &[u8] = b"between";

/// A script on the wire.
#[derive(Debug)]
pub struct Written {
    pub bytes: Vec<u8>,
    /// Of each item of the script.
    pub items: Vec<Vec<Frame>>,
}

/// A frame on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub opcode: u8,
    /// Of the payload, as it is on the wire.
    pub size: usize,
    /// Where it ends in the bytes of the script.
    pub end: usize,
}

/// Writes the script of `direction`, compressing as `flow` says.
pub fn write(direction: Direction, script: &[Sent], flow: Option<Flow>, random: &mut Random) -> Written {
    let mut writer = Writer { direction, bytes: Vec::new(), frames: Vec::new() };
    let mut deflater = flow.map(Deflater::new);
    let mut items = Vec::new();
    for sent in script {
        writer.write(sent, deflater.as_mut(), random);
        items.push(std::mem::take(&mut writer.frames));
    }
    Written { bytes: writer.bytes, items }
}

struct Writer {
    direction: Direction,
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

impl Writer {
    fn write(&mut self, sent: &Sent, deflater: Option<&mut Deflater>, random: &mut Random) {
        match sent {
            Sent::Message { opcode, payload, fragments, ping_between, is_compressed, .. } => {
                match deflater.filter(|_| *is_compressed) {
                    Some(deflater) => {
                        let first = RSV1 | opcode.bits();
                        self.fragments(first, &deflater.deflate(payload), *fragments, *ping_between, random);
                    }
                    None => self.fragments(opcode.bits(), payload, *fragments, *ping_between, random),
                }
            }
            Sent::Control { opcode, payload } => self.frame(0x80 | opcode.bits(), payload, random),
            Sent::Close { code, reason } => {
                let body = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
                self.frame(0x80 | Opcode::Close.bits(), &body, random);
            }
            Sent::Fault { bytes, .. } => {
                self.bytes.extend_from_slice(bytes);
                self.frames.push(Frame { opcode: 0, size: 0, end: self.bytes.len() });
            }
        }
    }

    fn fragments(
        &mut self,
        first: u8,
        payload: &[u8],
        count: usize,
        ping_between: bool,
        random: &mut Random,
    ) {
        let size = payload.len().div_ceil(count).max(1);
        let mut parts: Vec<_> = payload.chunks(size).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let last = parts.len() - 1;
        for (i, part) in parts.into_iter().enumerate() {
            let opcode = if i == 0 { first } else { CONTINUATION };
            self.frame(if i == last { 0x80 | opcode } else { opcode }, part, random);
            if ping_between && i < last {
                self.frame(0x80 | Opcode::Ping.bits(), PING_BETWEEN, random);
            }
        }
    }

    fn frame(&mut self, first: u8, payload: &[u8], random: &mut Random) {
        frame(&mut self.bytes, self.direction, first, payload, random);
        self.frames.push(Frame { opcode: first & 0x0f, size: payload.len(), end: self.bytes.len() });
    }
}

/// Appends a frame with `first` as its first byte.
pub fn frame(out: &mut Vec<u8>, direction: Direction, first: u8, payload: &[u8], random: &mut Random) {
    let is_masked = direction == Direction::ToServer;
    let mask_bit = if is_masked { 0x80 } else { 0 };
    out.push(first);
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
