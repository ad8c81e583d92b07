//! The audit stream: one JSON line for each record, from the shards to a file, without a shard ever waiting.
//!
//! [`Sender`] (on the shard) makes a [`Record`] of an event and puts it in a bounded ring, [`Writer`] (on a thread of its
//! own) turns records into lines. What does not fit in the ring, or can't be written, is lost and counted.

mod chain;
mod encode;
mod excerpt;
mod file;
mod json;
mod output;
mod queue;
mod record;
mod rotate;
mod time;
mod writer;

pub use chain::{BrokenChain, Chain};
pub use excerpt::Payload;
pub use file::{OpenError, open};
pub use output::Counts;
pub use queue::{QUEUE_RECORDS_DEFAULT, Receiver, Sender, queue, queue_size_max};
pub use record::{Moment, Origin, Record};
pub use rotate::{RotatingFile, Rotation};
pub use writer::Writer;
