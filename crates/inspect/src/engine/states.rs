//! Rules with a memory, compiled.

use std::collections::HashMap;

use wsi_policy::{
    Action, Compare, Direction, Discriminator, Duplicate, Order, Sequence, StateCheck, StateRule,
    UnknownTypes,
};
use wsi_schema::json;

use super::format::{Format, Place, Readings};
use crate::rules::RuleId;

/// A rule with a memory, shared by the directions and by all connections.
#[derive(Debug)]
pub(crate) struct StatePlan {
    /// As it was configured: what is remembered under one plan goes on under another that says the same.
    pub config: StateRule,
    pub rule: RuleId,
    /// `None`: nothing is asked of a message but its bytes.
    pub format: Option<Format>,
    pub key: Option<Place>,
    pub check: Check,
}

#[derive(Debug)]
pub(crate) enum Check {
    Sequence { field: Place, step: Option<i128>, on_gap: Action, on_repeat: Action },
    Order(OrderTable),
    Duplicate { field: Option<Place>, compare: Compare, within_ns: u64, repeats_max: u32, action: Action },
}

/// Which type of message may come in which state, and which state follows.
#[derive(Debug)]
pub(crate) struct OrderTable {
    pub place: Place,
    pub action: Action,
    pub unknown_types: UnknownTypes,
    types: HashMap<Box<str>, usize>,
    /// By state, type and direction.
    next: Vec<Option<u16>>,
}

/// Where a rule that can't be compiled is configured, and what is wrong with it.
type Fault = (String, json::SchemaError);

impl StatePlan {
    /// # Errors
    /// A place is nowhere in its format.
    pub fn compile(config: &StateRule, rule: RuleId, readings: &mut Readings) -> Result<Self, Fault> {
        let (name, key) = (&config.name, config.key.as_ref());
        let format = config.asks_for_fields().then(|| readings.format(&config.reading.format)).transpose();
        let format = format.map_err(|source| (name.clone(), source))?;
        let place = |own: &str, discriminator: &Discriminator| {
            let format = format.as_ref().unwrap_or(&Format::Json);
            Place::of(discriminator, format).map_err(|source| (format!("{name}/{own}"), source))
        };
        let field = |own: &str, field: &String| place(own, &Discriminator::Field(field.clone()));
        let check = match &config.check {
            StateCheck::Sequence(Sequence { field: at, step, on_gap, on_repeat }) => Check::Sequence {
                field: field("field", at)?,
                step: step.map(i128::from),
                on_gap: *on_gap,
                on_repeat: *on_repeat,
            },
            StateCheck::Order(order) => {
                Check::Order(OrderTable::new(order, place("discriminator", &order.discriminator)?))
            }
            StateCheck::Duplicate(Duplicate { field: at, compare, within_ms, repeats_max, action }) => {
                Check::Duplicate {
                    field: at.as_ref().map(|at| field("field", at)).transpose()?,
                    compare: *compare,
                    within_ns: within_ms.saturating_mul(1_000_000),
                    repeats_max: *repeats_max,
                    action: *action,
                }
            }
        };
        let key = key.map(|key| field("key", key)).transpose()?;
        Ok(Self { config: config.clone(), rule, key, check, format })
    }

    /// Whether messages in `direction` matter to it.
    pub fn holds_in(&self, direction: Direction) -> bool {
        // A message may lead to another state though nothing is asked of it.
        matches!(self.check, Check::Order(_)) || self.config.directions.contains(direction)
    }
}

impl OrderTable {
    fn new(order: &Order, place: Place) -> Self {
        let mut types: HashMap<Box<str>, usize> = HashMap::new();
        for transition in order.states.iter().flat_map(|state| &state.transitions) {
            let number = types.len();
            types.entry(transition.kind.as_str().into()).or_insert(number);
        }
        let mut table = Self {
            place,
            action: order.action,
            unknown_types: order.unknown_types,
            next: vec![None; order.states.len() * types.len() * 2],
            types,
        };
        for (state, transition) in (0..)
            .zip(&order.states)
            .flat_map(|(at, state)| state.transitions.iter().map(move |each| (at, each)))
        {
            for direction in Direction::BOTH.into_iter().filter(|each| transition.directions.contains(*each))
            {
                let at = table.types.get(&*transition.kind).map(|kind| table.at(state, *kind, direction));
                if let Some(slot) = at.and_then(|at| table.next.get_mut(at)) {
                    *slot = u16::try_from(transition.to).ok();
                }
            }
        }
        table
    }

    /// The type called `name`, and what it is called in the configuration.
    pub fn kind(&self, name: &str) -> Option<(&str, usize)> {
        self.types.get_key_value(name).map(|(name, kind)| (&**name, *kind))
    }

    /// The state that follows `state`; `None`: a message of that type may not come then.
    pub fn next(&self, state: u16, kind: usize, direction: Direction) -> Option<u16> {
        self.next.get(self.at(state.into(), kind, direction)).copied().flatten()
    }

    fn at(&self, state: usize, kind: usize, direction: Direction) -> usize {
        (state * self.types.len() + kind) * 2 + direction.index()
    }
}
