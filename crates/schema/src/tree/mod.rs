//! A message, decoded: one shape for JSON, MessagePack and Protobuf, and JSON Schema over it.
//!
//! A [`Tree`] refers to the bytes of its message and copies none of them but texts with escapes. It has what JSON has, and binary
//! data as base64; the modules of the formats say how theirs become that.

mod build;
mod index;
mod node;
mod schema;
mod value;

pub(crate) use build::{Builder, members};
pub(crate) use node::TreeJson;
pub use schema::Schema;
pub(crate) use schema::{check, is_valid};
pub(crate) use value::Value;

use std::fmt;

/// A decoded message, in memory of its own beside the message: 24 bytes per value or name.
pub struct Tree<'a> {
    /// The root, and behind each value those inside it; in an object a name stands before each member.
    values: Vec<Value<'a>>,
    /// Texts that had escapes, one behind the other.
    unescaped: String,
    /// Whether some object is so wide that lookups by name need an index.
    is_wide: bool,
}

impl<'a> Tree<'a> {
    pub(crate) fn values(&self) -> &[Value<'a>] {
        &self.values
    }

    /// `value` of this tree, and a text as a text.
    pub(crate) fn resolve(&self, value: Value<'a>) -> Value<'_> {
        resolve(value, &self.unescaped)
    }
}

#[inline]
fn resolve<'t>(value: Value<'t>, unescaped: &'t str) -> Value<'t> {
    match value {
        Value::Unescaped { start, end } => {
            Value::Text(unescaped.get(start as usize..end as usize).unwrap_or_default())
        }
        value => value,
    }
}

#[cfg(test)]
impl Tree<'_> {
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

impl fmt::Debug for Tree<'_> {
    /// Leaves the payload out: a message does not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").finish_non_exhaustive()
    }
}
