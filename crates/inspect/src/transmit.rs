//! Bytes on their way out. What carries a peer's payload can only be built from a [`Permit`].

use std::ops::Range;

use wsi_ws::{CloseCode, HEADER_SIZE_MAX, Header, Message, Opcode, RSV1, mask};

use crate::pipeline::Permit;

/// What a step wants sent to the other leg.
#[derive(Debug)]
pub enum Transmit {
    Nothing,
    /// These bytes of the input, where they now lie.
    InPlace(Range<usize>),
    Owned(OwnedFrame),
}

/// A frame in a buffer of its own.
#[derive(Debug)]
pub struct OwnedFrame {
    buffer: Vec<u8>,
    start: usize,
}

impl OwnedFrame {
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// In bytes, with what is reserved and not used.
    pub(crate) fn memory_size(&self) -> u64 {
        self.buffer.capacity() as u64
    }

    /// The buffer and where the frame begins in it.
    pub fn into_parts(self) -> (Vec<u8>, usize) {
        (self.buffer, self.start)
    }

    /// Frames an inspected message in the buffer in which it was put together: one frame, whatever the fragments were.
    pub(crate) fn from_message(_: Permit, message: Message, key: Option<[u8; 4]>) -> Self {
        let opcode = message.opcode;
        Self::frame(true, opcode, message.into_buffer(), key)
    }

    /// Frames a part of a message that is inspected as it comes: the first has the message's opcode, and only the last is final
    /// (RFC 6455 section 5.4). `buffer` has [`HEADER_SIZE_MAX`] bytes in front of it.
    pub(crate) fn from_part(
        _: Permit,
        opcode: Opcode,
        fin: bool,
        buffer: Vec<u8>,
        key: Option<[u8; 4]>,
    ) -> Self {
        Self::frame(fin, opcode, buffer, key)
    }

    /// Frames what became of a message, or of a control payload, that was changed; `buffer` has [`HEADER_SIZE_MAX`] bytes in front
    /// of it.
    pub(crate) fn from_buffer(_: Permit, opcode: Opcode, buffer: Vec<u8>, key: Option<[u8; 4]>) -> Self {
        Self::frame(true, opcode, buffer, key)
    }

    /// Frames what an inspected message was compressed to; `buffer` has [`HEADER_SIZE_MAX`] bytes in front of it.
    pub(crate) fn from_compressed(_: Permit, opcode: Opcode, buffer: Vec<u8>, key: Option<[u8; 4]>) -> Self {
        let mut frame = Self::frame(true, opcode, buffer, key);
        frame.buffer[frame.start] |= RSV1;
        frame
    }

    /// Frames an inspected control payload.
    pub(crate) fn from_control(_: Permit, opcode: Opcode, payload: &[u8], key: Option<[u8; 4]>) -> Self {
        Self::frame(true, opcode, with_header_room(payload), key)
    }

    /// Frames a text of our own.
    pub(crate) fn from_reply(_: Permit, text: &str, key: Option<[u8; 4]>) -> Self {
        Self::frame(true, Opcode::Text, with_header_room(text.as_bytes()), key)
    }

    /// A close frame of our own: it carries nothing of a peer's.
    pub(crate) fn own_close(code: CloseCode, reason: &'static str, key: Option<[u8; 4]>) -> Self {
        let mut payload = code.as_u16().to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        Self::frame(true, Opcode::Close, with_header_room(&payload), key)
    }

    fn frame(fin: bool, opcode: Opcode, mut buffer: Vec<u8>, key: Option<[u8; 4]>) -> Self {
        let payload = &mut buffer[HEADER_SIZE_MAX..];
        let header = Header { fin, opcode, mask: key, payload_size: payload.len() as u64 };
        if let Some(key) = key {
            mask::apply(payload, key, 0);
        }
        let mut encoded = [0; HEADER_SIZE_MAX];
        let size = header.encode(&mut encoded);
        let start = HEADER_SIZE_MAX - size;
        buffer[start..HEADER_SIZE_MAX].copy_from_slice(&encoded[..size]);
        Self { buffer, start }
    }
}

fn with_header_room(payload: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(HEADER_SIZE_MAX + payload.len());
    buffer.resize(HEADER_SIZE_MAX, 0);
    buffer.extend_from_slice(payload);
    buffer
}

/// Frames of the input that may pass, side by side in the input, so that one send takes them all.
#[derive(Debug, Default)]
pub(crate) struct Run {
    range: Range<usize>,
}

impl Run {
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Appends the frame whose header of `header_size` bytes begins at `frame_at` of `input` and whose unmasked payload
    /// follows. It gets a canonical header and, with `key`, a fresh mask.
    #[inline]
    pub fn push(
        &mut self,
        _: Permit,
        input: &mut [u8],
        frame_at: usize,
        header_size: usize,
        mut header: Header,
        key: Option<[u8; 4]>,
    ) {
        header.mask = key;
        let payload_at = frame_at + header_size;
        // Checked against the frame when it was decoded: it fits.
        let payload_size = header.payload_size as usize;
        if let Some(key) = key {
            mask::apply(&mut input[payload_at..payload_at + payload_size], key, 0);
        }
        let mut encoded = [0; HEADER_SIZE_MAX];
        let size = header.encode(&mut encoded);
        // A length must have come in its shortest form and masking goes with the direction, so the header that leaves
        // is as long as the one that came.
        debug_assert_eq!(size, header_size);
        input[frame_at..frame_at + size].copy_from_slice(&encoded[..size]);
        let frame = frame_at..payload_at + payload_size;
        if self.range.is_empty() {
            self.range = frame;
        } else if self.range.end == frame.start {
            self.range.end = frame.end;
        } else {
            // Something before was dropped or held back: close the gap, so that one send is enough.
            let size = frame.len();
            input.copy_within(frame, self.range.end);
            self.range.end += size;
        }
    }
}

impl From<Run> for Transmit {
    fn from(run: Run) -> Self {
        if run.is_empty() { Self::Nothing } else { Self::InPlace(run.range) }
    }
}
