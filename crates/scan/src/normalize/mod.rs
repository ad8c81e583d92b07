//! What a text may say in disguise: escapes of JSON, percent and HTML undone, Unicode folded, base64 decoded.
//!
//! A [`Normalizer`] shows the views of a text that differ from it, each with the [`Kinds`] that were undone.

mod base64;
mod compat;
mod entities;
mod escapes;
mod kinds;
mod lookalikes;
mod views;

pub(crate) use escapes::is_hiding;
pub use escapes::{Undone, undo};
pub use kinds::Kinds;
pub use views::{Buffers, DEPTH_MAX, DEPTH_MAX_DEFAULT, Normalizer, Outcome};
