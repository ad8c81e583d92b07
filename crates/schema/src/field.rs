//! One field of a message, the same for every format: where it is, and what it says.

use std::borrow::Cow;

use crate::{
    json::{Document, number::Number},
    tree::{Tree, Value, members},
};

/// A place in a message: a JSON Pointer (RFC 6901). Fields of Protobuf and members of MessagePack maps are named as in the JSON
/// that their schemas see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pointer {
    tokens: Vec<Box<str>>,
}

/// What is wrong with a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    #[error("a place begins with `/`, as \"/type\" or \"/order/price\" (RFC 6901)")]
    NoSlash,
    #[error("`~` in a place is written `~0`, and `/` in a name `~1` (RFC 6901)")]
    Tilde,
}

/// What a place of a message holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field<'a> {
    Null,
    Boolean(bool),
    Unsigned(u64),
    /// Less than zero.
    Signed(i64),
    Float(f64),
    Text(&'a str),
    /// Binary data, which schemas see as base64.
    Bytes(&'a [u8]),
    Array,
    Object,
}

impl Pointer {
    /// # Errors
    /// When `text` is no JSON Pointer.
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        let Some(rest) = text.strip_prefix('/') else {
            return if text.is_empty() {
                Ok(Self { tokens: Vec::new() })
            } else {
                Err(PointerError::NoSlash)
            };
        };
        let tokens = rest.split('/').map(unescape).collect::<Result<_, _>>()?;
        Ok(Self { tokens })
    }

    /// Names and positions from the outside in, unescaped.
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tokens.iter().map(|token| &**token)
    }
}

/// `~1` is `/`, and `~0` is `~`.
fn unescape(token: &str) -> Result<Box<str>, PointerError> {
    let mut after = token.split('~').skip(1);
    if !after.all(|rest| rest.starts_with(['0', '1'])) {
        return Err(PointerError::Tilde);
    }
    Ok(token.replace("~1", "/").replace("~0", "~").into())
}

/// A position in an array, exactly as RFC 6901 section 4 writes it.
pub(crate) fn position(token: &str) -> Option<usize> {
    let is_written_so = token == "0" || !token.starts_with(['0', '+']);
    if is_written_so { token.parse().ok() } else { None }
}

impl Document<'_> {
    /// The field at `pointer`; `None`: the message has none there.
    pub fn field(&self, pointer: &Pointer) -> Option<Field<'_>> {
        self.tree().field(pointer)
    }
}

impl Tree<'_> {
    /// The field at `pointer`; `None`: the message has none there.
    pub fn field(&self, pointer: &Pointer) -> Option<Field<'_>> {
        let mut values = self.values();
        for token in pointer.tokens() {
            let (first, inside) = values.split_first()?;
            values = match first {
                Value::Object { size, .. } => {
                    let inside = inside.get(..*size as usize)?;
                    members(inside).find(|(name, _)| is_named(self.resolve(*name), token))?.1
                }
                Value::Array { size, .. } => element(inside.get(..*size as usize)?, position(token)?)?,
                _ => return None,
            };
        }
        values.first().map(|value| match self.resolve(*value) {
            Value::Null => Field::Null,
            Value::Boolean(boolean) => Field::Boolean(boolean),
            Value::Number(number) => number.into(),
            Value::Text(text) => Field::Text(text),
            // Resolved.
            Value::Unescaped { .. } => Field::Text(""),
            Value::Bytes(bytes) => Field::Bytes(bytes),
            Value::Array { .. } => Field::Array,
            Value::Object { .. } => Field::Object,
        })
    }
}

fn element<'t, 'a>(mut inside: &'t [Value<'a>], position: usize) -> Option<&'t [Value<'a>]> {
    for _ in 0..position {
        inside = inside.get(1 + inside.first()?.size()..)?;
    }
    (!inside.is_empty()).then_some(inside)
}

/// A name is a text, or an integer that stands for its digits.
fn is_named(name: Value<'_>, token: &str) -> bool {
    match name {
        Value::Text(text) => text == token,
        Value::Number(Number::Unsigned(integer)) => integer.to_string() == token,
        Value::Number(Number::Signed(integer)) => integer.to_string() == token,
        _ => false,
    }
}

impl From<Number> for Field<'_> {
    fn from(number: Number) -> Self {
        match number {
            Number::Unsigned(unsigned) => Self::Unsigned(unsigned),
            Number::Signed(signed) => Self::Signed(signed),
            Number::Float(float) => Self::Float(float),
        }
    }
}

impl<'a> Field<'a> {
    /// The text that names a type, a sender or the like: texts as they are, integers in digits. `None`: it is nothing of the kind.
    pub fn as_name(&self) -> Option<Cow<'a, str>> {
        match *self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Unsigned(unsigned) => Some(Cow::Owned(unsigned.to_string())),
            Self::Signed(signed) => Some(Cow::Owned(signed.to_string())),
            Self::Boolean(true) => Some(Cow::Borrowed("true")),
            Self::Boolean(false) => Some(Cow::Borrowed("false")),
            _ => None,
        }
    }

    /// The whole number that it is, `5.0` included.
    pub fn as_integer(&self) -> Option<i128> {
        match *self {
            Self::Unsigned(unsigned) => Some(unsigned.into()),
            Self::Signed(signed) => Some(signed.into()),
            // Exact: a whole `f64` below 2^63 is an integer.
            Self::Float(float) if float.fract() == 0.0 && float.abs() < 9.0e18 => Some(float as i128),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{json::Limits, msgpack};

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    #[test]
    fn pointers_are_read_as_rfc_6901_has_them() {
        assert_eq!(pointer("").tokens().len(), 0);
        assert_eq!(pointer("/a~1b/m~0n/0/").tokens().collect::<Vec<_>>(), ["a/b", "m~n", "0", ""]);
        assert_eq!(pointer("/~01").tokens().collect::<Vec<_>>(), ["~1"]);
        assert_eq!(Pointer::parse("type"), Err(PointerError::NoSlash));
        assert_eq!(Pointer::parse("/a~"), Err(PointerError::Tilde));
        assert_eq!(Pointer::parse("/a~2"), Err(PointerError::Tilde));
    }

    #[test]
    fn fields_are_found_in_any_format() {
        let json = r#"{"type":"order","n":[1,-2,3.5,[],{"a":null}],"7":true,"a/b":""}"#;
        let document = Document::parse(json, &Limits::default()).unwrap();
        let value: rmpv::Value = rmpv::Value::Map(vec![
            ("type".into(), "order".into()),
            (
                "n".into(),
                rmpv::Value::Array(vec![
                    1.into(),
                    (-2).into(),
                    3.5.into(),
                    rmpv::Value::Array(vec![]),
                    rmpv::Value::Map(vec![("a".into(), rmpv::Value::Nil)]),
                ]),
            ),
            (7.into(), true.into()),
            ("a/b".into(), "".into()),
        ]);
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, &value).unwrap();
        let tree = msgpack::decode(&bytes, &Limits::default(), |_| {}).unwrap();
        for (place, expected) in [
            ("", Some(Field::Object)),
            ("/type", Some(Field::Text("order"))),
            ("/n", Some(Field::Array)),
            ("/n/0", Some(Field::Unsigned(1))),
            ("/n/1", Some(Field::Signed(-2))),
            ("/n/2", Some(Field::Float(3.5))),
            ("/n/3", Some(Field::Array)),
            ("/n/4/a", Some(Field::Null)),
            ("/7", Some(Field::Boolean(true))),
            ("/a~1b", Some(Field::Text(""))),
            ("/n/5", None),
            ("/n/00", None),
            ("/n/-", None),
            ("/type/x", None),
            ("/none", None),
        ] {
            assert_eq!(document.field(&pointer(place)), expected, "{place} of JSON");
            assert_eq!(tree.field(&pointer(place)), expected, "{place} of MessagePack");
        }
    }

    #[test]
    fn names_and_integers_of_fields() {
        assert_eq!(Field::Unsigned(7).as_name().as_deref(), Some("7"));
        assert_eq!(Field::Text("x").as_name().as_deref(), Some("x"));
        assert_eq!(Field::Object.as_name(), None);
        assert_eq!(Field::Float(5.0).as_integer(), Some(5));
        assert_eq!(Field::Float(5.5).as_integer(), None);
        assert_eq!(Field::Text("5").as_integer(), None);
    }
}
