//! The cores: one glommio executor a shard, pinned. The only file that names glommio.

use std::{io, time::Duration};

use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};

use crate::shard::Shard;

/// Ours is the only task that is always runnable, so glommio never parks: the thread sleeps in the shard's own wait, and
/// other tasks of the executor get their turn when this runs out.
const PREEMPT: Duration = Duration::from_millis(5);
/// glommio's rings carry its own timers only.
const RING_DEPTH: usize = 128;

/// A running shard.
#[derive(Debug)]
pub(crate) struct Core {
    handle: ExecutorJoinHandle<io::Result<()>>,
}

impl Core {
    /// Makes a shard on a thread of its own and runs it until it is done.
    ///
    /// # Errors
    /// glommio's, when it gets no ring or less than 512 KiB of locked memory.
    pub fn spawn(
        name: &str,
        cpu: Option<usize>,
        make: impl FnOnce() -> io::Result<Shard> + Send + 'static,
    ) -> io::Result<Self> {
        let placement = cpu.map_or(Placement::Unbound, Placement::Fixed);
        let handle = LocalExecutorBuilder::new(placement)
            .name(name)
            .io_memory(0)
            .ring_depth(RING_DEPTH)
            .preempt_timer(PREEMPT)
            .spawn(move || run(make))
            .map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { handle })
    }

    /// Waits for the shard to be done.
    ///
    /// # Errors
    /// The shard's own, or that it panicked.
    pub fn join(self) -> io::Result<()> {
        self.handle.join().map_err(|error| io::Error::other(error.to_string()))?
    }
}

async fn run(make: impl FnOnce() -> io::Result<Shard>) -> io::Result<()> {
    let mut shard = make()?;
    while !shard.is_done() {
        shard.turn()?;
        if glommio::executor().need_preempt() {
            glommio::executor().yield_task_queue_now().await;
        }
    }
    shard.finish();
    Ok(())
}
