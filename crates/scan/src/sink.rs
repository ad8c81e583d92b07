//! Who hears of matches.

use crate::PatternId;

/// Whether the scan goes on after a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// The scan ends here, successfully; nothing more is reported.
    Stop,
}

/// Hears of each match of a scan. Closures of the same shape are sinks.
pub trait MatchSink {
    /// `end` is the offset in bytes just behind the match; where a match starts is not known (see
    /// [`Database::scan`](crate::Database::scan)).
    fn on_match(&mut self, id: PatternId, end: usize) -> Flow;
}

impl<F: FnMut(PatternId, usize) -> Flow> MatchSink for F {
    fn on_match(&mut self, id: PatternId, end: usize) -> Flow {
        self(id, end)
    }
}
