//! What a policy says about one message, control frame or upgrade.

use std::fmt;

use wsi_config::policy::{Action, Mode};
use wsi_inspect::Outcome;

#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Passed,
    Told(Told),
    /// It came after the connection was closed, or refused.
    NotRelayed,
    /// Its end is not in the capture, and its beginning broke no rule.
    Unfinished,
}

/// A verdict that a record would be written of.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub rule: String,
    pub outcome: Outcome,
    /// `Detect`: it would have been done, and is not.
    pub mode: Mode,
    /// Without payload.
    pub detail: String,
    /// Further rules that the message breaks, where all are told.
    pub also: Vec<String>,
}

impl Verdict {
    /// Whether two policies do the same for the same reason.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Told(own), Self::Told(other)) => {
                (&own.rule, own.outcome, own.mode) == (&other.rule, other.outcome, other.mode)
            }
            (own, other) => std::mem::discriminant(own) == std::mem::discriminant(other),
        }
    }

    /// As records name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Passed => "pass",
            Self::NotRelayed => "not-relayed",
            Self::Unfinished => "unfinished",
            Self::Told(told) => told.name(),
        }
    }
}

impl Told {
    pub fn name(&self) -> &'static str {
        match self.outcome {
            Outcome::Message(Action::Alert) => "alert",
            Outcome::Message(Action::Redact) => "redact",
            Outcome::Message(Action::Drop) => "drop",
            Outcome::Message(Action::Close(_)) => "close",
            Outcome::PassedUninspected => "pass-uninspected",
            Outcome::Refused(_) => "refuse",
        }
    }

    /// The close code or the HTTP status, if there is one.
    pub fn code(&self) -> Option<u16> {
        match self.outcome {
            Outcome::Message(Action::Close(code)) => Some(code.as_u16()),
            Outcome::Refused(status) => Some(status),
            Outcome::Message(Action::Alert | Action::Redact | Action::Drop) | Outcome::PassedUninspected => {
                None
            }
        }
    }

    pub fn could_not_inspect(&self) -> bool {
        self.rule.starts_with("could-not-inspect/")
    }

    pub fn deed(&self) -> Deed {
        Deed { name: self.name(), code: self.code(), mode_name: mode_name(self.mode) }
    }
}

/// What was told of one message or control frame so far.
#[derive(Default)]
pub(super) struct Judged {
    told: Option<Told>,
    passed: bool,
    /// Bytes, after inflating.
    size: Option<u64>,
}

impl Judged {
    pub fn hear(&mut self, passed: bool, size: Option<u64>) {
        self.passed |= passed;
        self.size = size.or(self.size);
    }

    pub fn tell(&mut self, told: Told) {
        match &mut self.told {
            Some(first) => first.also.extend(std::iter::once(told.rule).chain(told.also)),
            None => self.told = Some(told),
        }
    }

    pub fn size(&self) -> Option<u64> {
        self.size
    }

    pub fn verdict(self, is_whole: bool) -> Verdict {
        match self.told {
            Some(told) => Verdict::Told(told),
            None if self.passed => Verdict::Passed,
            None if is_whole => Verdict::NotRelayed,
            None => Verdict::Unfinished,
        }
    }
}

/// What is done, whatever the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deed {
    pub name: &'static str,
    pub code: Option<u16>,
    pub mode_name: &'static str,
}

/// As `close 1008`.
impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(code) = self.code {
            write!(f, " {code}")?;
        }
        if self.mode_name == mode_name(Mode::Detect) { f.write_str(" (detect)") } else { Ok(()) }
    }
}

const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Detect => "detect",
    }
}
