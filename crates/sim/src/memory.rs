//! What the rules with a memory must make of messages, by the messages before them that passed: lists, and nothing of the product.

use wsi_policy::{
    Action, Compare, Direction, Duplicate, Order, Policy, Sequence, StateCheck, StateRule, UnknownTypes,
};

use crate::document::{Document, Value};

/// What is remembered of a connection, by rule.
#[derive(Debug)]
pub struct Memory<'a>(Vec<Rule<'a>>);

#[derive(Debug)]
struct Rule<'a> {
    config: &'a StateRule,
    /// What was used last comes last.
    notes: Vec<(Key, Note)>,
}

/// The stream; the direction, where each has its own; the text.
type Key = (Option<String>, Option<Direction>, Vec<u8>);

#[derive(Clone, Copy, Debug)]
enum Note {
    Number(i128),
    State(usize),
    Said { at_ns: u64, repeats: u32 },
}

/// A message as its receiver has it.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'m> {
    pub direction: Direction,
    pub opcode: wsi_ws::Opcode,
    pub payload: &'m [u8],
    pub document: Option<&'m Document>,
    pub now_ns: u64,
}

/// What a rule makes of a message.
#[derive(Debug)]
pub struct Opinion<'a> {
    pub rule: &'a str,
    /// It is broken.
    pub action: Option<Action>,
    /// What is remembered if the message passes.
    pub due: Option<Due>,
}

#[derive(Debug)]
pub struct Due {
    rule: usize,
    key: Key,
    note: Note,
}

impl<'a> Memory<'a> {
    pub fn new(policy: &'a Policy) -> Self {
        Self(policy.states.iter().map(|config| Rule { config, notes: Vec::new() }).collect())
    }

    /// What the rules say, in their order.
    pub fn opinions(&self, heard: Heard<'_>) -> Vec<Opinion<'a>> {
        let looks = |rule: &Rule<'_>| {
            let is_order = matches!(rule.config.check, StateCheck::Order(_));
            rule.config.reading.messages.contains(heard.opcode)
                && (is_order || rule.config.directions.contains(heard.direction))
        };
        let opinion = |(at, rule): (usize, &Rule<'a>)| {
            let (action, due) = rule.judge(heard);
            let due = due.map(|(key, note)| Due { rule: at, key, note });
            Opinion { rule: &rule.config.name, action, due }
        };
        self.0.iter().enumerate().filter(|(_, rule)| looks(rule)).map(opinion).collect()
    }

    /// The message has passed.
    pub fn remember(&mut self, Due { rule, key, note }: Due) {
        let Some(rule) = self.0.get_mut(rule) else { return };
        rule.notes.retain(|(own, _)| *own != key);
        rule.notes.push((key, note));
        if rule.notes.len() > rule.config.keys_max as usize {
            rule.notes.remove(0);
        }
    }
}

type Judgement = (Option<Action>, Option<(Key, Note)>);

impl Rule<'_> {
    fn judge(&self, heard: Heard<'_>) -> Judgement {
        match &self.config.check {
            StateCheck::Sequence(sequence) => self.number(sequence, heard),
            StateCheck::Order(order) => self.order(order, heard),
            StateCheck::Duplicate(duplicate) => self.duplicate(duplicate, heard),
        }
    }

    fn number(&self, sequence: &Sequence, heard: Heard<'_>) -> Judgement {
        let Some(document) = heard.document else { return (Some(sequence.on_gap), None) };
        let Some(field) = document.field("seq") else { return (None, None) };
        let number = match field {
            Value::Integer(number) => Some(i128::from(number)),
            Value::Text(text) | Value::Escaped(text) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = number else { return (Some(sequence.on_gap), None) };
        let key = self.key(heard, true, Vec::new());
        let Some(Note::Number(last)) = self.note(&key) else {
            return (None, Some((key, Note::Number(number))));
        };
        let next = last + i128::from(sequence.step.unwrap_or(1));
        let action = if number < next {
            Some(sequence.on_repeat)
        } else if number > next && sequence.step.is_some() {
            Some(sequence.on_gap)
        } else {
            None
        };
        (action, Some((key, Note::Number(number.max(last)))))
    }

    fn order(&self, order: &Order, heard: Heard<'_>) -> Judgement {
        let fault = self.config.directions.contains(heard.direction).then_some(order.action);
        let Some(document) = heard.document else { return (fault, None) };
        let name = document.field("type").and_then(|kind| kind.name());
        let transitions = order.states.iter().flat_map(|state| &state.transitions);
        let is_known = transitions.into_iter().any(|each| Some(&each.kind) == name.as_ref());
        if !is_known {
            return (fault.filter(|_| order.unknown_types == UnknownTypes::Reject), None);
        }
        let key = self.key(heard, false, Vec::new());
        let state = if let Some(Note::State(state)) = self.note(&key) { state } else { 0 };
        let mut next = order.states[state].transitions.iter();
        let next =
            next.find(|each| Some(&each.kind) == name.as_ref() && each.directions.contains(heard.direction));
        match next {
            Some(next) => (None, Some((key, Note::State(next.to)))),
            None => (fault, None),
        }
    }

    fn duplicate(&self, duplicate: &Duplicate, heard: Heard<'_>) -> Judgement {
        let reads = duplicate.field.is_some() || self.config.key.is_some();
        if reads && heard.document.is_none() {
            return (Some(duplicate.action), None);
        }
        let plain =
            |text: &str| if duplicate.compare == Compare::Similar { letters(text) } else { text.into() };
        let text = match &duplicate.field {
            None => std::str::from_utf8(heard.payload).map_or_else(|_| heard.payload.to_vec(), plain),
            Some(_) => match heard.document.and_then(|document| document.field("text")?.name()) {
                Some(text) => plain(&text),
                None => return (None, None),
            },
        };
        let key = self.key(heard, true, text);
        let within_ns = duplicate.within_ms * 1_000_000;
        let (action, note) = match self.note(&key) {
            Some(Note::Said { at_ns, repeats }) if heard.now_ns - at_ns < within_ns => {
                let repeats = repeats + 1;
                let is_fault = repeats > duplicate.repeats_max;
                (is_fault.then_some(duplicate.action), Note::Said { at_ns, repeats })
            }
            _ => (None, Note::Said { at_ns: heard.now_ns, repeats: 0 }),
        };
        (action, Some((key, note)))
    }

    fn key(&self, heard: Heard<'_>, by_direction: bool, text: Vec<u8>) -> Key {
        let stream = self.config.key.as_ref();
        let stream = stream.and_then(|_| heard.document?.field("stream")?.name());
        (stream, by_direction.then_some(heard.direction), text)
    }

    fn note(&self, key: &Key) -> Option<Note> {
        self.notes.iter().find(|(own, _)| own == key).map(|(_, note)| *note)
    }
}

/// What is left of a text of which only the letters are compared, none twice in a row. Of look-alikes it knows those that peers write.
fn letters(text: &str) -> Vec<u8> {
    let looks = |letter: char| match letter {
        '\u{435}' => 'e',
        '\u{ff21}'..='\u{ff3a}' => (letter as u32 - 0xff21 + u32::from(b'a')) as u8 as char,
        letter => letter,
    };
    let mut letters: Vec<char> =
        text.chars().map(looks).filter(|one| one.is_alphabetic()).flat_map(char::to_lowercase).collect();
    letters.dedup();
    let letters: String = letters.into_iter().collect();
    if letters.is_empty() { text.into() } else { letters.into() }
}
