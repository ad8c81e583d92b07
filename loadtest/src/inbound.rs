//! What a server sends, frame by frame, and what a client writes.

use wsi_ws::{
    Assembled, Assembler, ClosePayload, Decoder, HEADER_SIZE_MAX, Header, Opcode, ProtocolError, RSV1, Role,
    WireLimits,
    deflate::{Compressor, Flow},
    mask,
};

use crate::echo::MESSAGE_SIZE_MAX;

/// A message or control frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    Message(Opcode, &'a [u8]),
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    Close(ClosePayload<'a>),
}

/// Puts frames and messages together from any split of the bytes.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    /// A frame that has not arrived to its end.
    partial: Vec<u8>,
    /// A message whose last fragment has not arrived.
    message: Option<(Opcode, Vec<u8>)>,
}

impl Inbound {
    /// Calls `hear` for each message and control frame that is now complete.
    ///
    /// # Errors
    /// A wrong frame, or whatever `hear` returns.
    pub fn receive<E: From<ProtocolError>>(
        &mut self,
        bytes: &[u8],
        mut hear: impl FnMut(Incoming<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.partial.is_empty() {
            let consumed = self.frames(bytes, &mut hear)?;
            self.partial.extend_from_slice(&bytes[consumed..]);
            return Ok(());
        }
        let mut partial = std::mem::take(&mut self.partial);
        partial.extend_from_slice(bytes);
        let consumed = self.frames(&partial, &mut hear)?;
        partial.drain(..consumed);
        self.partial = partial;
        Ok(())
    }

    fn frames<E: From<ProtocolError>>(
        &mut self,
        bytes: &[u8],
        hear: &mut impl FnMut(Incoming<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut at = 0;
        while let Some((header, size)) = Header::parse(&bytes[at..], Role::Server)? {
            if header.payload_size > MESSAGE_SIZE_MAX {
                return Err(ProtocolError::FrameTooBig.into());
            }
            let begin = at + size;
            let Some(payload) = bytes.get(begin..begin + header.payload_size as usize) else { break };
            at = begin + payload.len();
            self.frame(header, payload, hear)?;
        }
        Ok(at)
    }

    fn frame<E: From<ProtocolError>>(
        &mut self,
        header: Header,
        payload: &[u8],
        hear: &mut impl FnMut(Incoming<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match header.opcode {
            Opcode::Ping => return hear(Incoming::Ping(payload)),
            Opcode::Pong => return hear(Incoming::Pong(payload)),
            Opcode::Close => return hear(Incoming::Close(ClosePayload::parse(payload)?)),
            Opcode::Text | Opcode::Binary if self.message.is_some() => {
                return Err(ProtocolError::NestedMessage.into());
            }
            opcode @ (Opcode::Text | Opcode::Binary) if header.fin => {
                return hear(Incoming::Message(opcode, payload));
            }
            opcode @ (Opcode::Text | Opcode::Binary) => self.message = Some((opcode, payload.to_vec())),
            Opcode::Continuation => {
                let (_, message) = self.message.as_mut().ok_or(ProtocolError::OrphanContinuation)?;
                if (message.len() + payload.len()) as u64 > MESSAGE_SIZE_MAX {
                    return Err(ProtocolError::MessageTooBig.into());
                }
                message.extend_from_slice(payload);
            }
        }
        match self.message.take_if(|_| header.fin) {
            Some((opcode, message)) => hear(Incoming::Message(opcode, &message)),
            None => Ok(()),
        }
    }
}

/// The same where the server may compress what it sends.
#[derive(Debug)]
pub(crate) struct DeflateInbound {
    decoder: Decoder,
    assembler: Assembler,
}

impl DeflateInbound {
    const LIMITS: WireLimits = WireLimits {
        frame_size_max: MESSAGE_SIZE_MAX,
        message_size_max: MESSAGE_SIZE_MAX,
        fragments_max: u32::MAX,
        inflate_ratio_max: u32::MAX,
    };

    pub fn new(flow: Flow) -> Self {
        Self { decoder: Decoder::with_deflate(Role::Server), assembler: Assembler::with_deflate(flow) }
    }

    /// As [`Inbound::receive`].
    ///
    /// # Errors
    /// A wrong frame, what does not inflate, or whatever `hear` returns.
    pub fn receive<E: From<ProtocolError>>(
        &mut self,
        bytes: &[u8],
        mut hear: impl FnMut(Incoming<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        // The decoder works where the bytes lie.
        let mut bytes = bytes.to_vec();
        let mut rest = &mut bytes[..];
        while let Some(piece) = self.decoder.decode(rest)? {
            let lies = &rest[piece.payload.clone()];
            match self.assembler.accept(&piece, rest, &Self::LIMITS, &mut Vec::new)? {
                Assembled::Pending => {}
                Assembled::InPlace(opcode) => hear(Incoming::Message(opcode, lies))?,
                Assembled::Message(message) => hear(Incoming::Message(message.opcode, message.payload()))?,
                Assembled::ControlInPlace(opcode) => hear(control(opcode, lies)?)?,
                Assembled::Control { opcode, payload } => hear(control(opcode, &payload)?)?,
            }
            rest = &mut rest[piece.consumed..];
        }
        Ok(())
    }
}

fn control(opcode: Opcode, payload: &[u8]) -> Result<Incoming<'_>, ProtocolError> {
    Ok(match opcode {
        Opcode::Ping => Incoming::Ping(payload),
        Opcode::Close => Incoming::Close(ClosePayload::parse(payload)?),
        _ => Incoming::Pong(payload),
    })
}

/// Appends a client's message, compressed if that makes it smaller.
pub(crate) fn write_message(
    out: &mut Vec<u8>,
    opcode: Opcode,
    payload: &[u8],
    compressor: Option<&mut Compressor>,
    key: [u8; 4],
) {
    let (begin, mut compressed) = (out.len(), Vec::new());
    if compressor.is_some_and(|compressor| compressor.compress(payload, &mut compressed)) {
        write_frame(out, opcode, &compressed, key);
        out[begin] |= RSV1;
    } else {
        write_frame(out, opcode, payload, key);
    }
}

/// Appends a client's frame, masked with `key`.
pub(crate) fn write_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], key: [u8; 4]) {
    let header = Header { fin: true, opcode, mask: Some(key), payload_size: payload.len() as u64 };
    let mut bytes = [0; HEADER_SIZE_MAX];
    let size = header.encode(&mut bytes);
    out.extend_from_slice(&bytes[..size]);
    let begin = out.len();
    out.extend_from_slice(payload);
    mask::apply(&mut out[begin..], key, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear_all(pieces: &[&[u8]]) -> Result<Vec<String>, ProtocolError> {
        let (mut inbound, mut heard) = (Inbound::default(), Vec::new());
        for piece in pieces {
            inbound.receive(piece, |incoming| {
                heard.push(format!("{incoming:?}"));
                Ok::<_, ProtocolError>(())
            })?;
        }
        Ok(heard)
    }

    #[test]
    fn any_split_gives_the_same() {
        // A fragmented text around a ping, a binary, a close.
        let bytes = b"\x01\x02ab\x89\x01p\x00\x00\x80\x01c\x82\x01\xff\x8a\x00\x88\x02\x03\xe8";
        let whole = hear_all(&[bytes]).unwrap();
        assert_eq!(whole.len(), 5);
        assert!(whole[0].starts_with("Ping"));
        assert_eq!(whole[1], format!("{:?}", Incoming::Message(Opcode::Text, b"abc")));
        for cut in 0..bytes.len() {
            assert_eq!(hear_all(&[&bytes[..cut], &bytes[cut..]]).unwrap(), whole);
        }
        assert_eq!(hear_all(&bytes.chunks(1).collect::<Vec<_>>()).unwrap(), whole);
    }

    #[test]
    fn faults() {
        for (bytes, fault) in [
            (&b"\x80\x00"[..], ProtocolError::OrphanContinuation),
            (b"\x01\x00\x81\x00", ProtocolError::NestedMessage),
            (b"\x81\x80\0\0\0\0", ProtocolError::MaskedByServer),
            (b"\x82\x7f\0\0\0\0\x01\0\0\x01", ProtocolError::FrameTooBig),
        ] {
            assert_eq!(hear_all(&[bytes]), Err(fault));
        }
    }
}
