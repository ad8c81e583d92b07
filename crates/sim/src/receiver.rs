//! What a peer makes of what it reads: an own reading of RFC 6455, beside that of the product.

use wsi_policy::Direction;
use wsi_ws::deflate::Flow;

use crate::{deflate::Inflater, scenario::REPLY};

/// What arrives at a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    Message { opcode: u8, payload: Vec<u8> },
    Control { opcode: u8, payload: Vec<u8> },
}

/// A peer that takes only canonical frames, joins fragments and inflates.
#[derive(Debug)]
pub struct Receiver {
    direction: Direction,
    /// `None`: this leg speaks plain frames.
    inflater: Option<Inflater>,
    unread: Vec<u8>,
    open: Option<Open>,
    /// In order of arrival.
    pub got: Vec<Got>,
    /// Messages that did not come from the other peer.
    pub replies: u64,
    /// The close frame, if it has come, and its code.
    pub close: Option<Option<u16>>,
}

#[derive(Debug)]
struct Open {
    opcode: u8,
    is_compressed: bool,
    payload: Vec<u8>,
}

impl Receiver {
    pub fn new(direction: Direction, flow: Option<Flow>) -> Self {
        Self {
            direction,
            inflater: flow.map(Inflater::new),
            unread: Vec::new(),
            open: None,
            got: Vec::new(),
            replies: 0,
            close: None,
        }
    }

    /// Takes bytes off the wire.
    ///
    /// # Errors
    /// What is wrong with a frame, or with what is in it.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.unread.extend_from_slice(bytes);
        let unread = std::mem::take(&mut self.unread);
        let mut rest = &unread[..];
        while let Some((header, payload, after)) = split(rest) {
            if self.close.is_some() {
                return Err("something follows a close".into());
            }
            self.check_header(header, payload.len())?;
            let mut payload = payload.to_vec();
            if header[1] & 0x80 != 0 {
                let key = &header[header.len() - 4..];
                payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
            }
            self.frame(header[0], payload)?;
            rest = after;
        }
        self.unread = rest.to_vec();
        Ok(())
    }

    /// Whether all that has come was whole.
    pub fn is_at_rest(&self) -> bool {
        self.unread.is_empty() && self.open.is_none()
    }

    fn check_header(&self, header: &[u8], size: usize) -> Result<(), String> {
        let is_masked = header[1] & 0x80 != 0;
        if is_masked != (self.direction == Direction::ToServer) {
            return Err("masked the wrong way".into());
        }
        let shortest = match size {
            0..126 => 2,
            126..65_536 => 4,
            _ => 10,
        };
        if header.len() != shortest + if is_masked { 4 } else { 0 } {
            return Err("length not in its shortest form".into());
        }
        let (opcode, is_control) = (header[0] & 0x0f, header[0] & 0x08 != 0);
        let may_be_compressed = self.inflater.is_some() && matches!(opcode, 1 | 2);
        if header[0] & 0x30 != 0 || (header[0] & 0x40 != 0 && !may_be_compressed) {
            return Err(format!("first byte {:#x}: a reserved bit is set", header[0]));
        }
        if is_control && (header[0] & 0x80 == 0 || size > 125) {
            return Err("a control frame is fragmented or too long".into());
        }
        Ok(())
    }

    fn frame(&mut self, first: u8, payload: Vec<u8>) -> Result<(), String> {
        let (is_final, is_compressed) = (first & 0x80 != 0, first & 0x40 != 0);
        match first & 0x0f {
            8 => {
                self.close = Some(payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]])));
                return Ok(());
            }
            opcode @ (9 | 10) => {
                self.got.push(Got::Control { opcode, payload });
                return Ok(());
            }
            0 => match &mut self.open {
                Some(open) => open.payload.extend(payload),
                None => return Err("a continuation of nothing".into()),
            },
            opcode @ (1 | 2) => {
                if self.open.replace(Open { opcode, is_compressed, payload }).is_some() {
                    return Err("a message within a message".into());
                }
            }
            opcode => return Err(format!("opcode {opcode}")),
        }
        match self.open.take_if(|_| is_final) {
            Some(open) => self.message(open),
            None => Ok(()),
        }
    }

    fn message(&mut self, Open { opcode, is_compressed, mut payload }: Open) -> Result<(), String> {
        if let Some(inflater) = self.inflater.as_mut().filter(|_| is_compressed) {
            let inflated = inflater.inflate(&payload)?;
            if inflated.len() <= payload.len() {
                return Err("compressed, and no smaller for it".into());
            }
            payload = inflated;
        }
        if opcode == 1 && std::str::from_utf8(&payload).is_err() {
            return Err("text that is not UTF-8".into());
        }
        if payload == REPLY.as_bytes() {
            self.replies += 1;
        } else {
            self.got.push(Got::Message { opcode, payload });
        }
        Ok(())
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
