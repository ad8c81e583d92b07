//! What becomes of a message, and the proof that it was asked.

use std::sync::Arc;

use wsi_policy::Action;
use wsi_ws::CloseCode;

use crate::{condition::Condition, rules::RuleId};

/// The outcome of an inspection.
#[derive(Debug)]
pub enum Verdict {
    Allow(Permit),
    /// It may pass as this, behind room for a header.
    Replace(Permit, Vec<u8>),
    /// With what its sender is to be answered, if the rule says so.
    Drop(Option<Reply>),
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

/// The right to answer the sender of one message that was dropped, with the text of the rule that it broke.
#[derive(Debug)]
pub struct Reply {
    pub(crate) text: Arc<str>,
    pub(crate) permit: Permit,
}

impl Reply {
    pub(super) fn new(text: &Arc<str>) -> Self {
        Self { text: Arc::clone(text), permit: Permit::new() }
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
