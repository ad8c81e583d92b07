//! The audit thread's loop.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    chain::{Chain, Checkpoints},
    output::{Counts, Output},
    queue::Receiver,
};
use crate::Names;

/// Records taken from one shard before the next one's turn.
const TURN_RECORDS_MAX: usize = 1_024;

/// Pause of the loop when there was nothing to do. A queue of the default length fills within it at 1.6 million records
/// a second.
const PAUSE: Duration = Duration::from_millis(10);

/// Takes records from all shards and writes them as lines of JSON. The records of one shard stay in order; those of several
/// are mixed as they come.
pub struct Writer {
    receivers: Vec<Receiver>,
    names: Arc<Names>,
    output: Output,
    counts: Arc<Counts>,
}

impl Writer {
    /// `sink` needs no buffer of its own: lines are written in batches of 64 KiB.
    pub fn new(receivers: Vec<Receiver>, names: Arc<Names>, sink: Box<dyn io::Write + Send>) -> Self {
        Self { receivers, names, output: Output::new(sink), counts: Arc::default() }
    }

    /// `report` is told when writing begins to fail, and again only after it has worked in between.
    #[must_use]
    pub fn with_failure_report(mut self, report: impl FnMut(&io::Error) + Send + 'static) -> Self {
        self.output.set_failure_report(Box::new(report));
        self
    }

    /// Lines vouch for each other, on from the last of the file at `path`; where they have come to is noted at `notes`.
    ///
    /// # Errors
    /// The system's.
    pub fn with_chain(mut self, path: &Path, notes: &Path) -> io::Result<Self> {
        let chain = Chain::of_file(path)?.unwrap_or_default();
        let checkpoints = Checkpoints::open(notes, &chain)?;
        self.output.set_chain(chain, checkpoints);
        Ok(self)
    }

    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Writes what is there, at most 1,024 records of each shard, and returns how many records it took. An error of the
    /// sink loses records, which are counted, and nothing else.
    pub fn drain(&mut self) -> usize {
        let mut taken = 0;
        for receiver in &mut self.receivers {
            let records = std::iter::from_fn(|| receiver.pop()).take(TURN_RECORDS_MAX);
            for record in records {
                self.output.push(&record, &self.names, &self.counts);
                taken += 1;
            }
        }
        self.output.flush(&self.counts);
        taken
    }

    /// Drains until `stop` is set, and then what is left. Set it after the shards have ended.
    pub fn run(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            if self.drain() == 0 {
                thread::sleep(PAUSE);
            }
        }
        // Counted beforehand: a shard that still sends must not keep the process from ending.
        let left = self.receivers.iter().map(Receiver::len).max().unwrap_or(0);
        for _ in 0..left.div_ceil(TURN_RECORDS_MAX) {
            self.drain();
        }
        self.output.note(true);
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("counts", &self.counts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
