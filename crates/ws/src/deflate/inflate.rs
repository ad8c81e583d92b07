//! Compressed payload to plain payload, step by step and within limits (RFC 7692 section 7.2.2).

use std::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::{Flow, TAIL};
use crate::{error::ProtocolError, limits::WireLimits};

/// The most that one step yields, in bytes. Limits are checked between steps.
const STEP_SIZE_MAX: u64 = 16 << 10;

/// The messages that one endpoint compresses. It holds the window, 32 KiB whatever was agreed on: a sender that uses more of it
/// than it promised is understood all the same, because nothing depends on its window but the reading of its own messages.
///
/// The same bytes give the same faults, however they are split.
pub struct Inflater {
    stream: Inflate,
    no_context_takeover: bool,
    /// Of the message that is open: bytes taken and bytes given.
    taken: u64,
    given: u64,
    /// Blocks have begun that only the tail will end.
    wants_tail: bool,
    has_failed: bool,
}

impl Inflater {
    /// The most memory of one inflater, in bytes: zlib-rs allocates its window of 32 KiB and its tables of codes at once.
    pub const SIZE_MAX: u64 = 48 << 10;

    /// No deflate stream inflates further: 258 bytes take two bits at least (RFC 1951 section 3.2.5).
    pub const RATIO_MAX: u64 = 1032;

    /// An inflater for what is sent as `flow` says.
    pub fn new(flow: Flow) -> Self {
        Self {
            stream: Inflate::new(false, 15),
            no_context_takeover: flow.no_context_takeover,
            taken: 0,
            given: 0,
            wants_tail: false,
            has_failed: false,
        }
    }

    /// Room that the next [`Inflater::step`] with `input_size` bytes wants.
    pub(crate) fn room(&self, input_size: usize, limits: &WireLimits) -> usize {
        // Steps end where limits are checked, so that they are checked at the same places for any split.
        let to_check = STEP_SIZE_MAX - self.given % STEP_SIZE_MAX;
        let to_excess = limits.message_size_max.saturating_sub(self.given).saturating_add(1);
        let wanted = (input_size as u64).saturating_mul(4).max(256);
        // At most a step.
        wanted.min(to_check).min(to_excess) as usize
    }

    /// Inflates from the front of `input` into `room`. Says how much of `room` it filled, and whether it is to be called again before
    /// all of `input` has been inflated and judged.
    ///
    /// # Errors
    /// [`ProtocolError::MessageTooBig`], [`ProtocolError::InflateRatio`] or [`ProtocolError::InvalidDeflate`], each only after all
    /// bytes before it were given.
    pub(crate) fn step(
        &mut self,
        input: &mut &[u8],
        room: &mut [u8],
        limits: &WireLimits,
    ) -> Result<(usize, bool), ProtocolError> {
        self.check(limits)?;
        let (status, taken, given) = self.decompress(input, room);
        *input = &input[taken..];
        self.taken += taken as u64;
        self.given += given as u64;
        self.wants_tail |= taken > 0;
        match status {
            Some(Status::Ok | Status::BufError) => {}
            // A block with BFINAL: the stream ends, and what follows is a new one (RFC 7692 section 7.2.3.5).
            Some(Status::StreamEnd) => self.restart(),
            None => self.has_failed = true,
        }
        let is_stuck = taken == 0 && given == 0 && status != Some(Status::StreamEnd);
        self.has_failed |= is_stuck && !input.is_empty();
        Ok((given, self.has_failed || !input.is_empty() || given == room.len()))
    }

    /// Ends the message, whose last byte has been inflated.
    ///
    /// # Errors
    /// As [`Inflater::step`]; a message that ends within a block is invalid where the tail shows it.
    pub(crate) fn finish(&mut self, limits: &WireLimits) -> Result<(), ProtocolError> {
        self.check(limits)?;
        if exceeds_ratio(self.given, self.taken, limits) {
            return Err(ProtocolError::InflateRatio);
        }
        // Without a byte since the start, or since the stream's own end, the tail would not end a block but begin one.
        if self.wants_tail {
            let (status, taken, given) = self.decompress(&TAIL, &mut [0]);
            if status.is_none_or(|status| status == Status::StreamEnd) || taken < TAIL.len() || given > 0 {
                return Err(ProtocolError::InvalidDeflate);
            }
        }
        (self.taken, self.given, self.wants_tail) = (0, 0, false);
        if self.no_context_takeover {
            self.restart();
        }
        Ok(())
    }

    fn check(&self, limits: &WireLimits) -> Result<(), ProtocolError> {
        if self.given > limits.message_size_max {
            return Err(ProtocolError::MessageTooBig);
        }
        if self.given.is_multiple_of(STEP_SIZE_MAX) && exceeds_ratio(self.given, self.taken, limits) {
            return Err(ProtocolError::InflateRatio);
        }
        if self.has_failed { Err(ProtocolError::InvalidDeflate) } else { Ok(()) }
    }

    /// What became of it (`None`: it is invalid), how much was taken and how much was given.
    fn decompress(&mut self, input: &[u8], room: &mut [u8]) -> (Option<Status>, usize, usize) {
        let before = (self.stream.total_in(), self.stream.total_out());
        let status = self.stream.decompress(input, room, InflateFlush::SyncFlush).ok();
        let (taken, given) = (self.stream.total_in() - before.0, self.stream.total_out() - before.1);
        // Both are sizes of slices.
        (status, taken as usize, given as usize)
    }

    /// Forgets the window.
    fn restart(&mut self) {
        self.stream.reset(false);
        self.wants_tail = false;
    }
}

fn exceeds_ratio(given: u64, taken: u64, limits: &WireLimits) -> bool {
    given > WireLimits::INFLATE_RATIO_FLOOR
        && given > taken.saturating_mul(u64::from(limits.inflate_ratio_max))
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("taken", &self.taken)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}
