//! The rules that a policy may hold.

use crate::{Action, Directions};

/// What is asked of the upgrade (`handshake`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeRules {
    /// Exact origins, scheme, host and port; `None`: any, or none.
    pub origins: Option<Vec<String>>,
    /// Subprotocols that may be offered on; `None`: any.
    pub subprotocols: Option<Vec<String>>,
    pub compression: Compression,
    /// Behind a Sentinel proxy, which inspects nothing where compression is offered: let such an upgrade through all the same.
    pub compression_uninspected: bool,
    /// From the first byte of the request to the 101, upstream included.
    pub timeout_ms: u64,
}

impl HandshakeRules {
    pub const TIMEOUT_MS_DEFAULT: u64 = 5_000;
}

impl Default for HandshakeRules {
    fn default() -> Self {
        Self {
            origins: None,
            subprotocols: None,
            compression: Compression::default(),
            compression_uninspected: false,
            timeout_ms: Self::TIMEOUT_MS_DEFAULT,
        }
    }
}

/// What becomes of an offer of permessage-deflate (RFC 7692).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// It is accepted on each leg apart, and messages are inspected inflated.
    Inspect,
    /// The offer is not passed on, so both legs speak plain frames.
    #[default]
    Strip,
    /// An upgrade that offers it is answered with 400.
    Refuse,
}

/// Payload rules (`content-filter`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentFilter {
    /// Stable name in records and metrics, as `content-filter-1`.
    pub name: String,
    pub patterns: Vec<Pattern>,
    /// Names of built-in rule sets, as `xss`.
    pub rule_sets: Vec<String>,
    pub directions: Directions,
    pub normalize: Normalize,
    pub action: Action,
    /// What takes the place of a match, under [`Action::Redact`]; `None`: a `*` for each character.
    pub redact_with: Option<String>,
    /// A text message for the sender of each message that the rule drops.
    pub reply: Option<String>,
    /// Larger messages are closed with 1009, whatever `action` says.
    pub message_size_max: Option<u64>,
}

/// What is undone before matching; the raw bytes are matched in any case (`normalize`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normalize {
    /// Escapes of JSON strings, `\u003c`.
    pub json: bool,
    /// Percent-encoding, `%3c`.
    pub percent: bool,
    /// Character references of HTML, `&lt;`.
    pub html: bool,
    /// Compatibility forms, invisible characters, and look-alikes of ASCII letters.
    pub unicode: bool,
    /// Text in base64.
    pub base64: bool,
}

impl Normalize {
    pub const NONE: Self = Self { json: false, percent: false, html: false, unicode: false, base64: false };
}

impl Default for Normalize {
    fn default() -> Self {
        Self { json: true, percent: true, html: true, unicode: true, base64: false }
    }
}

/// One block pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `/expression/flags`: flags of `i` (caseless), `m` (multi-line), `s` (dot matches newline), `u` (Unicode classes).
    Regex { expression: String, flags: String },
    /// Bytes that must not occur.
    Literal(String),
}
