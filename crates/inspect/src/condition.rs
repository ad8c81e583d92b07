//! "Could not inspect" is a verdict of its own: each abnormal condition has a name, a counter and a consequence,
//! which the policy's `failure-mode` chooses.

/// Why a message could not be inspected to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `timeout-ms` ran out between two stages.
    OverBudget,
    /// It is encoded more times over than `max-normalize-depth`, or its decoded forms are too large.
    OverDepth,
    /// There is no working memory to match patterns with.
    ScratchExhausted,
    /// A binary message whose texts the patterns want can't be decoded, and its validation lets it pass all the same.
    Undecodable,
}

impl Condition {
    pub const ALL: [Self; 4] = [Self::OverBudget, Self::OverDepth, Self::ScratchExhausted, Self::Undecodable];

    pub const fn name(self) -> &'static str {
        match self {
            Self::OverBudget => "over-budget",
            Self::OverDepth => "over-depth",
            Self::ScratchExhausted => "scratch-exhausted",
            Self::Undecodable => "undecodable",
        }
    }
}
