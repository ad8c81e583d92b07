//! How much may come, and how fast.

use wsi_ws::CloseCode;

use crate::{Action, Directions, Discriminator, Reading};

/// Token buckets (`rate-limit`); at least one rate is set, here or for a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Stable name in records and metrics, as `rate-limit-1`.
    pub name: String,
    pub rates: Rates,
    pub per: Per,
    pub cost: Cost,
    /// What is said of messages by their type.
    pub types: Option<TypeRates>,
    pub directions: Directions,
    pub action: Action,
    /// What the sender of a message that this drops is told.
    pub reply: Option<String>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            name: "rate-limit-1".to_owned(),
            rates: Rates::default(),
            per: Per::Connection,
            cost: Cost::Message,
            types: None,
            directions: Directions::ToServer,
            action: Action::Close(CloseCode::POLICY_VIOLATION),
            reply: None,
        }
    }
}

/// A token bucket: `per_second` tokens flow in, at most `burst` are kept; both at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub per_second: u64,
    pub burst: u64,
}

/// What is counted, each in a bucket of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Tokens, of which a message takes what it costs.
    pub messages: Option<Rate>,
    /// Bytes of payload, inflated.
    pub bytes: Option<Rate>,
    /// Bytes of payload of messages that came compressed, inflated.
    pub inflated_bytes: Option<Rate>,
}

/// Who has a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    Connection,
    /// A client's address, whatever its connections: an IPv4 address, or 64 bits of an IPv6 address.
    Client {
        /// As many of them as are kept apart.
        clients_max: u64,
    },
    /// The type of a message, on each connection.
    MessageType {
        /// Types that [`TypeRates`] does not name and that get buckets of their own, on each connection; the others share one.
        types_max: u32,
    },
}

impl Per {
    pub const CLIENTS_MAX_DEFAULT: u64 = 65_536;
    pub const TYPES_MAX_DEFAULT: u32 = 64;
}

/// What a message costs, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// One.
    Message,
    /// One for each that many bytes that have begun, and at least one.
    Size(u64),
}

impl Cost {
    pub const SIZE_DEFAULT: u64 = 1024;
}

/// Rates and costs by the type of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeRates {
    pub reading: Reading,
    pub discriminator: Discriminator,
    pub types: Vec<TypeRate>,
}

/// What holds for messages of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeRate {
    /// What the discriminator says.
    pub name: String,
    /// How many times as much as another message of its size it costs.
    pub cost: u64,
    /// In place of those of the rule; only where each type has a bucket.
    pub rates: Rates,
}

/// How many messages of an endpoint may be dropped or alerted on (`violations`): one more within the time closes with 1008.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violations {
    pub max: u32,
    pub within_s: u64,
    pub directions: Directions,
}
