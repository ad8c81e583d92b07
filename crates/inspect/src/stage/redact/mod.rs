//! Redact: what the patterns with action `redact` match is replaced, in whichever view of the message they match.
//!
//! This is the slow path, taken where such a pattern has matched. A match in a view goes back to the bytes of the message that gave
//! it, an escape as a whole. What is replaced there must leave the message what it was: only what stands in strings of a JSON
//! document, and in the texts and binary values of a binary message that was decoded.

mod edit;
mod region;
mod spans;

use wsi_ws::{HEADER_SIZE_MAX, Opcode};

use self::{edit::Edits, region::Shape, spans::Spans};
use crate::{
    engine::{Engine, Redaction, ScanPlan},
    pipeline::Subject,
    worker::Worker,
};

/// A payload with matches replaced.
#[derive(Debug)]
pub(crate) struct Redacted {
    /// Behind [`HEADER_SIZE_MAX`] bytes for a header.
    pub buffer: Vec<u8>,
    /// How many were replaced.
    pub places: usize,
}

impl Redacted {
    pub fn payload(&self) -> &[u8] {
        &self.buffer[HEADER_SIZE_MAX..]
    }
}

/// Replaces the matches in a message, or in what a control frame carries. `None`: none of them can be, or not without breaking the
/// message. That nothing matches any more is for the caller to find out.
pub(crate) fn redact(
    engine: &Engine,
    scan: &ScanPlan,
    redaction: &Redaction,
    subject: Subject<'_>,
    worker: &mut Worker,
) -> Option<Redacted> {
    let Subject { direction, opcode, payload, .. } = subject;
    let plan = engine.plan(direction);
    let shape = Shape::of(engine, plan, opcode, payload, worker)?;
    let spans = Spans::find(redaction, &scan.normalizer, payload, &shape, worker)?;
    let edits = Edits {
        redaction,
        // A length may stand before any part of a binary message, and a control frame has little room.
        keeps_size: opcode != Opcode::Text,
        size_max: usize::try_from(plan.wire.message_size_max).unwrap_or(usize::MAX),
    };
    let redacted = edits.make(payload, shape.regions(payload), &spans, worker.spare())?;
    let after = Shape::of(engine, plan, opcode, redacted.payload(), worker)?;
    if shape.is_kept(&after) {
        return Some(redacted);
    }
    worker.recycle(redacted.buffer);
    None
}
