//! What the inspector tells of itself: audit records with their bounded queue, and counters as Prometheus text.
//!
//! Nothing here waits for anything on the message path. A shard hands [`audit`] records to a ring that one thread
//! drains, and copies its plain counters into [`ShardCells`] now and then; [`Exposition`] sums them when somebody asks.

pub mod audit;
mod cells;
mod counter;
mod exposition;
mod names;
mod text;

pub use cells::{AgentStats, DataplaneStats, ShardCells};
pub use counter::Counter;
pub use exposition::{Exposition, Reloads};
pub use names::{Names, NoRoom, PolicyNames};
