//! Message schemas: what a message must look like, and whether it does.
//!
//! [`json`] parses a JSON message once, with limits that hold while it does, and checks it
//! against a JSON Schema. [`msgpack`] and [`protobuf`] decode a binary message
//! into a [`tree`] over its bytes, as JSON is, and it is checked in the same way.
//!
//! This crate knows neither WebSocket nor the network. A schema file may refer to other files of its own
//! folder; nothing else is ever fetched, and no client for it is compiled in.

mod edit;
mod field;
pub mod json;
pub mod msgpack;
pub mod protobuf;
pub mod tree;

pub use edit::{EVERY_ELEMENT, EditFault, Edits, Literal, Operation, Text};
pub use field::{Field, Pointer, PointerError};
