//! Integer token buckets, of one owner or shared by threads. The time is an argument, and what a key or a token means is the
//! caller's.

mod bucket;
mod shared;

pub use bucket::{Bucket, Rate};
pub use shared::Shared;
