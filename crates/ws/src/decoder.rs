//! Bytes to frames: an incremental decoder that works in the caller's buffer.

use std::ops::Range;

use crate::{
    error::ProtocolError,
    frame::{HEADER_SIZE_MAX, Header, RSV1, Role},
    mask,
};

/// Turns the bytes that one endpoint sends into [`Piece`]s of frames, unmasking them where they lie. It holds a
/// header that was cut, and nothing else.
///
/// Call [`Decoder::decode`] until all input is consumed. After an error the stream has no meaning any more: the decoder
/// reports the same error for ever.
#[derive(Debug)]
pub struct Decoder {
    sender: Role,
    /// permessage-deflate is agreed on.
    deflates: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The first `size` bytes of a header have arrived.
    Header {
        bytes: [u8; HEADER_SIZE_MAX],
        size: u8,
    },
    /// `taken` bytes of the payload have been handed out.
    Payload {
        header: Header,
        taken: u64,
    },
    Failed(ProtocolError),
}

/// A run of one frame's payload, unmasked, within the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub header: Header,
    /// Where the bytes are in the input; may be empty.
    pub payload: Range<usize>,
    /// The frame begins a compressed message (RFC 7692); said of its first piece only.
    pub is_compressed: bool,
    /// The payload begins here.
    pub is_first: bool,
    /// The payload ends here.
    pub is_last: bool,
    /// The frame's header lies in the input too, right before the payload, and is this long.
    pub header_size: Option<usize>,
    /// How much of the input is used up.
    pub consumed: usize,
}

impl Piece {
    /// The whole frame, header included, lies within the input.
    pub fn is_whole_frame(&self) -> bool {
        self.is_last && self.header_size.is_some()
    }
}

impl Decoder {
    /// A decoder for what `sender` sends.
    pub fn new(sender: Role) -> Self {
        Self { sender, deflates: false, state: State::START }
    }

    /// A decoder for what `sender` sends after it has agreed on permessage-deflate.
    pub fn with_deflate(sender: Role) -> Self {
        Self { deflates: true, ..Self::new(sender) }
    }

    /// Takes the next piece off the start of `input`. `Ok(None)`: all of `input` was taken and more is needed.
    ///
    /// # Errors
    /// The first MUST of RFC 6455 section 5 that the sender broke, now or before.
    #[inline]
    pub fn decode(&mut self, input: &mut [u8]) -> Result<Option<Piece>, ProtocolError> {
        match self.state {
            State::Header { size: 0, .. } => {
                match Header::parse_extended(input, self.sender, self.deflates) {
                    Ok(Some((header, size))) => {
                        let is_compressed = is_compressed(input);
                        let piece = self.take_payload(header, None, input, size, Some(size));
                        Ok(Some(Piece { is_compressed, ..piece }))
                    }
                    Ok(None) => {
                        self.keep_header(input);
                        Ok(None)
                    }
                    Err(error) => Err(self.fail(error)),
                }
            }
            State::Header { bytes, size } => self.finish_header(bytes, usize::from(size), input),
            State::Payload { .. } if input.is_empty() => Ok(None),
            State::Payload { header, taken } => {
                Ok(Some(self.take_payload(header, Some(taken), input, 0, None)))
            }
            State::Failed(error) => Err(error),
        }
    }

    /// Whether the stream may end here without cutting a frame.
    pub fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Header { size: 0, .. })
    }

    fn keep_header(&mut self, input: &[u8]) {
        // Shorter than a header, or parsing would not have asked for more.
        let mut bytes = [0; HEADER_SIZE_MAX];
        bytes[..input.len()].copy_from_slice(input);
        self.state = State::Header { bytes, size: input.len() as u8 };
    }

    /// Goes on with a header of which `had` bytes came with earlier input.
    fn finish_header(
        &mut self,
        mut bytes: [u8; HEADER_SIZE_MAX],
        had: usize,
        input: &mut [u8],
    ) -> Result<Option<Piece>, ProtocolError> {
        let added = input.len().min(HEADER_SIZE_MAX - had);
        bytes[had..had + added].copy_from_slice(&input[..added]);
        match Header::parse_extended(&bytes[..had + added], self.sender, self.deflates) {
            Ok(Some((header, size))) => {
                let piece = self.take_payload(header, None, input, size - had, None);
                Ok(Some(Piece { is_compressed: is_compressed(&bytes), ..piece }))
            }
            Ok(None) => {
                self.state = State::Header { bytes, size: (had + added) as u8 };
                Ok(None)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Hands out the payload that begins at `at`; `taken` is what earlier pieces of the frame held, if there were any.
    #[inline]
    fn take_payload(
        &mut self,
        header: Header,
        taken: Option<u64>,
        input: &mut [u8],
        at: usize,
        header_size: Option<usize>,
    ) -> Piece {
        let is_first = taken.is_none();
        let taken = taken.unwrap_or(0);
        let left = header.payload_size - taken;
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
        let payload = at..at + here;
        if let Some(key) = header.mask {
            // The phase only counts modulo 4.
            mask::apply(&mut input[payload.clone()], key, (taken % 4) as usize);
        }
        let is_last = here as u64 == left;
        self.state =
            if is_last { State::START } else { State::Payload { header, taken: taken + here as u64 } };
        Piece { header, consumed: payload.end, payload, is_compressed: false, is_first, is_last, header_size }
    }

    fn fail(&mut self, error: ProtocolError) -> ProtocolError {
        self.state = State::Failed(error);
        error
    }
}

/// Asked of a header that was accepted.
fn is_compressed(header: &[u8]) -> bool {
    header.first().is_some_and(|first| first & RSV1 != 0)
}

impl State {
    const START: Self = Self::Header { bytes: [0; HEADER_SIZE_MAX], size: 0 };
}
