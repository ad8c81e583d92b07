//! What a message must be, given the messages before it on its connection.

use crate::{Action, Directions, Discriminator, Reading, UnknownTypes};

/// A rule with a memory (`sequence`, `order`, `duplicate`): something of each message is held against what is remembered under the
/// same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRule {
    /// Stable name in records and metrics, as `sequence-1`.
    pub name: String,
    pub reading: Reading,
    /// A JSON Pointer to what tells streams of messages apart; `None`: there is one.
    pub key: Option<String>,
    /// So much is remembered on a connection; what was not used longest is forgotten.
    pub keys_max: u32,
    pub directions: Directions,
    pub check: StateCheck,
}

impl StateRule {
    pub const KEYS_MAX_DEFAULT: u32 = 1_024;

    /// Whether it looks at fields of a message, and not only at its bytes.
    pub fn asks_for_fields(&self) -> bool {
        let asks = !matches!(&self.check, StateCheck::Duplicate(Duplicate { field: None, .. }));
        asks || self.key.is_some()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateCheck {
    Sequence(Sequence),
    Order(Order),
    Duplicate(Duplicate),
}

impl StateCheck {
    /// What it asks for, as it was configured.
    pub fn place(&self) -> &str {
        match self {
            Self::Sequence(sequence) => &sequence.field,
            Self::Order(order) => order.discriminator.name(),
            Self::Duplicate(duplicate) => duplicate.field.as_deref().unwrap_or_default(),
        }
    }

    /// The name of a state of an [`Order`].
    pub fn state_name(&self, state: usize) -> &str {
        match self {
            Self::Order(order) => order.states.get(state).map_or("", |state| &state.name),
            Self::Sequence(_) | Self::Duplicate(_) => "",
        }
    }
}

/// Numbers that grow, in each direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// A JSON Pointer to the number.
    pub field: String,
    /// By how much; `None`: by any number.
    pub step: Option<u64>,
    /// More than the step.
    pub on_gap: Action,
    /// Less than the step.
    pub on_repeat: Action,
}

/// Types of messages that follow each other, of both directions together. The first state is the one of the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub discriminator: Discriminator,
    pub states: Vec<State>,
    /// Types that no state names.
    pub unknown_types: UnknownTypes,
    pub action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub name: String,
    pub transitions: Vec<Transition>,
}

/// What may come in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The type of the message.
    pub kind: String,
    pub directions: Directions,
    /// A place in [`Order::states`].
    pub to: usize,
}

/// Texts that are sent over and over, in each direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// A JSON Pointer to the text; `None`: the whole payload.
    pub field: Option<String>,
    pub compare: Compare,
    pub within_ms: u64,
    /// As often may one be repeated.
    pub repeats_max: u32,
    pub action: Action,
}

/// Which texts are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// Those with the same bytes.
    #[default]
    Exact,
    /// Those with the same letters: without case, look-alikes of ASCII as what they look like, repeated ones once.
    Similar,
}

impl Duplicate {
    pub const WINDOW_DEFAULT: u32 = 10;
    pub const WITHIN_MS_DEFAULT: u64 = 10_000;
}
