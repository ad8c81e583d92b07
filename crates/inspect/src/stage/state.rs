//! State: a message held against those before it on its connection. Only what passes is remembered.

use std::hash::{BuildHasher, Hash, Hasher};

use wsi_policy::{Action, Compare, UnknownTypes};
use wsi_scan::normalize::likeness;

use super::schema::Decoded;
use crate::{
    engine::{Check, Engine, OrderTable, Place, Plan, StatePlan},
    ledger::{Ledger, Sent, StateMemory, Value},
    pipeline::{Finding, Subject},
};

/// A message, and what was made of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged<'a> {
    pub engine: &'a Engine,
    pub subject: Subject<'a>,
    pub decoded: Option<&'a Decoded<'a>>,
    pub now_ns: u64,
}

/// What a rule says of a message: what it has against it, and what to remember if it passes all the same.
#[derive(Default)]
struct Opinion {
    fault: Option<(Action, String)>,
    due: Option<(u64, Value)>,
}

/// Asks the rules with a memory; `tell` is given what each has against the message, and says whether to go on.
///
/// # Errors
/// Those of `tell`.
pub(crate) fn check<E>(
    plan: &Plan,
    ledger: &mut Ledger,
    judged: Judged<'_>,
    mut tell: impl FnMut(Finding) -> Result<(), E>,
) -> Result<(), E> {
    for each in &plan.states {
        if !each.config.reading.messages.contains(judged.subject.opcode) {
            continue;
        }
        let Some(memory) = ledger.state(each) else { continue };
        let opinion = each.judge(memory, judged);
        memory.expect(opinion.due);
        if let Some((action, detail)) = opinion.fault {
            tell(Finding { rule: each.rule, action, at: None, detail })?;
        }
    }
    Ok(())
}

impl StatePlan {
    fn judge(&self, memory: &StateMemory, judged: Judged<'_>) -> Opinion {
        let facts = Facts { plan: self, judged };
        let is_judged = self.config.directions.contains(judged.subject.direction);
        if let Some(format) = &self.format
            && let Some(detail) = judged.decoded.and_then(|decoded| decoded.unreadable(format))
        {
            // Who reads it otherwise finds something in it that nobody here has seen.
            return Opinion { fault: is_judged.then(|| (self.action(), detail)), due: None };
        }
        match &self.check {
            Check::Sequence { field, step, on_gap, on_repeat } => {
                facts.judge_number(memory, field, *step, (*on_gap, *on_repeat))
            }
            Check::Order(order) => facts.judge_order(memory, order, is_judged),
            Check::Duplicate { field, compare, within_ns, repeats_max, action } => {
                let text = facts.text(field.as_ref(), *compare);
                facts.judge_text(memory, text, *within_ns, (*repeats_max, *action))
            }
        }
    }

    fn action(&self) -> Action {
        match &self.check {
            Check::Sequence { on_gap, .. } => *on_gap,
            Check::Order(order) => order.action,
            Check::Duplicate { action, .. } => *action,
        }
    }
}

#[derive(Clone, Copy)]
struct Facts<'a> {
    plan: &'a StatePlan,
    judged: Judged<'a>,
}

impl Facts<'_> {
    fn judge_number(
        &self,
        memory: &StateMemory,
        field: &Place,
        step: Option<i128>,
        (on_gap, on_repeat): (Action, Action),
    ) -> Opinion {
        let (Some(decoded), Some(format)) = (self.judged.decoded, &self.plan.format) else {
            return Opinion::default();
        };
        let number = match decoded.number(format, field) {
            None => return Opinion::default(),
            Some(None) => return Opinion::fault(on_gap, "is no whole number", self.place()),
            Some(Some(number)) => number,
        };
        let key = self.key(&self.judged.subject.direction);
        let Some(last) = memory.number(key) else { return Opinion::due(key, Value::Number(number)) };
        let grown = number.saturating_sub(last);
        let fault = match step {
            Some(step) if grown > step => Some((on_gap, "leaves a gap behind the number before it")),
            Some(step) if grown < step => Some((on_repeat, "is not beyond the number before it")),
            None if grown <= 0 => Some((on_repeat, "is not beyond the number before it")),
            _ => None,
        };
        let fault = fault.map(|(action, what)| (action, format!("\"{}\" {what}", self.place())));
        Opinion { fault, due: Some((key, Value::Number(number.max(last)))) }
    }

    fn judge_order(&self, memory: &StateMemory, order: &OrderTable, is_judged: bool) -> Opinion {
        let (Some(decoded), Some(format)) = (self.judged.decoded, &self.plan.format) else {
            return Opinion::default();
        };
        let kind = decoded.name(format, &order.place);
        let Some((name, kind)) = kind.as_deref().and_then(|name| order.kind(name)) else {
            let is_fault = is_judged && order.unknown_types == UnknownTypes::Reject;
            let what = "names no type that a state knows";
            return if is_fault {
                Opinion::fault(order.action, what, self.place())
            } else {
                Opinion::default()
            };
        };
        let key = self.key(&());
        let state = memory.state(key);
        match order.next(state, kind, self.judged.subject.direction) {
            Some(next) => Opinion::due(key, Value::State(next)),
            None if is_judged => {
                let state = self.state_name(state);
                let detail = format!("\"{name}\" may not come in the state \"{state}\"");
                Opinion { fault: Some((order.action, detail)), due: None }
            }
            None => Opinion::default(),
        }
    }

    fn judge_text(
        &self,
        memory: &StateMemory,
        text: Option<u64>,
        within_ns: u64,
        (repeats_max, action): (u32, Action),
    ) -> Opinion {
        let Judged { subject, now_ns, .. } = self.judged;
        let Some(text) = text else { return Opinion::default() };
        let key = self.key(&(subject.direction, text));
        let sent = memory.sent(key).filter(|sent| now_ns.saturating_sub(sent.at_ns) < within_ns);
        let Some(sent) = sent else {
            return Opinion::due(key, Value::Sent(Sent { at_ns: now_ns, repeats: 0 }));
        };
        let repeats = sent.repeats.saturating_add(1);
        let fault = (repeats > repeats_max).then(|| {
            let place = match self.place() {
                "" => "the message".to_owned(),
                place => format!("\"{place}\""),
            };
            (action, format!("{place} repeats what was sent within {} ms", within_ns / 1_000_000))
        });
        Opinion { fault, due: Some((key, Value::Sent(Sent { repeats, ..sent }))) }
    }

    /// What stands for the text that is compared, if the message has it.
    fn text(&self, field: Option<&Place>, compare: Compare) -> Option<u64> {
        let Judged { engine, subject, decoded, .. } = self.judged;
        let of_text = |text: &str| match compare {
            Compare::Exact => engine.hash(text),
            Compare::Similar => hash_of_letters(engine, text),
        };
        match (field, decoded, &self.plan.format) {
            (None, ..) => Some(
                std::str::from_utf8(subject.payload).map_or_else(|_| engine.hash(subject.payload), of_text),
            ),
            (Some(field), Some(decoded), Some(format)) => Some(of_text(&decoded.name(format, field)?)),
            (Some(_), ..) => None,
        }
    }

    /// What is remembered together: the value of the key, and `more`.
    fn key(&self, more: &impl Hash) -> u64 {
        let Judged { engine, decoded, .. } = self.judged;
        let name = match (&self.plan.key, decoded, &self.plan.format) {
            (Some(key), Some(decoded), Some(format)) => decoded.name(format, key),
            _ => None,
        };
        engine.hash((name, more))
    }

    /// Of the field in question, as it was configured.
    fn place(&self) -> &str {
        self.plan.config.check.place()
    }

    fn state_name(&self, state: u16) -> &str {
        self.plan.config.check.state_name(state.into())
    }
}

impl Opinion {
    fn due(key: u64, value: Value) -> Self {
        Self { fault: None, due: Some((key, value)) }
    }

    fn fault(action: Action, what: &str, place: &str) -> Self {
        Self { fault: Some((action, format!("\"{place}\" {what}"))), due: None }
    }
}

/// The same for texts with the same letters, whatever their case and script, how often each is repeated, and what stands between.
fn hash_of_letters(engine: &Engine, text: &str) -> u64 {
    let mut hasher = engine.hasher().build_hasher();
    let mut last = None;
    let text_alike = likeness(text);
    let letters = text_alike.chars().filter(|one| one.is_alphabetic()).flat_map(char::to_lowercase);
    for letter in letters {
        if last.replace(letter) != Some(letter) {
            hasher.write_u32(letter.into());
        }
    }
    // Only digits and signs: they are what was said.
    if last.is_some() { hasher.finish() } else { engine.hash(text) }
}
