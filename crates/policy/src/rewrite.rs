//! What is changed in messages that pass.

use std::{fmt, path::PathBuf, sync::Arc};

use crate::{Directions, MessageTypes};

/// One place of messages that is changed (`rewrite`). What can't be changed as it should does not pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewrite {
    /// Stable name in records and metrics, as `rewrite-1`.
    pub name: String,
    pub format: RewriteFormat,
    /// A JSON Pointer, with `*` for every element of an array.
    pub at: String,
    pub change: Change,
    pub directions: Directions,
    pub messages: MessageTypes,
}

/// What messages are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RewriteFormat {
    Json,
    MessagePack,
    /// Of the type `message`, with its package, that the `.proto` file or descriptor set declares.
    Protobuf {
        schema_path: PathBuf,
        message: String,
    },
}

/// What becomes of the value.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Remove,
    Set(Literal),
    /// A `*` for each character but the last `keep_last`.
    Mask {
        keep_last: usize,
    },
    /// A keyed hash, in hexadecimal digits: the same value gives the same hash, and without the key nobody can try values out.
    Hash(HashKey),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Boolean(bool),
    Integer(i64),
    /// Finite.
    Float(f64),
    Text(String),
}

/// A secret, shared by copies.
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey(Arc<[u8]>);

impl HashKey {
    pub fn new(secret: &[u8]) -> Self {
        Self(secret.into())
    }

    pub fn secret(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashKey").finish_non_exhaustive()
    }
}
