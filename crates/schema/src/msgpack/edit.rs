//! Changes within a MessagePack message.

use std::ops::Range;

use super::{Fault, decode::decode};
use crate::{
    edit::{EVERY_ELEMENT, EditFault, Edits, Literal, Operation, Text},
    field::{Pointer, position},
    json::Limits,
};

/// The changes that make `operation` of every value at `at`; none where there is no such place. Names are those of the JSON that
/// schemas see.
///
/// # Errors
/// When `bytes` is no message that [`decode`] takes, or a value is of the wrong type.
pub fn edit(
    bytes: &[u8],
    at: &Pointer,
    operation: &Operation<'_>,
    limits: &Limits,
) -> Result<Edits, EditFault> {
    decode(bytes, limits, |_| {})?;
    let tokens: Vec<&str> = at.tokens().collect();
    let mut walk = Walk { bytes, operation, edits: Edits::default() };
    walk.value(0, &tokens)?;
    Ok(walk.edits.finish())
}

struct Walk<'a> {
    /// A message that was decoded: what is read of it is there.
    bytes: &'a [u8],
    operation: &'a Operation<'a>,
    edits: Edits,
}

/// How a value begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    kind: Kind,
    /// Its own bytes.
    size: usize,
    /// Bytes or values that follow it.
    count: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nil,
    Boolean,
    /// Whatever its type; what follows are its bytes.
    Number,
    Text,
    Bytes,
    Extension,
    Array,
    /// The count is that of names and values together.
    Map,
}

/// A member of a map, or an element of an array.
struct Child {
    /// With its name.
    whole: Range<usize>,
    value: usize,
}

impl Walk<'_> {
    /// It recurses once per token.
    fn value(&mut self, at: usize, tokens: &[&str]) -> Result<(), EditFault> {
        let [token, rest @ ..] = tokens else { return self.change(at) };
        let children = self.children(at, token)?;
        if rest.is_empty() && matches!(self.operation, Operation::Remove) {
            return self.remove(at, &children);
        }
        children.iter().try_for_each(|child| self.value(child.value, rest))
    }

    /// What `token` names in an array or map; nothing in any other value.
    fn children(&self, at: usize, token: &str) -> Result<Vec<Child>, EditFault> {
        let head = self.head(at)?;
        let (mut at, mut children) = (at + head.size, Vec::new());
        match head.kind {
            Kind::Map => {
                for _ in 0..head.count / 2 {
                    let (value, whole) = (self.end(at)?, at);
                    at = self.end(value)?;
                    if self.is_named(whole..value, token) {
                        children.push(Child { whole: whole..at, value });
                    }
                }
            }
            Kind::Array => {
                let wanted = position(token);
                for index in 0..head.count {
                    let value = at;
                    at = self.end(value)?;
                    if token == EVERY_ELEMENT || wanted == Some(index) {
                        children.push(Child { whole: value..at, value });
                    }
                }
            }
            _ => {}
        }
        Ok(children)
    }

    /// Takes children of the value at `at` away.
    fn remove(&mut self, at: usize, children: &[Child]) -> Result<(), EditFault> {
        if children.is_empty() {
            return Ok(());
        }
        let Head { kind, size, count } = self.head(at)?;
        let left = if kind == Kind::Map { count / 2 } else { count } - children.len();
        // As wide as it was: what reads the longer form reads it with a smaller number too.
        let with = match self.bytes[at] {
            marker @ 0x80..=0x9f => vec![marker & 0xf0 | left as u8],
            marker @ (0xdc | 0xde) => [&[marker][..], &(left as u16).to_be_bytes()].concat(),
            marker => [&[marker][..], &(left as u32).to_be_bytes()].concat(),
        };
        self.edits.replace(self.bytes, at..at + size, with);
        for child in children {
            self.edits.replace(self.bytes, child.whole.clone(), Vec::new());
        }
        Ok(())
    }

    fn change(&mut self, at: usize) -> Result<(), EditFault> {
        let (head, end) = (self.head(at)?, self.end(at)?);
        let content = &self.bytes[at + head.size..end];
        let with = match self.operation {
            // Not at a place of its own: there is nothing that it could be taken from.
            Operation::Remove => return Ok(()),
            Operation::Set(literal) => written(literal),
            Operation::Text(change) => match head.kind {
                Kind::Text => {
                    let changed = change(Text::Characters(String::from_utf8_lossy(content)));
                    if changed == content {
                        return Ok(());
                    }
                    text(&changed)
                }
                Kind::Bytes => {
                    let changed = change(Text::Bytes(content));
                    if changed == content {
                        return Ok(());
                    }
                    [&sized(&changed, [0xc4, 0xc5, 0xc6])[..], &changed].concat()
                }
                // It is as absent.
                Kind::Nil => return Ok(()),
                Kind::Boolean => return Err(EditFault::WrongType("a boolean")),
                Kind::Number => return Err(EditFault::WrongType("a number")),
                Kind::Extension => return Err(EditFault::WrongType("an ext")),
                Kind::Array => return Err(EditFault::WrongType("an array")),
                Kind::Map => return Err(EditFault::WrongType("a map")),
            },
        };
        self.edits.replace(self.bytes, at..end, with);
        Ok(())
    }

    /// A name is a str, or an integer that stands for its digits.
    fn is_named(&self, name: Range<usize>, token: &str) -> bool {
        let Ok(head) = self.head(name.start) else { return false };
        let content = &self.bytes[name.start + head.size..name.end];
        match head.kind {
            Kind::Text => content == token.as_bytes(),
            Kind::Number => {
                integer(self.bytes[name.start], content).is_some_and(|it| it.to_string() == token)
            }
            _ => false,
        }
    }

    /// Where the value at `at` ends, with all that is inside.
    fn end(&self, mut at: usize) -> Result<usize, EditFault> {
        let mut pending = 1_usize;
        while pending > 0 {
            let head = self.head(at)?;
            pending -= 1;
            at += head.size;
            match head.kind {
                Kind::Array | Kind::Map => pending += head.count,
                _ => at += head.count,
            }
        }
        Ok(at)
    }

    fn head(&self, at: usize) -> Result<Head, EditFault> {
        let cut = Fault::Truncated { offset: at };
        let marker = *self.bytes.get(at).ok_or(cut)?;
        // A size of 8, 16 or 32 bits behind the marker.
        let size = |log2: u8| -> Result<(usize, usize), Fault> {
            let width = 1 << log2;
            let digits = self.bytes.get(at + 1..at + 1 + width).ok_or(cut)?;
            Ok((1 + width, digits.iter().fold(0, |size, digit| size << 8 | usize::from(*digit))))
        };
        let short = |kind, count: u8| Head { kind, size: 1, count: count.into() };
        let long = |kind, (size, count): (usize, usize)| Head { kind, size, count };
        Ok(match marker {
            0x00..=0x7f | 0xe0..=0xff => short(Kind::Number, 0),
            0x80..=0x8f => short(Kind::Map, 2 * (marker & 0x0f)),
            0x90..=0x9f => short(Kind::Array, marker & 0x0f),
            0xa0..=0xbf => short(Kind::Text, marker & 0x1f),
            0xc0 | 0xc1 => short(Kind::Nil, 0),
            0xc2 | 0xc3 => short(Kind::Boolean, 0),
            0xc4..=0xc6 => long(Kind::Bytes, size(marker - 0xc4)?),
            0xc7..=0xc9 => {
                let (size, count) = size(marker - 0xc7)?;
                // The type of an ext is a byte of its own.
                Head { kind: Kind::Extension, size: size + 1, count }
            }
            0xca => short(Kind::Number, 4),
            0xcb => short(Kind::Number, 8),
            0xcc..=0xcf => short(Kind::Number, 1 << (marker - 0xcc)),
            0xd0..=0xd3 => short(Kind::Number, 1 << (marker - 0xd0)),
            0xd4..=0xd8 => Head { kind: Kind::Extension, size: 2, count: 1 << (marker - 0xd4) },
            0xd9..=0xdb => long(Kind::Text, size(marker - 0xd9)?),
            0xdc | 0xdd => long(Kind::Array, size(marker - 0xdc + 1)?),
            0xde | 0xdf => {
                let (size, count) = size(marker - 0xde + 1)?;
                Head { kind: Kind::Map, size, count: 2 * count }
            }
        })
    }
}

/// The integer that begins with `marker`, if it is one.
fn integer(marker: u8, content: &[u8]) -> Option<i128> {
    let unsigned = content.iter().fold(0_i128, |value, byte| value << 8 | i128::from(*byte));
    match marker {
        0x00..=0x7f => Some(marker.into()),
        0xe0..=0xff => Some(i8::from_be_bytes([marker]).into()),
        0xcc..=0xcf => Some(unsigned),
        0xd0..=0xd3 => {
            let is_negative = content.first().is_some_and(|byte| byte & 0x80 != 0);
            Some(if is_negative { unsigned - (1 << (8 * content.len())) } else { unsigned })
        }
        _ => None,
    }
}

/// In the shortest form.
fn written(literal: &Literal) -> Vec<u8> {
    match literal {
        Literal::Null => vec![0xc0],
        Literal::Boolean(boolean) => vec![0xc2 | u8::from(*boolean)],
        Literal::Float(float) => [&[0xcb][..], &float.to_be_bytes()].concat(),
        Literal::Text(it) => text(it.as_bytes()),
        Literal::Integer(integer) => {
            let bytes = integer.to_be_bytes();
            match integer {
                -0x20..=0x7f => bytes[7..].to_vec(),
                0x80..=0xff => [&[0xcc], &bytes[7..]].concat(),
                0x100..=0xffff => [&[0xcd], &bytes[6..]].concat(),
                0x1_0000..=0xffff_ffff => [&[0xce], &bytes[4..]].concat(),
                0x1_0000_0000.. => [&[0xcf], &bytes[..]].concat(),
                -0x80..=-0x21 => [&[0xd0], &bytes[7..]].concat(),
                -0x8000..=-0x81 => [&[0xd1], &bytes[6..]].concat(),
                -0x8000_0000..=-0x8001 => [&[0xd2], &bytes[4..]].concat(),
                _ => [&[0xd3], &bytes[..]].concat(),
            }
        }
    }
}

fn text(content: &[u8]) -> Vec<u8> {
    let head = match content.len() {
        size @ 0..32 => vec![0xa0 | size as u8],
        _ => sized(content, [0xd9, 0xda, 0xdb]),
    };
    [&head, content].concat()
}

/// A marker for a size of 8, 16 or 32 bits, and the size of `content`. A message has less than 4 GiB.
fn sized(content: &[u8], markers: [u8; 3]) -> Vec<u8> {
    let size = (content.len() as u32).to_be_bytes();
    match content.len() {
        0..=0xff => [&markers[..1], &size[3..]].concat(),
        0x100..=0xffff => [&markers[1..2], &size[2..]].concat(),
        _ => [&markers[2..], &size[..]].concat(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rmpv::Value;

    use super::*;

    fn packed(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, value).unwrap();
        bytes
    }

    fn changed(bytes: &[u8], at: &str, operation: &Operation<'_>) -> Result<Vec<u8>, EditFault> {
        let edits = edit(bytes, &Pointer::parse(at).unwrap(), operation, &Limits::default())?;
        let mut out = Vec::new();
        edits.apply(bytes, &mut out);
        assert_eq!(edits.size_after(bytes.len()), out.len());
        Ok(out)
    }

    fn stars(text: Text<'_>) -> Vec<u8> {
        match text {
            Text::Characters(text) => vec![b'*'; text.chars().count()],
            Text::Bytes(bytes) => vec![b'*'; bytes.len()],
        }
    }

    #[test]
    fn values_are_changed_where_they_are() {
        let map =
            |email: &[u8]| [b"\x82\xa4user\x81\xa5email", email, b"\x07\x92\x01\xc4\x02\xff\xfe"].concat();
        let set = |literal| Operation::Set(Box::leak(Box::new(literal)));
        let message = map(b"\xa5a@b.c");
        for (at, operation, expected) in [
            ("/user/email", set(Literal::Text("x".into())), map(b"\xa1x")),
            ("/user/email", set(Literal::Null), map(b"\xc0")),
            ("/user/email", Operation::Text(&stars), map(b"\xa5*****")),
            ("/user", Operation::Remove, b"\x81\x07\x92\x01\xc4\x02\xff\xfe".to_vec()),
            ("/user/email", Operation::Remove, b"\x82\xa4user\x80\x07\x92\x01\xc4\x02\xff\xfe".to_vec()),
            (
                "/7/0",
                Operation::Remove,
                b"\x82\xa4user\x81\xa5email\xa5a@b.c\x07\x91\xc4\x02\xff\xfe".to_vec(),
            ),
            ("/7/*", Operation::Remove, b"\x82\xa4user\x81\xa5email\xa5a@b.c\x07\x90".to_vec()),
            (
                "/7/1",
                Operation::Text(&stars),
                b"\x82\xa4user\x81\xa5email\xa5a@b.c\x07\x92\x01\xc4\x02**".to_vec(),
            ),
            ("/7/2", Operation::Remove, message.clone()),
            ("/none/*", Operation::Remove, message.clone()),
            ("/user/*", Operation::Remove, message.clone()),
        ] {
            assert_eq!(changed(&message, at, &operation), Ok(expected), "{at} {operation:?}");
        }
        assert_eq!(
            changed(&message, "/7/0", &Operation::Text(&stars)),
            Err(EditFault::WrongType("a number"))
        );
        assert_eq!(changed(b"\x92", "/0", &Operation::Remove), Err(Fault::Truncated { offset: 0 }.into()));
    }

    #[test]
    fn long_forms_keep_their_width() {
        let values = |count: u16| [&[0xdc][..], &count.to_be_bytes(), &vec![1; count.into()]].concat();
        assert_eq!(changed(&values(16), "/3", &Operation::Remove), Ok(values(15)));
        let members = |count: u32| {
            let pairs =
                (0..count).flat_map(|name| [vec![0xce], name.to_be_bytes().to_vec(), vec![9]].concat());
            [0xdf].into_iter().chain(count.to_be_bytes()).chain(pairs).collect::<Vec<_>>()
        };
        assert_eq!(changed(&members(40), "/39", &Operation::Remove), Ok(members(39)));
        for size in [0, 31, 32, 255, 256, 65_535, 65_536] {
            let text = "x".repeat(size);
            let operation = Operation::Set(Box::leak(Box::new(Literal::Text((&*text).into()))));
            assert_eq!(
                changed(b"\x91\x01", "/0", &operation),
                Ok([&[0x91][..], &packed(&text.into())].concat())
            );
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-200..300i64).prop_map(Value::from),
            any::<f32>().prop_filter("finite", |it| it.is_finite()).prop_map(Value::from),
            "[abé]{0,40}".prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::from),
            (any::<i8>(), prop::collection::vec(any::<u8>(), 0..20))
                .prop_map(|(kind, bytes)| Value::Ext(kind, bytes)),
        ];
        leaf.prop_recursive(4, 40, 18, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..18).prop_map(Value::Array),
                prop::collection::btree_map("[ab]{0,2}|-?[1-9]", inner, 0..18).prop_map(|map| {
                    let name = |text: String| text.parse::<i64>().map_or(text.into(), Value::from);
                    Value::Map(map.into_iter().map(|(text, value)| (name(text), value)).collect())
                }),
            ]
        })
    }

    /// The same change of the decoded value, made plainly.
    fn expected(value: &mut Value, tokens: &[&str], operation: &Operation<'_>) -> Result<(), ()> {
        let [token, rest @ ..] = tokens else {
            match (operation, &mut *value) {
                (Operation::Remove, _) => {}
                (Operation::Set(_), value) => *value = (-129).into(),
                (Operation::Text(_), Value::Nil) => {}
                (Operation::Text(_), Value::String(text)) => {
                    *text = "*".repeat(text.as_str().unwrap().chars().count()).into();
                }
                (Operation::Text(_), Value::Binary(bytes)) => bytes.fill(b'*'),
                _ => return Err(()),
            }
            return Ok(());
        };
        let removes = rest.is_empty() && matches!(operation, Operation::Remove);
        match value {
            Value::Map(members) => {
                let is_it =
                    |name: &Value| name.as_str().map_or(name.to_string() == *token, |it| it == *token);
                if removes {
                    members.retain(|(name, _)| !is_it(name));
                }
                members
                    .iter_mut()
                    .filter(|(name, _)| is_it(name))
                    .try_for_each(|(_, it)| expected(it, rest, operation))
            }
            Value::Array(elements) => {
                let mut index = 0;
                let mut is_it = || {
                    index += 1;
                    *token == "*" || position(token) == Some(index - 1)
                };
                if removes {
                    elements.retain(|_| !is_it());
                    return Ok(());
                }
                elements.iter_mut().filter(|_| is_it()).try_for_each(|it| expected(it, rest, operation))
            }
            _ => Ok(()),
        }
    }

    proptest! {
        #[test]
        fn an_edit_of_the_bytes_is_an_edit_of_the_value(
            value in value(), tokens in prop::collection::vec("[ab]{0,2}|-?[0-9]|1[0-9]|\\*", 0..4), which in 0..3usize,
        ) {
            let literal = Literal::Integer(-129);
            let operations = [Operation::Remove, Operation::Set(&literal), Operation::Text(&stars)];
            let operation = operations.into_iter().nth(which).unwrap();
            let bytes = packed(&value);
            let at: String = tokens.iter().map(|token| format!("/{token}")).collect();
            let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
            let mut after = value.clone();
            match (changed(&bytes, &at, &operation), expected(&mut after, &tokens, &operation)) {
                (Ok(changed), Ok(())) => {
                    let mut rest = &changed[..];
                    prop_assert_eq!(rmpv::decode::read_value(&mut rest).unwrap(), after.clone(), "{} at {}", value, at);
                    prop_assert!(rest.is_empty() && (after != value || changed == bytes));
                }
                (Err(EditFault::WrongType(_)), Err(())) => {}
                (changed, _) => prop_assert!(false, "{changed:?} of {value} at {at}"),
            }
        }
    }
}
