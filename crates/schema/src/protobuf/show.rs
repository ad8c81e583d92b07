use std::{collections::HashMap, ops::Range};

use super::{
    Fault, MessageType,
    merge::{Content, Occurrence, arrange, collect, is_left_out},
    types::{Cardinality, Field, Kind, Message, MessageIndex},
    wire::Reader,
};
use crate::{
    json::number::Number,
    tree::{Builder, Tree, Value},
};

/// How many values, names among them, a message may unfold to: a sub-message of two bytes has all the defaults of its type.
/// A message of more bytes may have as many times more.
const VALUES_MAX: usize = 1 << 20;
const VALUES_PER_BYTE_MAX: usize = 4;

/// The number of the key and of the value in an entry of a map.
const KEY: u32 = 1;
const VALUE: u32 = 2;

/// A message as its receiver will read it. It must have been verified.
pub(super) fn show<'a>(types: &'a MessageType, bytes: &'a [u8]) -> Result<Tree<'a>, Fault> {
    let values_max = VALUES_MAX.max(bytes.len().saturating_mul(VALUES_PER_BYTE_MAX));
    let builder = Builder::for_message_of(bytes.len());
    let mut viewer = Viewer { types, builder, values_max, occurrences: Vec::new() };
    let body = Occurrence { place: 0, content: Content::Body(Reader::new(bytes)) };
    viewer.occurrences.push(body);
    viewer.message(0..1, MessageIndex(0))?;
    Ok(viewer.builder.finish())
}

struct Viewer<'a> {
    types: &'a MessageType,
    builder: Builder<'a>,
    values_max: usize,
    /// A stack: the fields of the message that is looked at, upon those of the messages around it.
    occurrences: Vec<Occurrence<'a>>,
}

impl<'a> Viewer<'a> {
    /// The message that the bodies at `bodies` make together. It recurses once per level.
    fn message(&mut self, bodies: Range<usize>, index: MessageIndex) -> Result<(), Fault> {
        if self.builder.len() > self.values_max {
            return Err(Fault::TooManyValues);
        }
        let Some(message) = self.types.message(index) else { return Ok(()) };
        let (fields, _) = self.gather(bodies, message)?;
        let open = self.builder.open();
        let (mut count, mut from) = (0, fields.start);
        for (place, field) in message.fields.iter().enumerate() {
            let sent = self.occurrences.get(from..fields.end).unwrap_or_default();
            let to = from + sent.iter().take_while(|it| it.place == place).count();
            count += u32::from(self.field(field, from..to)?);
            from = to;
        }
        self.builder.close_object(open, count);
        self.occurrences.truncate(fields.start);
        Ok(())
    }

    /// Puts the fields of the bodies on the stack, arranged. `true` beside them: a value was left out.
    fn gather(&mut self, bodies: Range<usize>, message: &'a Message) -> Result<(Range<usize>, bool), Fault> {
        let start = self.occurrences.len();
        let mut left_out = false;
        for at in bodies {
            if let Some(Occurrence { content: Content::Body(body), .. }) = self.occurrences.get(at).copied() {
                left_out |= collect(self.types, message, body, &mut self.occurrences)?;
            }
        }
        arrange(message, self.occurrences.get_mut(start..).unwrap_or_default());
        Ok((start..self.occurrences.len(), left_out))
    }

    /// A field with its name. `false`: it is not there.
    fn field(&mut self, field: &'a Field, sent: Range<usize>) -> Result<bool, Fault> {
        if sent.is_empty() && field.cardinality == Cardinality::Required {
            return Err(Fault::MissingRequired { number: field.number });
        }
        if sent.is_empty() && field.cardinality == Cardinality::Optional {
            return Ok(false);
        }
        self.builder.push(Value::Text(&field.name));
        match field.cardinality {
            Cardinality::Repeated => self.list(field, sent)?,
            Cardinality::Map => self.map(field, sent)?,
            _ => self.singular(field.kind, sent)?,
        }
        Ok(true)
    }

    /// A sub-message merged, or the last of the values, or a default.
    fn singular(&mut self, kind: Kind, sent: Range<usize>) -> Result<(), Fault> {
        match kind {
            Kind::Message(index) | Kind::Group(index) => self.message(sent, index),
            kind => {
                let last = sent.last().and_then(|at| self.occurrences.get(at));
                let value = match last.map(|it| it.content) {
                    Some(Content::Value(value)) => value,
                    _ => self.types.default_of(kind),
                };
                self.builder.push(value);
                Ok(())
            }
        }
    }

    fn list(&mut self, field: &'a Field, sent: Range<usize>) -> Result<(), Fault> {
        let open = self.builder.open();
        let mut count = 0;
        for at in sent {
            match (self.occurrences.get(at).map(|it| it.content), field.kind) {
                (Some(Content::Packed(packed)), kind) => count += self.packed(packed, kind)?,
                (_, kind) => {
                    self.singular(kind, at..at + 1)?;
                    count += 1;
                }
            }
        }
        self.builder.close_array(open, count);
        Ok(())
    }

    fn packed(&mut self, mut packed: Reader<'a>, kind: Kind) -> Result<u32, Fault> {
        let Kind::Scalar(scalar) = kind else { return Ok(0) };
        let mut count = 0;
        while !packed.is_empty() {
            let offset = packed.offset();
            let number = scalar.read(&mut packed, offset)?;
            if !is_left_out(self.types, scalar, number) {
                self.builder.push(self.types.show(scalar, number));
                count += 1;
            }
        }
        Ok(count)
    }

    fn map(&mut self, field: &'a Field, entries: Range<usize>) -> Result<(), Fault> {
        let Kind::Message(index) = field.kind else { return Ok(()) };
        let Some(entry) = self.types.message(index) else { return Ok(()) };
        let last = self.last_by_key(entry, entries.clone())?;
        let open = self.builder.open();
        let mut count = 0;
        for at in entries {
            let (fields, left_out) = self.gather(at..at + 1, entry)?;
            let key = self.key(entry, fields.clone());
            if !left_out && last.as_ref().is_none_or(|last| last.get(&key) == Some(&at)) {
                self.builder.push(key.into());
                self.entry_value(entry, fields.clone())?;
                count += 1;
            }
            self.occurrences.truncate(fields.start);
        }
        self.builder.close_object(open, count);
        Ok(())
    }

    /// Which entry of each key counts. `None`: there are not two.
    fn last_by_key(
        &mut self,
        entry: &'a Message,
        entries: Range<usize>,
    ) -> Result<Option<HashMap<Key<'a>, usize>>, Fault> {
        if entries.len() < 2 {
            return Ok(None);
        }
        let mut last = HashMap::with_capacity(entries.len());
        for at in entries {
            let (fields, left_out) = self.gather(at..at + 1, entry)?;
            if !left_out {
                last.insert(self.key(entry, fields.clone()), at);
            }
            self.occurrences.truncate(fields.start);
        }
        Ok(Some(last))
    }

    fn key(&self, entry: &Message, fields: Range<usize>) -> Key<'a> {
        let (_, sent) = self.member(entry, fields, KEY);
        match sent.last().and_then(|at| self.occurrences.get(at)).map(|it| it.content) {
            Some(Content::Value(value)) => Key::of(value),
            _ => {
                Key::of(entry.field(KEY).map_or(Value::Null, |(_, field)| self.types.default_of(field.kind)))
            }
        }
    }

    fn entry_value(&mut self, entry: &'a Message, fields: Range<usize>) -> Result<(), Fault> {
        let (field, sent) = self.member(entry, fields, VALUE);
        match field {
            Some(field) => self.singular(field.kind, sent),
            None => Ok(()),
        }
    }

    /// The key or value of an entry, and where it was sent.
    fn member<'m>(
        &self,
        entry: &'m Message,
        fields: Range<usize>,
        number: u32,
    ) -> (Option<&'m Field>, Range<usize>) {
        let Some((place, field)) = entry.field(number) else { return (None, 0..0) };
        let sent = self.occurrences.get(fields.clone()).unwrap_or_default();
        let from = fields.start + sent.iter().take_while(|it| it.place < place).count();
        let to =
            from + sent.iter().skip_while(|it| it.place < place).take_while(|it| it.place == place).count();
        (Some(field), from..to)
    }
}

/// The key of an entry: a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key<'a> {
    Text(&'a str),
    Unsigned(u64),
    Signed(i64),
}

impl<'a> Key<'a> {
    fn of(value: Value<'a>) -> Self {
        match value {
            Value::Text(text) => Self::Text(text),
            Value::Number(Number::Unsigned(number)) => Self::Unsigned(number),
            Value::Number(Number::Signed(number)) => Self::Signed(number),
            Value::Boolean(true) => Self::Text("true"),
            Value::Boolean(false) => Self::Text("false"),
            _ => Self::Text(""),
        }
    }
}

impl<'a> From<Key<'a>> for Value<'a> {
    fn from(key: Key<'a>) -> Self {
        match key {
            Key::Text(text) => Self::Text(text),
            Key::Unsigned(number) => Self::unsigned(number),
            Key::Signed(number) => Self::signed(number),
        }
    }
}
