//! Protobuf messages of a known type, read strictly, and shown to a JSON Schema in the shape of the JSON mapping.
//!
//! A [`MessageType`] comes from a `.proto` file, which is compiled in process, or from a descriptor set as
//! `protoc --descriptor_set_out --include_imports` writes it.
//!
//! **Strict** means: one spelling. Refused are varints that are longer than they need be or that the type of their field
//! would cut off, field number 0, wire types that a field does not have, strings that are not UTF-8 (under proto2 too),
//! groups without their end, lengths beyond the message, deep nesting, and messages without their required fields.
//! Repeated scalars may be packed or not, whatever the `.proto` says, as the specification asks of readers.
//!
//! **Unknown fields**, and undeclared values of an enum, are refused by default ([`Unknown::Reject`]): nobody here can
//! judge them, and a receiver with a newer `.proto` acts on them all the same. [`Unknown::Allow`] lets them pass, with the
//! rules of the wire checked; their content goes to pattern matching like any other.
//!
//! **Merging** is that of the specification: of a singular field that comes twice the last value counts, sub-messages are
//! merged, of a oneof the last member counts, of a map the last entry with a key.
//!
//! **A schema sees** an object with the names of the `.proto` (those of extensions in brackets); enums by name, or by
//! number if it has none; bytes as base64; integers of 64 bits as numbers; floats that are no number as `"NaN"`,
//! `"Infinity"`, `"-Infinity"`; maps as objects. A field without presence that was not sent is there with its default, as
//! the receiver will read it: a `minimum` cannot be got around by leaving a field out. Well-known types, such as
//! `google.protobuf.Timestamp`, are ordinary messages here, and what an `Any` holds is bytes.
//!
//! ```
//! use wsi_schema::{json::Limits, protobuf::{MessageType, Unknown}, tree::Schema};
//!
//! let order = MessageType::from_text(r#"syntax = "proto3"; message Order { int32 price = 1; }"#, "Order")?;
//! let schema = Schema::from_text(r#"{"properties": {"price": {"minimum": 1}}}"#, None)?;
//! let tree = order.decode(b"\x08\x00", &Limits::default(), Unknown::Reject, |_| {})?;
//! let violation = schema.check(&tree).unwrap_err();
//! assert_eq!((violation.pointer.as_str(), violation.keyword.as_str()), ("/price", "minimum"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod edit;
mod fault;
mod load;
mod merge;
mod path;
mod place;
mod show;
mod types;
mod verify;
mod wire;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use path::{Change, Path, PathError};
pub use place::Oneof;
pub use types::MessageType;

use crate::{
    json::{DEPTH_MAX_CEILING, Limits, TEXT_BYTES_MAX},
    tree::Tree,
};

/// What becomes of a message with fields or values of enums that its type does not declare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unknown {
    #[default]
    Reject,
    /// Fields may come, to be taken away ([`MessageType::strip`]); values of enums may not, because nothing could take their place.
    Strip,
    Allow,
}

impl MessageType {
    /// Checks a message without decoding it. `payload` is given the bytes of every string and bytes field, and of unknown
    /// ones, in their order, and if there is a fault of those before it.
    ///
    /// # Errors
    /// The first [`Fault`] in the message.
    pub fn verify<'a>(
        &self,
        bytes: &'a [u8],
        limits: &Limits,
        unknown: Unknown,
        payload: impl FnMut(&'a [u8]),
    ) -> Result<(), Fault> {
        if bytes.len() > TEXT_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        let depth_max = limits.depth_max.min(DEPTH_MAX_CEILING);
        verify::verify(self, bytes, depth_max, unknown, payload)?;
        if self.has_required {
            // Whether a required field is there can only be said of what was merged.
            show::show(self, bytes)?;
        }
        Ok(())
    }

    /// Checks a message as [`Self::verify`] does, and decodes it.
    ///
    /// # Errors
    /// The first [`Fault`] in the message.
    pub fn decode<'a>(
        &'a self,
        bytes: &'a [u8],
        limits: &Limits,
        unknown: Unknown,
        payload: impl FnMut(&'a [u8]),
    ) -> Result<Tree<'a>, Fault> {
        if bytes.len() > TEXT_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        let depth_max = limits.depth_max.min(DEPTH_MAX_CEILING);
        verify::verify(self, bytes, depth_max, unknown, payload)?;
        show::show(self, bytes)
    }
}
