//! Changes of one place of a message, made in its bytes: everything else stays as it was sent.

use std::{borrow::Cow, fmt, ops::Range};

use crate::{json, msgpack, protobuf};

/// Stands in a place for every element of an array.
pub const EVERY_ELEMENT: &str = "*";

/// What is done to every value at a place.
pub enum Operation<'o> {
    /// Taken away, with its name or from its array.
    Remove,
    /// Another value takes its place.
    Set(&'o Literal),
    /// What a text becomes, or binary data. A text becomes a text.
    Text(&'o dyn Fn(Text<'_>) -> Vec<u8>),
}

/// A text of a message, or binary data of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    Characters(Cow<'a, str>),
    Bytes(&'a [u8]),
}

impl Text<'_> {
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Characters(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// A value that stands in a configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Boolean(bool),
    Integer(i64),
    /// Finite.
    Float(f64),
    Text(Box<str>),
}

/// As in JSON.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(boolean) => boolean.fmt(f),
            Self::Integer(integer) => integer.fmt(f),
            Self::Float(float) => write!(f, "{float:?}"),
            Self::Text(text) => f.write_str(&serde_json::to_string(text).unwrap_or_default()),
        }
    }
}

/// Why a message can't be changed as it should. The sender is at fault, or the place is that of another kind of message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditFault {
    #[error(transparent)]
    Json(#[from] json::Fault),
    #[error("not UTF-8, so not JSON")]
    NotText,
    #[error(transparent)]
    MessagePack(#[from] msgpack::Fault),
    #[error(transparent)]
    Protobuf(#[from] protobuf::Fault),
    #[error("the place holds no text but {0}")]
    WrongType(&'static str),
}

/// Parts of a message, and what takes their place.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// In the order of the message, without overlap.
    list: Vec<(Range<usize>, Vec<u8>)>,
}

impl Edits {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What the message of `size` bytes will have.
    pub fn size_after(&self, size: usize) -> usize {
        let taken: usize = self.list.iter().map(|(range, _)| range.len()).sum();
        let given: usize = self.list.iter().map(|(_, with)| with.len()).sum();
        size - taken + given
    }

    /// Appends the changed message to `out`.
    pub fn apply(&self, message: &[u8], out: &mut Vec<u8>) {
        let mut at = 0;
        for (range, with) in &self.list {
            out.extend_from_slice(&message[at..range.start]);
            out.extend_from_slice(with);
            at = range.end;
        }
        out.extend_from_slice(&message[at..]);
    }

    /// What is the same as before is no change. Order does not matter until [`Edits::finish`].
    pub(crate) fn replace(&mut self, message: &[u8], range: Range<usize>, with: Vec<u8>) {
        if message[range.clone()] != with[..] {
            self.list.push((range, with));
        }
    }

    pub(crate) fn finish(mut self) -> Self {
        self.list.sort_by_key(|(range, _)| range.start);
        self
    }
}

impl fmt::Debug for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remove => f.write_str("Remove"),
            Self::Set(literal) => f.debug_tuple("Set").field(literal).finish(),
            Self::Text(_) => f.write_str("Text"),
        }
    }
}
