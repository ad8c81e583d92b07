//! What the other endpoint makes of the bytes that reach it: put together, inflated, and lenient where a careless one would be.

use zlib_rs::{Inflate, InflateFlush, Status};

use super::frames::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, TEXT};

/// The most that one message is inflated to, in bytes.
const INFLATED_SIZE_MAX: usize = 64 << 20;
/// What a sender of compressed messages leaves out (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// What arrived, in order.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// Opcode and payload of every finished message.
    pub messages: Vec<(u8, Vec<u8>)>,
    /// Pings and pongs.
    pub controls: Vec<(u8, Vec<u8>)>,
    /// What has come of a message that is not finished.
    pub unfinished: Vec<u8>,
    /// The body of the close frame.
    pub close: Option<Vec<u8>>,
    /// Bytes that are no frames, frames that may not stand there, and anything behind a close frame.
    pub stray: Vec<u8>,
}

impl Arrived {
    /// Reads all that reached one endpoint.
    pub fn read(mut bytes: &[u8]) -> Self {
        let mut arrived = Self::default();
        let mut inflate = Inflate::new(false, 15);
        let mut open: Option<Open> = None;
        while let Some(frame) = Frame::split(&mut bytes) {
            if arrived.close.is_some() {
                arrived.stray.extend(&frame.payload);
                continue;
            }
            match frame.first & 0x0f {
                CLOSE => arrived.close = Some(frame.payload),
                opcode @ (PING | PONG) => arrived.controls.push((opcode, frame.payload)),
                opcode @ (TEXT | BINARY) if open.is_none() => {
                    let compressed = frame.first & RSV1 != 0;
                    open = Some(Open { opcode, compressed, payload: frame.payload });
                }
                CONTINUATION if open.is_some() => {
                    if let Some(open) = &mut open {
                        open.payload.extend(&frame.payload);
                    }
                }
                _ => arrived.stray.extend(&frame.payload),
            }
            if frame.first & FIN != 0
                && frame.first & 0x08 == 0
                && let Some(open) = open.take()
            {
                arrived.messages.push((open.opcode, open.plain(&mut inflate)));
            }
        }
        arrived.unfinished = open.map_or_else(Vec::new, |open| open.plain(&mut inflate));
        arrived.stray.extend(bytes);
        arrived
    }

    pub fn close_code(&self) -> Option<u16> {
        match self.close.as_deref()? {
            [high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
            // No code in it (RFC 6455 section 7.1.5).
            _ => Some(1005),
        }
    }

    pub fn has(&self, opcode: u8) -> bool {
        self.controls.iter().any(|(each, payload)| *each == opcode && payload.is_empty())
    }

    /// Content of the sender's that got through, apart from the empty control frames around an attack. What is not finished counts
    /// only if it holds all of `token`: a large message may be on its way while its end is still being inspected.
    pub fn content(&self, token: &[u8]) -> Option<&[u8]> {
        let mut payloads = self.messages.iter().chain(&self.controls).map(|(_, payload)| payload.as_slice());
        let is_message = !self.messages.is_empty();
        let reason = self.close.as_deref().and_then(|body| body.get(2..)).unwrap_or_default();
        let found = if is_message { payloads.next() } else { payloads.find(|payload| !payload.is_empty()) };
        found
            .or_else(|| Some(self.stray.as_slice()).filter(|stray| !stray.is_empty()))
            .or_else(|| [&self.unfinished, reason].into_iter().find(|bytes| contains(bytes, token)))
    }
}

impl Arrived {
    /// Content that got through though it was to be hidden: with all of `token` in it, or as it was `sent`.
    pub fn unredacted(&self, sent: &Self, token: &[u8]) -> Option<&[u8]> {
        let unchanged = self
            .messages
            .iter()
            .find(|(_, payload)| !payload.is_empty() && sent.messages.iter().any(|(_, own)| own == payload));
        let reason = self.close.as_deref().and_then(|body| body.get(2..)).unwrap_or_default();
        let payloads = self.messages.iter().chain(&self.controls).map(|(_, payload)| payload);
        let mut all = payloads.map(Vec::as_slice).chain([&self.unfinished, &self.stray, reason]);
        unchanged.map(|(_, payload)| payload.as_slice()).or_else(|| all.find(|bytes| contains(bytes, token)))
    }
}

pub(super) fn contains(bytes: &[u8], token: &[u8]) -> bool {
    !token.is_empty() && bytes.windows(token.len()).any(|window| window == token)
}

struct Open {
    opcode: u8,
    compressed: bool,
    payload: Vec<u8>,
}

impl Open {
    fn plain(self, inflate: &mut Inflate) -> Vec<u8> {
        if self.compressed { inflated(inflate, &[&self.payload[..], &TAIL].concat()) } else { self.payload }
    }
}

/// What `input` inflates to, as far as it does.
fn inflated(inflate: &mut Inflate, mut input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut room = vec![0; 16 << 10];
    while out.len() < INFLATED_SIZE_MAX {
        let before = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress(input, &mut room, InflateFlush::SyncFlush);
        let (taken, given) = (inflate.total_in() - before.0, inflate.total_out() - before.1);
        // Both are sizes of slices.
        input = &input[taken as usize..];
        out.extend(&room[..given as usize]);
        match status {
            Ok(Status::StreamEnd) => inflate.reset(false),
            Ok(_) if taken + given > 0 => {}
            _ => break,
        }
    }
    out
}

struct Frame {
    first: u8,
    payload: Vec<u8>,
}

impl Frame {
    /// Cuts one whole frame off the front.
    fn split(bytes: &mut &[u8]) -> Option<Self> {
        let (&[first, second], mut rest) = bytes.split_first_chunk::<2>()?;
        let mut size = u64::from(second & 0x7f);
        if size == 126 {
            let (length, after) = rest.split_first_chunk()?;
            (size, rest) = (u64::from(u16::from_be_bytes(*length)), after);
        } else if size == 127 {
            let (length, after) = rest.split_first_chunk()?;
            (size, rest) = (u64::from_be_bytes(*length), after);
        }
        let mut key = [0; 4];
        if second & 0x80 != 0 {
            let (own, after) = rest.split_first_chunk()?;
            (key, rest) = (*own, after);
        }
        let (payload, after) = rest.split_at_checked(usize::try_from(size).ok()?)?;
        let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        *bytes = after;
        Some(Self { first, payload })
    }
}

#[cfg(test)]
mod tests {
    use wsi_config::policy::Direction;

    use super::*;
    use crate::selftest::frames::Framer;

    #[test]
    fn what_is_put_together() {
        for direction in Direction::BOTH {
            let framer = Framer::new(direction);
            let ping = framer.frame(FIN | PING, b"");
            let bytes = [
                framer.fragments_with(TEXT, &[b"to", b"", b"ken"], &ping),
                framer.fragments(BINARY | RSV1, &[b"", &[0xf2, 0x48, 0xcd], &[0xc9, 0xc9, 0x07, 0x00]]),
                framer.frame(TEXT, b"half"),
            ]
            .concat();
            let arrived = Arrived::read(&bytes);
            assert_eq!(arrived.messages, [(TEXT, b"token".to_vec()), (BINARY, b"Hello".to_vec())]);
            assert_eq!(arrived.controls.len(), 2);
            assert_eq!(arrived.unfinished, b"half");
            assert_eq!(arrived.content(b"x"), Some(&b"token"[..]));
        }
    }

    #[test]
    fn what_counts_as_not_redacted() {
        let framer = Framer::new(Direction::ToClient);
        let sent = Arrived::read(&framer.text(b"hidden"));
        let unredacted = |bytes: &[u8]| Arrived::read(bytes).unredacted(&sent, b"token").map(<[u8]>::to_vec);
        assert_eq!(unredacted(&framer.text(b"******")), None);
        assert_eq!(unredacted(&framer.text(b"hidden")), Some(b"hidden".to_vec()), "as it was sent");
        assert_eq!(unredacted(&framer.text(b"a token")), Some(b"a token".to_vec()));
        assert_eq!(unredacted(&framer.frame(FIN | PING, b"token")), Some(b"token".to_vec()));
        assert_eq!(unredacted(&framer.close(1000, b"token")), Some(b"token".to_vec()));
        assert_eq!(unredacted(&framer.close(1000, b"*****")), None);
    }

    #[test]
    fn what_counts_as_content() {
        let framer = Framer::new(Direction::ToClient);
        let content = |bytes: &[u8]| Arrived::read(bytes).content(b"token").map(<[u8]>::to_vec);
        assert_eq!(content(&framer.frame(FIN | PING, b"")), None);
        assert_eq!(content(&framer.frame(FIN | PING, b"x")), Some(b"x".to_vec()));
        assert_eq!(content(&framer.text(b"")), Some(Vec::new()), "an empty message is one");
        assert_eq!(content(&framer.frame(TEXT, b"the tok")), None);
        assert_eq!(content(&framer.frame(TEXT, b"the token")), Some(b"the token".to_vec()));
        assert_eq!(content(&framer.close(1000, b"fine")), None);
        assert_eq!(content(&framer.close(1000, b"token")), Some(b"token".to_vec()));
        assert_eq!(
            content(&[framer.close(1000, b""), framer.text(b"late")].concat()),
            Some(b"late".to_vec())
        );
        assert_eq!(content(b"\xff"), Some(b"\xff".to_vec()));
    }
}
