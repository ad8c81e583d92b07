//! What happens to a message that breaks a rule.

use wsi_ws::CloseCode;

/// The consequence of a broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Recorded and counted; the message passes.
    Alert,
    /// What breaks the rule is replaced, and the rest of the message passes; where that can't be done, it is discarded.
    Redact,
    /// The message is discarded; the connection goes on.
    Drop,
    /// Both legs are closed.
    Close(CloseCode),
}

/// Whether verdicts are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Enforce,
    /// Every verdict is recorded and counted, none is carried out.
    Detect,
}

/// What happens to a message that could not be inspected to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailureMode {
    /// It passes uninspected, with a record and a counter.
    Open,
    /// The connection is closed with 1011.
    #[default]
    Closed,
}
