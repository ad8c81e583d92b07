//! Pieces of frames to messages (RFC 6455 section 5.4): fragments joined, control frames let through between them,
//! everything bounded.

use crate::{
    decoder::Piece,
    deflate::{Flow, Inflater},
    error::ProtocolError,
    frame::{HEADER_SIZE_MAX, Opcode},
    limits::WireLimits,
    utf8::Utf8,
};

/// The messages of one direction. It holds what has arrived of a message that is not complete, at most
/// [`WireLimits::message_size_max`] bytes, and of a control frame that was cut, and nothing while neither is open.
#[derive(Debug, Default)]
pub struct Assembler {
    /// Boxed: nearly all connections have no message open at any moment.
    open: Option<Box<OpenMessage>>,
    /// At most 125 bytes; empty, and so without memory, between cut control frames.
    control: Vec<u8>,
    /// How messages may be compressed, if at all.
    flow: Option<Flow>,
    /// Since the first compressed message.
    inflater: Option<Box<Inflater>>,
}

#[derive(Debug)]
struct OpenMessage {
    opcode: Opcode,
    is_compressed: bool,
    utf8: Utf8,
    fragments: u32,
    /// Bytes of payload of the fragments that have begun.
    wire_size: u64,
    /// Room for a frame header, then the payload so far: the message leaves in the buffer in which it was put together.
    buffer: Vec<u8>,
}

/// What a piece completes.
#[derive(Debug, PartialEq, Eq)]
pub enum Assembled {
    /// Nothing yet.
    Pending,
    /// A message in one frame, all of which lies in the input.
    InPlace(Opcode),
    /// A message that came in several pieces.
    Message(Message),
    /// A control frame, all of which lies in the input.
    ControlInPlace(Opcode),
    /// A control frame that was cut.
    Control { opcode: Opcode, payload: Vec<u8> },
}

/// A message with its payload in a buffer of its own, inflated if it was compressed.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub opcode: Opcode,
    pub was_compressed: bool,
    pub fragments: u32,
    buffer: Vec<u8>,
}

impl Message {
    pub fn payload(&self) -> &[u8] {
        &self.buffer[HEADER_SIZE_MAX..]
    }

    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[HEADER_SIZE_MAX..]
    }

    /// The buffer: [`HEADER_SIZE_MAX`] bytes to put a header in, right aligned, then the payload.
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}

impl Assembler {
    /// An assembler for messages that may be compressed as `flow` says.
    pub fn with_deflate(flow: Flow) -> Self {
        Self { flow: Some(flow), ..Self::default() }
    }

    /// Gives back the memory of the inflater if no later message needs what it holds: without context takeover, between messages.
    pub fn release(&mut self) {
        let is_disposable = self.flow.is_some_and(|flow| flow.no_context_takeover);
        if is_disposable && !self.open.as_ref().is_some_and(|open| open.is_compressed) {
            self.inflater = None;
        }
    }

    /// Whether a message has begun and not ended.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The message that has begun, and what of its payload has arrived and is held, inflated.
    pub fn open_message(&self) -> Option<(Opcode, &[u8])> {
        let open = self.open.as_ref()?;
        Some((open.opcode, &open.buffer[HEADER_SIZE_MAX..]))
    }

    /// Takes the first `size` bytes that are held of the open message away, in the buffer that they came in, behind
    /// [`HEADER_SIZE_MAX`] bytes for a header; the rest goes on in one from `spare`. What was taken counts towards the limits still.
    pub fn take_front(&mut self, size: usize, spare: impl FnOnce() -> Vec<u8>) -> Option<Vec<u8>> {
        let open = self.open.as_mut()?;
        let end = HEADER_SIZE_MAX + size.min(open.buffer.len() - HEADER_SIZE_MAX);
        let mut rest = spare();
        rest.clear();
        rest.resize(HEADER_SIZE_MAX, 0);
        // The copy: the front leaves in its own buffer, and the rest is the smaller part.
        rest.extend_from_slice(&open.buffer[end..]);
        let mut front = std::mem::replace(&mut open.buffer, rest);
        front.truncate(end);
        Some(front)
    }

    /// Whether messages may come compressed.
    #[inline]
    pub fn deflates(&self) -> bool {
        self.flow.is_some()
    }

    /// Whether the message that has begun is compressed.
    pub fn is_inflating(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.is_compressed)
    }

    /// Bytes held.
    pub fn buffered_size(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.buffer.len())
    }

    /// The memory that is held, in bytes: what is reserved for a message, not only what has come of it, and the window.
    pub fn memory_size(&self) -> u64 {
        let message = self.open.as_ref().map_or(0, |open| open.buffer.capacity() as u64);
        message + self.inflater.as_ref().map_or(0, |_| Inflater::SIZE_MAX)
    }

    /// Fragments of the message that has begun.
    pub fn open_fragments(&self) -> u32 {
        self.open.as_ref().map_or(0, |open| open.fragments)
    }

    /// Takes the next piece; `input` is the slice that it points into. A message that begins takes its buffer from `spare`.
    ///
    /// # Errors
    /// A fragment out of order, a limit passed (seen from the header, before the payload arrives), or text that can't become
    /// UTF-8 any more.
    #[inline]
    pub fn accept(
        &mut self,
        piece: &Piece,
        input: &[u8],
        limits: &WireLimits,
        spare: &mut dyn FnMut() -> Vec<u8>,
    ) -> Result<Assembled, ProtocolError> {
        let opcode = piece.header.opcode;
        if opcode.is_control() {
            return Ok(self.accept_control(opcode, piece, input));
        }
        if piece.is_first {
            if self.begin_frame(piece, limits)? {
                return Ok(Assembled::InPlace(opcode));
            }
            if opcode != Opcode::Continuation {
                self.open = Some(Box::new(OpenMessage::new(piece, spare())));
            }
        }
        let Some(open) = &mut self.open else { return Err(ProtocolError::OrphanContinuation) };
        if piece.is_first {
            open.fragments += 1;
            open.wire_size += piece.header.payload_size;
        }
        let (payload, is_end) = (&input[piece.payload.clone()], piece.is_last && piece.header.fin);
        if open.is_compressed {
            let Some(flow) = self.flow else { return Err(ProtocolError::ReservedBits) };
            let inflater = self.inflater.get_or_insert_with(|| Box::new(Inflater::new(flow)));
            open.inflate(payload, inflater, limits)?;
            if is_end {
                inflater.finish(limits)?;
            }
        } else {
            open.append(payload, limits)?;
        }
        if !is_end {
            return Ok(Assembled::Pending);
        }
        if open.opcode == Opcode::Text {
            open.utf8.finish()?;
        }
        match self.open.take() {
            Some(open) => Ok(Assembled::Message(open.into_message())),
            None => Ok(Assembled::Pending),
        }
    }

    /// Judges a frame by its header. `true`: it is a message of its own that lies in the input as a whole.
    fn begin_frame(&self, piece: &Piece, limits: &WireLimits) -> Result<bool, ProtocolError> {
        let continues = piece.header.opcode == Opcode::Continuation;
        let (held, fragments, is_compressed) = match &self.open {
            Some(_) if !continues => return Err(ProtocolError::NestedMessage),
            None if continues => return Err(ProtocolError::OrphanContinuation),
            Some(open) => (open.wire_size, open.fragments, open.is_compressed),
            None => (0, 0, piece.is_compressed),
        };
        let wire_size = held.saturating_add(piece.header.payload_size);
        if wire_size > WireLimits::on_wire(limits.message_size_max, is_compressed) {
            return Err(ProtocolError::MessageTooBig);
        }
        if piece.header.payload_size > WireLimits::on_wire(limits.frame_size_max, is_compressed) {
            return Err(ProtocolError::FrameTooBig);
        }
        if fragments >= limits.fragments_max {
            return Err(ProtocolError::TooManyFragments);
        }
        Ok(!continues && !is_compressed && piece.header.fin && piece.is_whole_frame())
    }

    fn accept_control(&mut self, opcode: Opcode, piece: &Piece, input: &[u8]) -> Assembled {
        if piece.is_whole_frame() {
            return Assembled::ControlInPlace(opcode);
        }
        // The header was checked, so this stays within 125 bytes.
        self.control.extend_from_slice(&input[piece.payload.clone()]);
        if !piece.is_last {
            return Assembled::Pending;
        }
        Assembled::Control { opcode, payload: std::mem::take(&mut self.control) }
    }
}

impl OpenMessage {
    fn new(begun: &Piece, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(HEADER_SIZE_MAX, 0);
        Self {
            opcode: begun.header.opcode,
            is_compressed: begun.is_compressed,
            utf8: Utf8::default(),
            fragments: 0,
            wire_size: 0,
            buffer,
        }
    }

    fn inflate(
        &mut self,
        mut bytes: &[u8],
        inflater: &mut Inflater,
        limits: &WireLimits,
    ) -> Result<(), ProtocolError> {
        let mut goes_on = !bytes.is_empty();
        while goes_on {
            let (at, room) = (self.buffer.len(), inflater.room(bytes.len(), limits));
            self.reserve(room, limits);
            self.buffer.resize(at + room, 0);
            let step = inflater.step(&mut bytes, &mut self.buffer[at..], limits);
            self.buffer.truncate(at + step.map_or(0, |(given, _)| given));
            goes_on = step?.1;
            if self.opcode == Opcode::Text {
                self.utf8.feed(&self.buffer[at..])?;
            }
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8], limits: &WireLimits) -> Result<(), ProtocolError> {
        if self.opcode == Opcode::Text {
            self.utf8.feed(bytes)?;
        }
        self.reserve(bytes.len(), limits);
        // The copy: nothing of a message may leave before all of it was inspected, and the input is reused.
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Grows by doubling, but never past what the largest message needs.
    fn reserve(&mut self, more: usize, limits: &WireLimits) {
        let needed = self.buffer.len() + more;
        if needed > self.buffer.capacity() {
            let largest = usize::try_from(limits.message_size_max)
                .unwrap_or(usize::MAX)
                .saturating_add(HEADER_SIZE_MAX);
            let target = needed.max(self.buffer.capacity().saturating_mul(2)).min(largest.max(needed));
            self.buffer.reserve_exact(target - self.buffer.len());
        }
    }

    fn into_message(self) -> Message {
        Message {
            opcode: self.opcode,
            was_compressed: self.is_compressed,
            fragments: self.fragments,
            buffer: self.buffer,
        }
    }
}
