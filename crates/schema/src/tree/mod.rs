//! A binary message, decoded: one shape for MessagePack and Protobuf, and JSON Schema over it.
//!
//! A [`Tree`] refers to the bytes of its message and copies none of them. It has what JSON has, and binary
//! data as base64; the modules of the formats say how theirs become that.

mod build;
mod index;
mod node;
mod schema;
mod value;

pub(crate) use build::{Builder, members};
pub use schema::Schema;
pub(crate) use value::Value;

use std::fmt;

use index::Index;

/// A decoded message, in memory of its own beside the message: 24 bytes per value or name.
pub struct Tree<'a> {
    /// The root, and behind each value those inside it; in an object a name stands before each member.
    values: Vec<Value<'a>>,
    index: Option<Index<'a>>,
}

impl<'a> Tree<'a> {
    pub(crate) fn values(&self) -> &[Value<'a>] {
        &self.values
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
