//! MessagePack messages, read strictly: one value, to the last byte.
//!
//! What JSON has too is what it is there: nil, booleans, integers, floats, str, arrays, and maps. The rest becomes:
//!
//! - **bin**: `{"$bin": "<base64>"}`. It is no string, because to a receiver a bin is not a str either, and a schema
//!   that asks for a string must not let it through.
//! - **ext**, timestamps among them: `{"$ext": type, "$data": "<base64>"}`.
//! - **integer keys**: names of their decimal digits, so that `{1: ...}` is judged as `{"1": ...}`, and a map that has
//!   both is refused.
//!
//! Refused beside what is no MessagePack: str that is not UTF-8, a key twice (receivers differ in which one they keep),
//! keys that are neither str nor integer and floats that are no number (a schema could not see them), and maps with a
//! key `$bin`, `$ext` or `$data` (they could pass for binary data).
//!
//! Integers and lengths may be longer than they need be, as the specification asks of readers. A float of 32 bits is
//! judged by its exact value: 0.1 is 0.10000000149011612 then.
//!
//! ```
//! use wsi_schema::{json::Limits, msgpack, tree::Schema};
//!
//! let schema = Schema::from_text(r#"{"properties": {"price": {"minimum": 0}}}"#, None)?;
//! let order = msgpack::decode(b"\x81\xa5price\xff", &Limits::default(), |_| {})?;
//! let violation = schema.check(&order).unwrap_err();
//! assert_eq!((violation.pointer.as_str(), violation.keyword.as_str()), ("/price", "minimum"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod edit;
mod fault;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use edit::edit;
pub use fault::Fault;
