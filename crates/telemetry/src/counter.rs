//! A count that one thread writes and others read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A `u64` with a single writer: plain loads and stores, no locked instruction. A reader sees some recent value; two
/// counters read together need not be of the same moment.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// For the one writer only: an addition by another thread at the same moment would be forgotten.
    pub fn add(&self, amount: u64) {
        self.set(self.value().wrapping_add(amount));
    }
}
