//! Policy as data: what is asked of a connection and its messages. How it is enforced is nowhere in this crate.
//!
//! A [`Ruleset`] is immutable: routes choose a [`Policy`], a policy lists limits and rules, and a rule says what
//! happens to a message that breaks it.

pub mod action;
pub mod direction;
pub mod events;
pub mod limits;
pub mod rate;
pub mod rewrite;
pub mod rule;
pub mod ruleset;
pub mod state;
pub mod validation;

pub use action::{Action, FailureMode, Mode};
pub use direction::{Direction, Directions};
pub use events::{EventKind, EventSet};
pub use limits::Limits;
pub use rate::{Cost, Per, Rate, RateLimit, Rates, TypeRate, TypeRates, Violations};
pub use rewrite::{Change, HashKey, Literal, Rewrite, RewriteFormat};
pub use rule::{Compression, ContentFilter, HandshakeRules, Normalize, Pattern};
pub use ruleset::{Policy, PolicyId, Route, Ruleset, Transport, UpstreamId};
pub use state::{Compare, Duplicate, Order, Sequence, State, StateCheck, StateRule, Transition};
pub use validation::{
    Discriminator, MessageFormat, MessageTypes, ProtobufType, Reading, Registry, SchemaType, TypeSchema,
    UnknownFields, UnknownTypes, Validation,
};
/// Part of an [`Action`].
pub use wsi_ws::CloseCode;
