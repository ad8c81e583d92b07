//! Policy as data: what is asked of a connection and its messages. How it is enforced is nowhere in this crate.
//!
//! A [`Ruleset`] is immutable: routes choose a [`Policy`], a policy lists limits and rules, and a rule says what
//! happens to a message that breaks it.

pub mod action;
pub mod direction;
pub mod events;
pub mod limits;
pub mod rule;
pub mod ruleset;

pub use action::{Action, FailureMode, Mode};
pub use direction::{Direction, Directions};
pub use events::{EventKind, EventSet};
pub use limits::Limits;
pub use rule::{
    Compression, ContentFilter, HandshakeRules, MessageTypes, Normalize, Pattern, ProtobufType, Rate,
    RateLimit, SchemaType, UnknownFields, Validation,
};
pub use ruleset::{Policy, PolicyId, Route, Ruleset, Transport, UpstreamId};
/// Part of an [`Action`].
pub use wsi_ws::CloseCode;
