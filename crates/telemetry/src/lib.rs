//! What the inspector tells of itself: audit records with their bounded queue, and counters as Prometheus text.
//!
//! Nothing here waits for anything on the message path. A shard hands [`audit`] records to a ring that one thread
//! drains, and copies its plain counters into [`ShardCells`] now and then; [`Exposition`] sums them when somebody asks. Of one
//! message in some it hands over how long its inspection took ([`Timings`]).

pub mod audit;
mod cells;
mod counter;
mod exposition;
mod names;
mod text;
mod timings;

pub use cells::{AgentStats, DataplaneStats, ShardCells};
pub use counter::Counter;
pub use exposition::{Exposition, Reloads};
pub use names::{Names, NoRoom, PolicyNames};
pub use timings::{Percentiles, TIMED_EVERY, TimingSender, Timings};
