//! Integer token buckets. The time is an argument, and what a key or a token means is the caller's.

mod bucket;

pub use bucket::{Bucket, Rate};
