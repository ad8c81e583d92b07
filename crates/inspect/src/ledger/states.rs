//! What a rule with a memory remembers of a connection.

use super::recall::Recall;
use crate::engine::{Check, StatePlan};

#[derive(Debug)]
pub(crate) struct StateMemory {
    values: Values,
    /// What will be remembered if the message that is being judged passes.
    due: Option<(u64, Value)>,
}

#[derive(Debug)]
enum Values {
    Sequence(Recall<i128>),
    Order(Recall<u16>),
    Duplicate(Recall<Sent>),
}

/// What is remembered under one key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    /// The last number.
    Number(i128),
    /// The state that the messages so far led to.
    State(u16),
    Sent(Sent),
}

/// A text that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub at_ns: u64,
    /// How often again since then.
    pub repeats: u32,
}

impl StateMemory {
    pub fn new(plan: &StatePlan) -> Self {
        let keys_max = plan.config.keys_max as usize;
        let values = match plan.check {
            Check::Sequence { .. } => Values::Sequence(Recall::new(keys_max)),
            Check::Order(_) => Values::Order(Recall::new(keys_max)),
            Check::Duplicate { .. } => Values::Duplicate(Recall::new(keys_max)),
        };
        Self { values, due: None }
    }

    /// The last number under `key`.
    pub fn number(&self, key: u64) -> Option<i128> {
        if let Values::Sequence(numbers) = &self.values { numbers.get(key) } else { None }
    }

    /// The state under `key`: the first one if nothing is remembered.
    pub fn state(&self, key: u64) -> u16 {
        if let Values::Order(states) = &self.values { states.get(key).unwrap_or(0) } else { 0 }
    }

    /// When a text was sent.
    pub fn sent(&self, key: u64) -> Option<Sent> {
        if let Values::Duplicate(texts) = &self.values { texts.get(key) } else { None }
    }

    /// What is to be remembered if the message passes.
    pub fn expect(&mut self, due: Option<(u64, Value)>) {
        self.due = due;
    }

    /// The message has passed, or not.
    pub fn settle(&mut self, has_passed: bool) {
        let Some((key, value)) = self.due.take().filter(|_| has_passed) else { return };
        match (&mut self.values, value) {
            (Values::Sequence(numbers), Value::Number(number)) => numbers.put(key, number),
            (Values::Order(states), Value::State(state)) => states.put(key, state),
            (Values::Duplicate(texts), Value::Sent(sent)) => texts.put(key, sent),
            _ => {}
        }
    }

    /// Bytes.
    pub fn memory_size(&self) -> u64 {
        match &self.values {
            Values::Sequence(numbers) => numbers.memory_size(),
            Values::Order(states) => states.memory_size(),
            Values::Duplicate(texts) => texts.memory_size(),
        }
    }

    /// Bytes.
    pub fn memory_size_max(plan: &StatePlan) -> u64 {
        let keys_max = plan.config.keys_max.into();
        match plan.check {
            Check::Sequence { .. } => Recall::<i128>::memory_size_max(keys_max),
            Check::Order(_) => Recall::<u16>::memory_size_max(keys_max),
            Check::Duplicate { .. } => Recall::<Sent>::memory_size_max(keys_max),
        }
    }
}
