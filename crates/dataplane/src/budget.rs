//! How much of the traffic on its way the process may hold, and what each shard has of that.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The largest share that a shard takes at once, in bytes.
const SHARE_SIZE_MAX: u64 = 64 << 10;
/// Shares in the smallest budgets.
const SHARES: u64 = 1024;

/// The budget of the process. Shards take shares of it, so that they count in plain integers and touch what is common once for
/// many messages.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    taken: Arc<Taken>,
    max: u64,
}

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Taken(AtomicU64);

/// What a shard's connections hold, and the shares that it has taken for that.
///
/// Everything that is held lies within shares, and shares never exceed the budget; but what a connection came to hold is known
/// only after the step that made it grow. So the process exceeds its budget by at most one such step a shard, for the moment
/// until that connection has been told and has let go.
#[derive(Debug)]
pub(crate) struct Holdings {
    budget: Budget,
    share_size: u64,
    held: u64,
    taken: u64,
}

impl Budget {
    pub fn new(max: u64) -> Self {
        Self { taken: Arc::default(), max }
    }
}

impl Holdings {
    pub fn new(budget: Budget) -> Self {
        let share_size = (budget.max / SHARES).clamp(1, SHARE_SIZE_MAX);
        Self { budget, share_size, held: 0, taken: 0 }
    }

    /// Bytes.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Counts a connection that held `before` bytes and now holds `now`. `false`: it has grown, and there is no room for that.
    #[inline]
    pub fn account(&mut self, before: u64, now: u64) -> bool {
        self.held = self.held.saturating_sub(before).saturating_add(now);
        now <= before || self.held <= self.taken || self.take()
    }

    /// There is no share left.
    pub fn is_full(&self) -> bool {
        self.budget.taken.0.load(Relaxed).saturating_add(self.share_size) > self.budget.max
    }

    /// Gives back what is not needed; once a turn.
    #[inline]
    pub fn give_back(&mut self) {
        // One share is kept while anything is held: what comes and goes with each message is no news to the others.
        let needed = if self.held == 0 { 0 } else { self.rounded() + self.share_size };
        if self.taken > needed {
            self.budget.taken.0.fetch_sub(self.taken - needed, Relaxed);
            self.taken = needed;
        }
    }

    #[cold]
    fn take(&mut self) -> bool {
        let wanted = self.rounded() - self.taken;
        let max = self.budget.max;
        let more = |taken: u64| taken.checked_add(wanted).filter(|taken| *taken <= max);
        let has_taken = self.budget.taken.0.fetch_update(Relaxed, Relaxed, more).is_ok();
        if has_taken {
            self.taken += wanted;
        }
        has_taken
    }

    fn rounded(&self) -> u64 {
        self.held.div_ceil(self.share_size).saturating_mul(self.share_size)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: u64 = 1 << 20;

    proptest! {
        /// Whatever connections of three shards grow and shrink by, all that was not refused fits the budget.
        #[test]
        fn never_more_than_the_budget(events in prop::collection::vec((0..3usize, 0..8usize, 0..MAX, any::<bool>()), 1..200)) {
            let budget = Budget::new(MAX);
            let mut shards: Vec<_> = (0..3).map(|_| (Holdings::new(budget.clone()), [0; 8])).collect();
            for (shard, connection, size, ends_turn) in events {
                let (holdings, sizes) = &mut shards[shard];
                if holdings.account(sizes[connection], size) {
                    sizes[connection] = size;
                } else {
                    // As a connection that is refused does.
                    prop_assert!(holdings.account(size, 0));
                    sizes[connection] = 0;
                }
                if ends_turn {
                    holdings.give_back();
                }
                prop_assert_eq!(holdings.held(), sizes.iter().sum::<u64>());
                let held: u64 = shards.iter().map(|(holdings, _)| holdings.held()).sum();
                let taken = budget.taken.0.load(Relaxed);
                prop_assert_eq!(taken, shards.iter().map(|(holdings, _)| holdings.taken).sum::<u64>());
                prop_assert!(held <= taken && taken <= MAX);
            }
        }
    }

    #[test]
    fn all_of_it_can_be_had_and_is_given_back() {
        let budget = Budget::new(MAX);
        let (mut one, mut other) = (Holdings::new(budget.clone()), Holdings::new(budget.clone()));
        assert!(one.account(0, MAX));
        assert!(one.is_full() && other.is_full());
        assert!(!other.account(0, 1));
        assert!(other.account(1, 0), "less is never refused");
        assert!(one.account(MAX, 0));
        one.give_back();
        assert!(!other.is_full() && other.account(0, MAX));
    }
}
