//! JSON messages and JSON Schema (drafts 4, 6, 7, 2019-09 and 2020-12).
//!
//! A [`Document`] is a message that is JSON by the strict reading of RFC 8259, with three additions that
//! close gaps between parsers: nesting is bounded, no object has the same member name twice (RFC 7493
//! section 2.3), and an integer fits 64 bits. A [`Schema`] is compiled once and shared by any number of
//! threads.
//!
//! ```
//! use wsi_schema::json::{Document, Limits, Schema};
//!
//! let schema = Schema::from_text(r#"{"required": ["price"], "properties": {"price": {"minimum": 0}}}"#, None)?;
//! let order = Document::parse(r#"{"price": -1}"#, &Limits::default())?;
//! let violation = schema.check(&order).unwrap_err();
//! assert_eq!((violation.pointer.as_str(), violation.keyword.as_str()), ("/price", "minimum"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod depth;
mod document;
mod edit;
pub(crate) mod equality;
mod integer;
pub(crate) mod number;
mod parse;
pub(crate) mod retrieve;
pub(crate) mod schema;
mod strings;
mod violation;

#[cfg(test)]
mod differential;

pub use document::{Document, Fault, Limits, TEXT_BYTES_MAX};
pub use edit::edit;
pub use schema::{Schema, SchemaError};
pub use strings::{character_size, strings};
pub use violation::Violation;

pub use depth::{DEPTH_MAX_CEILING, DEPTH_MAX_DEFAULT};
