//! What becomes of a message, and the proof that it was asked.

use wsi_policy::Action;
use wsi_ws::CloseCode;

use crate::{condition::Condition, rules::RuleId};

/// The outcome of an inspection.
#[derive(Debug)]
pub enum Verdict {
    Allow(Permit),
    Drop,
    Close(CloseCode),
}

/// The right to send one message on. Only the pipeline can make one, and what builds outgoing bytes takes it away:
/// nothing leaves that was not inspected.
#[derive(Debug)]
pub struct Permit {
    _only_from_the_pipeline: (),
}

impl Permit {
    pub(super) fn new() -> Self {
        Self { _only_from_the_pipeline: () }
    }
}

/// A rule that a message breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub rule: RuleId,
    pub action: Action,
    /// Where in the payload the evidence ends, if it is at one place.
    pub at: Option<usize>,
    /// What was found, without payload.
    pub detail: String,
}

/// Why the stages stopped before the end.
#[derive(Debug)]
pub(crate) enum Stop {
    Finding(Finding),
    CouldNotInspect(Condition),
}
