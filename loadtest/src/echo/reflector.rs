//! Turns what a client sent into what it gets back, in place and without waiting for the end of a frame.

use std::ops::Range;

use wsi_ws::{HEADER_SIZE_MAX, Header, Opcode, ProtocolError, RSV1, Role, mask};

use super::MESSAGE_SIZE_MAX;

/// Room that must be kept in front of received bytes.
pub(super) const HEADROOM: usize = HEADER_SIZE_MAX;

///
/// Compressed messages go back as they came: the client's stream, all of it and in order, is a right one of the server's too.
#[derive(Debug, Default)]
pub(super) struct Reflector {
    /// permessage-deflate was agreed on.
    deflates: bool,
    /// The beginning of a header whose rest has not arrived.
    carry: [u8; HEADER_SIZE_MAX],
    carried: usize,
    frame: Frame,
    /// Bytes of the message so far, announced ones included.
    message_size: u64,
}

/// The frame whose payload is passing.
#[derive(Debug, Default)]
struct Frame {
    rest: u64,
    key: [u8; 4],
    phase: usize,
    is_close: bool,
}

/// Where the reply lies, and whether it is the last.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reflection {
    pub reply: Range<usize>,
    pub end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A close frame, already answered in the reply.
    Close,
    Fault(ProtocolError),
}

impl Reflector {
    pub fn new(deflates: bool) -> Self {
        Self { deflates, ..Self::default() }
    }

    /// Reflects `buffer[HEADROOM..HEADROOM + received]`. A reply's header is four bytes shorter, for it has no mask
    /// key, so what is written never overtakes what is read.
    pub fn reflect(&mut self, buffer: &mut [u8], received: usize) -> Reflection {
        let begin = HEADROOM - self.carried;
        let end = HEADROOM + received;
        buffer[begin..HEADROOM].copy_from_slice(&self.carry[..self.carried]);
        self.carried = 0;
        let (mut read, mut written) = (begin, begin);
        while read < end {
            if self.frame.rest == 0 {
                let rsv1 = self.take_rsv1(&mut buffer[read]);
                match Header::parse(&buffer[read..end], Role::Client).and_then(|found| self.admit(found)) {
                    Ok(Some((reply, size))) => {
                        let mut header = [0; HEADER_SIZE_MAX];
                        let header_size = reply.encode(&mut header);
                        header[0] |= rsv1;
                        buffer[written..written + header_size].copy_from_slice(&header[..header_size]);
                        read += size;
                        written += header_size;
                    }
                    Ok(None) => {
                        buffer[read] |= rsv1;
                        self.carried = end - read;
                        self.carry[..self.carried].copy_from_slice(&buffer[read..end]);
                        break;
                    }
                    Err(fault) => return Reflection { reply: begin..written, end: Some(End::Fault(fault)) },
                }
            }
            let size = usize::try_from(self.frame.rest).unwrap_or(usize::MAX).min(end - read);
            self.pass(&mut buffer[read..read + size]);
            buffer.copy_within(read..read + size, written);
            read += size;
            written += size;
            if self.frame.is_close && self.frame.rest == 0 {
                return Reflection { reply: begin..written, end: Some(End::Close) };
            }
        }
        Reflection { reply: begin..written, end: None }
    }

    /// Takes the bit of a compressed message off the first byte of a frame, where it may stand.
    fn take_rsv1(&self, first: &mut u8) -> u8 {
        let may_stand = self.deflates && matches!(*first & 0x0f, 1 | 2);
        let rsv1 = if may_stand { *first & RSV1 } else { 0 };
        *first ^= rsv1;
        rsv1
    }

    /// Begins the frame of a header, and makes the header of the reply.
    fn admit(&mut self, found: Option<(Header, usize)>) -> Result<Option<(Header, usize)>, ProtocolError> {
        let Some((header, size)) = found else { return Ok(None) };
        match header.opcode {
            Opcode::Text | Opcode::Binary => self.message_size = header.payload_size,
            Opcode::Continuation => self.message_size = self.message_size.saturating_add(header.payload_size),
            Opcode::Close | Opcode::Ping | Opcode::Pong => {}
        }
        if self.message_size > MESSAGE_SIZE_MAX {
            return Err(ProtocolError::MessageTooBig);
        }
        self.frame = Frame {
            rest: header.payload_size,
            key: header.mask.unwrap_or_default(),
            phase: 0,
            is_close: header.opcode == Opcode::Close,
        };
        let opcode = if header.opcode == Opcode::Ping { Opcode::Pong } else { header.opcode };
        Ok(Some((Header { opcode, mask: None, ..header }, size)))
    }

    fn pass(&mut self, payload: &mut [u8]) {
        mask::apply(payload, self.frame.key, self.frame.phase);
        self.frame.phase = (self.frame.phase + payload.len()) % 4;
        self.frame.rest -= payload.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{inbound::write_frame, random::Random};

    fn reflect_all(pieces: &[&[u8]]) -> (Vec<u8>, Option<End>) {
        let (mut reflector, mut replies) = (Reflector::default(), Vec::new());
        for piece in pieces {
            let mut buffer = vec![0; HEADROOM + piece.len()];
            buffer[HEADROOM..].copy_from_slice(piece);
            let Reflection { reply, end } = reflector.reflect(&mut buffer, piece.len());
            replies.extend_from_slice(&buffer[reply]);
            if end.is_some() {
                return (replies, end);
            }
        }
        (replies, None)
    }

    #[test]
    fn any_split_gives_the_same_reply() {
        let mut random = Random::seeded(3);
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        for (opcode, reply, size) in [
            (Opcode::Text, 0x81, 5),
            (Opcode::Ping, 0x8a, 3),
            (Opcode::Binary, 0x82, 0),
            (Opcode::Binary, 0x82, 200),
            (Opcode::Close, 0x88, 2),
        ] {
            let payload: Vec<u8> = (0..size).collect();
            write_frame(&mut sent, opcode, &payload, random.mask_key());
            expected.push(reply);
            expected.extend_from_slice(if size < 126 { &[] } else { &[126, 0] });
            expected.push(size);
            expected.extend_from_slice(&payload);
        }
        assert_eq!(reflect_all(&[&sent]), (expected.clone(), Some(End::Close)));
        for cut in 0..sent.len() {
            assert_eq!(
                reflect_all(&[&sent[..cut], &sent[cut..]]),
                (expected.clone(), Some(End::Close)),
                "{cut}"
            );
        }
        assert_eq!(reflect_all(&sent.chunks(1).collect::<Vec<_>>()), (expected, Some(End::Close)));
    }

    #[test]
    fn what_came_before_a_fault_is_echoed() {
        let mut sent = Vec::new();
        write_frame(&mut sent, Opcode::Text, b"a", [1, 2, 3, 4]);
        sent.extend_from_slice(b"\x81\x01a");
        assert_eq!(
            reflect_all(&[&sent]),
            (b"\x81\x01a".to_vec(), Some(End::Fault(ProtocolError::UnmaskedByClient)))
        );
    }

    #[test]
    fn fragments_count_together() {
        let half = (MESSAGE_SIZE_MAX / 2 + 1).to_be_bytes();
        let mut first = vec![0x02, 0xff];
        first.extend_from_slice(&half);
        first.extend_from_slice(&[0; 4]);
        let mut second = first.clone();
        second[0] = 0x80;
        let payload = vec![0; MESSAGE_SIZE_MAX as usize / 2 + 1];
        let (_, end) = reflect_all(&[&first, &payload]);
        assert_eq!(end, None);
        let (_, end) = reflect_all(&[&first, &payload, &second]);
        assert_eq!(end, Some(End::Fault(ProtocolError::MessageTooBig)));
    }
}
