//! Token buckets of many keys that all threads share: a table of fixed size, without locks.

use std::{
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::Rate;

/// Parts of a nanosecond in which debts are kept: 64 bits of them last for 36 years.
const TICKS_PER_NS: u64 = 16;
const TICKS_PER_SECOND: u64 = TICKS_PER_NS * 1_000_000_000;
/// Keys that may live in one place of the table.
const WAYS: usize = 8;

/// A bucket for each key, all of one [`Rate`]. Keys are hashes with a secret key: who sends can't choose which ones meet.
///
/// A bucket is one number, the time at which it will be full again (GCRA), and a full bucket needs no place: only keys that have
/// taken something a moment ago do. It is **exact** while no more than 8 of those meet in one place of the table, but for this:
///
/// - **Rounding**: what one take costs is rounded down to a sixteenth of a nanosecond's refill.
/// - **Eviction**: where a ninth key meets 8 that owe, the one that owes least is forgiven: a burst at most, each time. If a fourth
///   as many keys owe at once as the table has room for, one in 7,000 of them is forgiven; if half as many, one in 120; if as many,
///   one in 7.
/// - **Threads**: while a key comes into the table, each thread that takes for it at that moment may get one take more; and one
///   that takes for a key that is being evicted may have it booked on the key that comes.
#[derive(Debug)]
pub struct Shared {
    rate: Rate,
    burst_ticks: u64,
    places: Box<[Place]>,
}

/// Two cache lines that no other place shares.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place {
    keys: [AtomicU64; WAYS],
    /// When the bucket is full, in ticks. Not after now: it is.
    full_at: [AtomicU64; WAYS],
}

impl Shared {
    /// Full buckets for as many as `keys_max` keys that owe at once, raised to a power of two of at least 8.
    pub fn new(rate: Rate, keys_max: usize) -> Self {
        let places = keys_max.div_ceil(WAYS).max(1).next_power_of_two();
        let burst_ticks = ticks(&rate, rate.burst()).unwrap_or(u64::MAX);
        Self { rate, burst_ticks, places: (0..places).map(|_| Place::default()).collect() }
    }

    /// Bytes.
    pub fn memory_size(&self) -> u64 {
        size_of_val(&*self.places) as u64
    }

    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Whether `tokens` are there at `now_ns`; others may take them a moment later.
    #[inline]
    pub fn holds(&self, key: NonZeroU64, tokens: u64, now_ns: u64) -> bool {
        let Some(cost) = self.cost(tokens) else { return false };
        let now = now_ns.saturating_mul(TICKS_PER_NS);
        let place = self.place(key);
        let full_at = place.find(key).map_or(now, |way| place.full_at[way].load(Relaxed));
        self.next(full_at, cost, now).is_some()
    }

    /// Takes `tokens` if they are there at `now_ns`, all or none. A cost above the burst is never there.
    #[inline]
    pub fn take(&self, key: NonZeroU64, tokens: u64, now_ns: u64) -> bool {
        let Some(cost) = self.cost(tokens) else { return false };
        let now = now_ns.saturating_mul(TICKS_PER_NS);
        let place = self.place(key);
        let way = place.find(key).unwrap_or_else(|| place.insert(key, now));
        place.full_at[way].fetch_update(Relaxed, Relaxed, |full_at| self.next(full_at, cost, now)).is_ok()
    }

    /// When the bucket would be full after paying `cost`; `None`: it can't pay.
    #[inline]
    fn next(&self, full_at: u64, cost: u64, now: u64) -> Option<u64> {
        let next = full_at.max(now).checked_add(cost)?;
        (next <= now.saturating_add(self.burst_ticks)).then_some(next)
    }

    /// `None`: it is never there. A token or more costs a tick at least.
    #[inline]
    fn cost(&self, tokens: u64) -> Option<u64> {
        if tokens > self.rate.burst() {
            return None;
        }
        ticks(&self.rate, tokens).map(|ticks| ticks.max(u64::from(tokens > 0)))
    }

    #[inline]
    fn place(&self, key: NonZeroU64) -> &Place {
        &self.places[key.get() as usize & (self.places.len() - 1)]
    }
}

impl Place {
    #[inline]
    fn find(&self, key: NonZeroU64) -> Option<usize> {
        self.keys.iter().position(|each| each.load(Relaxed) == key.get())
    }

    /// Gives `key` the way of whoever owes least. Threads that take one away from each other try again.
    #[cold]
    fn insert(&self, key: NonZeroU64, now: u64) -> usize {
        for _ in 0..WAYS {
            let debts = self.full_at.iter().map(|full_at| full_at.load(Relaxed));
            let Some((way, full_at)) = debts.enumerate().min_by_key(|(_, full_at)| *full_at) else { break };
            let before = self.keys[way].load(Relaxed);
            if before == key.get() {
                return way;
            }
            if self.keys[way].compare_exchange(before, key.get(), Relaxed, Relaxed).is_ok() {
                // Somebody may have taken for the new key already; then the old debt stays, which is strict.
                let _ = self.full_at[way].compare_exchange(full_at, now, Relaxed, Relaxed);
                return way;
            }
            if let Some(way) = self.find(key) {
                return way;
            }
        }
        // Others were always faster: for once it pays from a bucket that is not its own.
        0
    }
}

/// How long `tokens` take to flow in.
#[inline]
fn ticks(rate: &Rate, tokens: u64) -> Option<u64> {
    match tokens.checked_mul(TICKS_PER_SECOND) {
        Some(scaled) => Some(scaled / rate.per_second()),
        None => {
            let scaled = u128::from(tokens) * u128::from(TICKS_PER_SECOND);
            u64::try_from(scaled / u128::from(rate.per_second())).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Barrier, atomic::AtomicUsize},
        thread,
    };

    use proptest::prelude::*;

    use super::*;
    use crate::Bucket;

    const SECOND_NS: u64 = 1_000_000_000;

    fn key(key: u64) -> NonZeroU64 {
        NonZeroU64::new(key).unwrap()
    }

    #[test]
    fn each_key_has_its_own_burst_and_rate() {
        let shared = Shared::new(Rate::new(10, 20), 64);
        for each in 1..=8 {
            let taken = (0..100).filter(|_| shared.take(key(each), 1, 5)).count();
            assert_eq!(taken, 20, "key {each}");
            assert!(!shared.holds(key(each), 1, 5));
        }
        assert!(!shared.take(key(1), 1, 5 + SECOND_NS / 10 - 1));
        assert!(shared.holds(key(1), 1, 5 + SECOND_NS / 10) && shared.take(key(1), 1, 5 + SECOND_NS / 10));
        assert!(!shared.take(key(1), 1, 5 + SECOND_NS / 10));
        assert_eq!((0..100).filter(|_| shared.take(key(2), 1, 60 * SECOND_NS)).count(), 20);
    }

    #[test]
    fn the_one_that_owes_least_makes_room() {
        let shared = Shared::new(Rate::new(1, 100), 1);
        for each in 1..=8 {
            assert!(shared.take(key(each), each, 0));
        }
        assert!(shared.take(key(9), 50, 0));
        assert!(shared.take(key(1), 100, 0), "forgiven: it owed 1");
        assert!(!shared.holds(key(8), 93, 0) && shared.holds(key(8), 92, 0), "and 8 still owes its own");
        // Who owes nothing any more takes no room from those who do.
        let now_ns = 20 * SECOND_NS;
        assert!((10..=14).all(|each| shared.take(key(each), 90, now_ns)));
        assert!(!shared.holds(key(1), 21, now_ns) && !shared.holds(key(9), 71, now_ns));
    }

    #[test]
    fn extremes_do_not_wrap() {
        let slow = Shared::new(Rate::new(1, u64::MAX), 1);
        let burst = Rate::new(1, u64::MAX).burst();
        assert!(!slow.take(key(1), u64::MAX, 0));
        let taken: u64 = (0..64).map(|_| burst / 64 * u64::from(slow.take(key(1), burst / 64, 0))).sum();
        assert!(taken <= burst);
        let fast = Shared::new(Rate::new(u64::MAX, u64::MAX), 1);
        assert!(fast.take(key(u64::MAX), burst, u64::MAX / 32));
        assert!(fast.take(key(7), 0, u64::MAX), "nothing is always there");
        assert!(!fast.take(key(7), 1, u64::MAX), "at the end of time nothing flows in");
    }

    /// Rates of which a token takes a whole number of ticks.
    fn even_rate() -> impl Strategy<Value = u64> {
        prop::sample::select(vec![1u64, 2, 5, 8, 10, 64, 100, 1_000, 50_000, 1_000_000])
    }

    proptest! {
        /// With no more keys than one place has room for it is a token bucket for each, to the nanosecond.
        #[test]
        fn as_an_exact_bucket_for_each_key(
            per_second in even_rate(),
            burst in 1..10_000u64,
            steps in prop::collection::vec((0..3 * SECOND_NS, 1..9u64, 0..5_000u64), 1..80),
        ) {
            let rate = Rate::new(per_second, burst);
            let shared = Shared::new(rate, 8);
            let mut exact = [Bucket::full(&rate, 0); 9];
            let mut now_ns = 0;
            for (wait_ns, own, tokens) in steps {
                now_ns += wait_ns;
                let holds = shared.holds(key(own), tokens, now_ns);
                let expected = exact[own as usize].take(&rate, tokens, now_ns);
                prop_assert_eq!(shared.take(key(own), tokens, now_ns), expected);
                prop_assert_eq!(holds, expected);
            }
        }

        /// Whatever the rate: no more than promised but for the rounding, and no less than a bucket that is a token smaller.
        #[test]
        fn near_an_exact_bucket_at_any_rate(
            per_second in 1..17_179_869_184u64,
            burst in 2..100_000u64,
            steps in prop::collection::vec((0..SECOND_NS, 1..3_000u64), 1..80),
        ) {
            let shared = Shared::new(Rate::new(per_second, burst), 8);
            let (mut now_ns, mut passed, mut takes) = (0u64, 0u128, 0u128);
            for (wait_ns, tokens) in steps {
                now_ns += wait_ns;
                if shared.take(key(3), tokens, now_ns) {
                    passed += u128::from(tokens);
                    takes += 1;
                }
            }
            let flowed = u128::from(now_ns) * u128::from(per_second) / u128::from(SECOND_NS);
            let rounding = takes * u128::from(per_second) / u128::from(TICKS_PER_SECOND) + 1;
            prop_assert!(passed <= u128::from(burst) + flowed + rounding);
        }
    }

    /// Threads that take for the same keys at once, in a table that is far too small for them, and for one that is not.
    #[test]
    fn threads_together_take_no_more_than_the_bound() {
        const THREADS: u64 = 4;
        const BURST: u64 = 1_000;
        for (keys, keys_max) in [(1, 8), (8, 8), (64, 1024)] {
            let shared = Shared::new(Rate::new(1, BURST), keys_max);
            let taken: Vec<_> = (0..=keys).map(|_| AtomicUsize::new(0)).collect();
            let barrier = Barrier::new(THREADS as usize);
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        barrier.wait();
                        for _ in 0..2 * BURST {
                            for own in 1..=keys {
                                if shared.take(key(own << 3), 1, 0) {
                                    taken[own as usize].fetch_add(1, Relaxed);
                                }
                            }
                        }
                    });
                }
            });
            for own in 1..=keys {
                let taken = taken[own as usize].load(Relaxed) as u64;
                assert!((BURST..=BURST + THREADS).contains(&taken), "key {own} of {keys}: {taken}");
            }
        }
    }

    /// What the type's documentation says of evictions.
    #[test]
    fn few_are_forgiven_in_a_table_that_is_not_full() {
        const ROOM: u64 = 1 << 19;
        // SplitMix64: any good hash will do.
        let hash = |own: u64| {
            let mut hash = own.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            key(hash ^ (hash >> 31))
        };
        for (owing, one_in_min, one_in_max) in [(ROOM / 4, 4_000, 15_000), (ROOM / 2, 100, 150), (ROOM, 6, 8)]
        {
            let shared = Shared::new(Rate::new(1, 1), ROOM as usize);
            assert!((1..=owing).all(|own| shared.take(hash(own), 1, 0)));
            let forgiven = (1..=owing).filter(|own| shared.holds(hash(*own), 1, 0)).count() as u64;
            let one_in = owing / forgiven.max(1);
            assert!((one_in_min..=one_in_max).contains(&one_in), "{owing}: one in {one_in}");
        }
    }
}
