//! What the data plane may hold, as sums with a comment for each term.

use std::mem::size_of;

use wsi_inspect::{Engine, Session};

use crate::{
    connection::Connection,
    core::SCRATCH_SIZE,
    stream::{TLS_SIZE, TLS_SIZE_MAX},
};

/// User memory of a data plane, in bytes. What the kernel holds for sockets comes on top, about 4 KiB each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBound {
    /// Once for the process: tables that shards share.
    pub process: u64,
    /// Once for each shard, whatever it carries.
    pub shard: u64,
    /// A connection on which nothing is on its way.
    pub connection_idle: u64,
    /// A connection at its worst: both directions full of the largest message, and both peers not reading.
    pub connection_max: u64,
    /// What one step of one connection may hold beyond the bound of the process, until it is refused; once for each shard.
    pub step_max: u64,
}

impl MemoryBound {
    /// The bounds for connections under `engines` of which `tls_legs`, none, one or both, speak TLS.
    pub fn new<'a>(engines: impl IntoIterator<Item = &'a Engine>, tls_legs: u64) -> Self {
        let (mut messages_max, mut deflate_max, mut changes_max, mut ledger_max) = (0, 0, 0, 0);
        let (mut process, mut ledger) = (0, 0);
        for engine in engines {
            messages_max = messages_max.max(engine.connection_size_max());
            deflate_max = deflate_max.max(engine.deflate_size_max());
            changes_max = changes_max.max(engine.changes_size_max());
            ledger_max = ledger_max.max(engine.ledger_size_max());
            ledger = ledger.max(engine.ledger_size());
            process += engine.shared_size();
        }
        let idle = connection_idle() + ledger + tls_legs * TLS_SIZE;
        // Each direction holds a message that is being put together and, when its receiver does not read, the output of
        // one read: at most a finished message and a scratch full of frames.
        let pending_max = messages_max + 2 * SCRATCH_SIZE as u64;
        // And the rest of that read, as it came.
        let unread_max = 2 * SCRATCH_SIZE as u64;
        // Windows of compressed messages, from the first one until the connection has had none for a while; those that refer
        // back to earlier messages stay.
        let tls_max = tls_legs * (TLS_SIZE_MAX - TLS_SIZE);
        // What a message that is changed becomes, one after the other; and what rules remember of it.
        let connection_max =
            idle + messages_max + pending_max + unread_max + deflate_max + tls_max + changes_max + ledger_max;
        // One read: a message that is begun or grows, another that is to be written or becomes another, and what is left of the read.
        let step_max = messages_max + 2 * SCRATCH_SIZE as u64 + deflate_max + changes_max + ledger_max;
        Self { process, shard: shard(), connection_idle: idle, connection_max, step_max }
    }
}

fn shard() -> u64 {
    let scratch = SCRATCH_SIZE as u64;
    // Submission entries of 64 bytes, completions of 16 (ring.rs).
    let ring = 4_096 * 64 + 65_536 * 16;
    // Slots of the timer wheel (timer.rs).
    let timers = 1_024 * 24;
    scratch + ring + timers + wsi_inspect::Worker::BUFFERS_SIZE_MAX
}

fn connection_idle() -> u64 {
    let connection = size_of::<Connection>();
    let session = size_of::<Session>();
    // A slot of the table, which doubles when it grows, and an entry of the timer wheel.
    let slot = 2 * 16 + 2 * 8;
    // What the allocator adds to two blocks.
    let overhead = 2 * 16;
    (connection + session + slot + overhead) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(connection_idle() <= 2048, "{} bytes", connection_idle());
    }
}
