//! What a text may say in disguise: escapes of JSON, percent and HTML undone, Unicode folded, base64 decoded.
//!
//! A [`Normalizer`] shows the views of a text that differ from it, each with the [`Kinds`] that were undone.

pub(crate) mod base64;
pub(crate) mod compat;
mod entities;
pub(crate) mod escapes;
mod kinds;
mod likeness;
pub(crate) mod lookalikes;
mod trace;
mod views;

pub use escapes::{Undone, undo};
pub use kinds::Kinds;
pub use likeness::likeness;
pub use trace::{Trace, TraceLost};
pub(crate) use views::Reader;
pub use views::{Buffers, DEPTH_MAX, DEPTH_MAX_DEFAULT, Normalizer, Outcome};
