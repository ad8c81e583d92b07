//! The cores: one glommio executor a shard, pinned. The only file that names glommio.

use std::{io, sync::mpsc::Sender, time::Duration};

use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};

use crate::shard::Shard;

/// Never, in effect. When this runs out before glommio has polled its first task, because the thread lost its CPU for that
/// long, glommio takes its queues for empty and parks for ever (`run_task_queues`, 0.9): the shard was dead. So it is not to
/// run out, and the shard, the only task of its executor, doesn't yield: it sleeps in its own wait, a tick at most.
const PREEMPT: Duration = Duration::from_secs(365 * 86_400);
/// glommio's rings carry its own timers only.
const RING_DEPTH: usize = 128;

/// A running shard.
#[derive(Debug)]
pub(crate) struct Core {
    handle: ExecutorJoinHandle<io::Result<()>>,
}

impl Core {
    /// Makes a shard on a thread of its own and runs it until it is done; `done` is told, however it ends.
    ///
    /// # Errors
    /// The shard's own, or glommio's, when it gets no ring or less than 512 KiB of locked memory.
    pub fn spawn(
        name: &str,
        cpu: Option<usize>,
        done: Sender<()>,
        make: impl FnOnce() -> io::Result<Shard> + Send + 'static,
    ) -> io::Result<Self> {
        let (started, starts) = std::sync::mpsc::channel();
        let placement = cpu.map_or(Placement::Unbound, Placement::Fixed);
        let handle = LocalExecutorBuilder::new(placement)
            .name(name)
            .io_memory(0)
            .ring_depth(RING_DEPTH)
            .preempt_timer(PREEMPT)
            .spawn(move || run(make, started, Told(done)))
            .map_err(|error| io::Error::other(error.to_string()))?;
        if starts.recv().is_ok() {
            return Ok(Self { handle });
        }
        // It ended before it could say so: its result says why.
        Err(Self { handle }.join().err().unwrap_or_else(|| io::Error::other("the shard ended at once")))
    }

    /// Waits for the shard to be done.
    ///
    /// # Errors
    /// The shard's own, or that it panicked.
    pub fn join(self) -> io::Result<()> {
        self.handle.join().map_err(|error| io::Error::other(error.to_string()))?
    }
}

/// Tells when it is dropped, after a panic too.
struct Told(Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        // Nobody listens any more when the data plane is gone.
        let _ = self.0.send(());
    }
}

async fn run(make: impl FnOnce() -> io::Result<Shard>, started: Sender<()>, _told: Told) -> io::Result<()> {
    let mut shard = make()?;
    let _ = started.send(());
    while !shard.is_done() {
        shard.turn()?;
    }
    shard.finish();
    Ok(())
}
