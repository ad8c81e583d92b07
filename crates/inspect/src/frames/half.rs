//! What one endpoint of a connection sends, frame by frame.

use wsi_policy::Direction;
use wsi_ratelimit::Bucket;
use wsi_ws::{Assembler, Opcode};

use super::FrameVerdict;
use crate::{engine::Engine, stage};

/// What one endpoint sends.
#[derive(Debug)]
pub(super) struct FrameHalf {
    pub assembler: Assembler,
    pub buckets: Box<[Bucket]>,
    pub control: Bucket,
    pub rest: Rest,
    /// How much of the open message was scanned.
    pub scanned: usize,
    pub message_began_ns: u64,
    pub is_closed: bool,
}

/// What becomes of the rest of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Inspected,
    /// Nothing of the message has passed, and nothing will.
    Dropped,
    /// Its beginning was not seen, and the policy lets pass what can't be inspected.
    Missed,
}

impl FrameHalf {
    pub fn new(engine: &Engine, direction: Direction, now_ns: u64) -> Self {
        Self {
            assembler: Assembler::default(),
            buckets: stage::rate::buckets(engine.plan(direction), now_ns),
            control: Bucket::full(&engine.control_rate, now_ns),
            rest: Rest::Inspected,
            scanned: 0,
            message_began_ns: now_ns,
            is_closed: false,
        }
    }

    /// The word on a continuation of a message whose fate is known.
    pub fn continue_rest(&mut self, opcode: Opcode, fin: bool) -> Option<FrameVerdict> {
        if opcode != Opcode::Continuation {
            return None;
        }
        let verdict = match self.rest {
            Rest::Inspected => return None,
            Rest::Dropped => FrameVerdict::Drop,
            Rest::Missed => FrameVerdict::Allow,
        };
        if fin {
            self.rest = Rest::Inspected;
        }
        Some(verdict)
    }
}
