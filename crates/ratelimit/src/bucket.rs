//! One token bucket: 16 bytes, no clock, no rounding.

/// Nanoseconds of a second, and parts of a token: `per_second` tokens a second are `per_second` parts a nanosecond,
/// so refilling is exact in integers.
const PARTS: u64 = 1_000_000_000;

/// How fast tokens flow in, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_second: u64,
    burst: u64,
}

impl Rate {
    /// The most tokens that a bucket can keep.
    pub const BURST_MAX: u64 = u64::MAX / PARTS;

    /// `per_second` tokens flow in, at most `burst` are kept. Both are raised to 1, and `burst` is lowered to
    /// [`Rate::BURST_MAX`].
    pub fn new(per_second: u64, burst: u64) -> Self {
        Self { per_second: per_second.max(1), burst: burst.clamp(1, Self::BURST_MAX) }
    }

    pub fn per_second(&self) -> u64 {
        self.per_second
    }

    pub fn burst(&self) -> u64 {
        self.burst
    }
}

/// A bucket that starts full. Its owner keeps the [`Rate`], which many buckets share.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    parts: u64,
    updated_ns: u64,
}

impl Bucket {
    /// A full bucket at `now_ns`, nanoseconds on the caller's monotone clock.
    pub fn full(rate: &Rate, now_ns: u64) -> Self {
        Self { parts: rate.burst * PARTS, updated_ns: now_ns }
    }

    /// Whether `tokens` are there at `now_ns`. A cost above the burst is never there.
    #[inline]
    pub fn holds(&mut self, rate: &Rate, tokens: u64, now_ns: u64) -> bool {
        self.refill(rate, now_ns);
        self.parts / PARTS >= tokens
    }

    /// Takes `tokens` if they are there, all or none.
    #[inline]
    pub fn take(&mut self, rate: &Rate, tokens: u64, now_ns: u64) -> bool {
        let held = self.holds(rate, tokens, now_ns);
        if held {
            self.parts -= tokens * PARTS;
        }
        held
    }

    /// A clock that goes back, or stands, adds nothing.
    #[inline]
    fn refill(&mut self, rate: &Rate, now_ns: u64) {
        let elapsed_ns = now_ns.saturating_sub(self.updated_ns);
        if elapsed_ns > 0 {
            let full = rate.burst * PARTS;
            self.parts = self.parts.saturating_add(elapsed_ns.saturating_mul(rate.per_second)).min(full);
            self.updated_ns = now_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = PARTS;

    #[test]
    fn a_burst_then_the_rate() {
        let rate = Rate::new(100, 200);
        let mut bucket = Bucket::full(&rate, 5);
        assert_eq!((0..1000).filter(|_| bucket.take(&rate, 1, 5)).count(), 200);
        assert!(!bucket.take(&rate, 1, 5 + SECOND / 100 - 1));
        assert!(bucket.take(&rate, 1, 5 + SECOND / 100));
        assert_eq!((0..1000).filter(|_| bucket.take(&rate, 1, 5 + 2 * SECOND)).count(), 199);
    }

    #[test]
    fn small_rates_refill_though_asked_often() {
        let rate = Rate::new(1, 1);
        let mut bucket = Bucket::full(&rate, 0);
        assert!(bucket.take(&rate, 1, 0));
        let taken: u64 = (1..=3000).map(|ms| u64::from(bucket.take(&rate, 1, ms * 1_000_000))).sum();
        assert_eq!(taken, 3);
    }

    #[test]
    fn extremes_do_not_wrap() {
        let rate = Rate::new(u64::MAX, u64::MAX);
        let mut bucket = Bucket::full(&rate, u64::MAX);
        assert!(bucket.take(&rate, Rate::BURST_MAX, u64::MAX));
        assert!(!bucket.take(&rate, u64::MAX, u64::MAX));
        assert!(!bucket.take(&rate, 1, 0));
    }

    proptest! {
        /// Over any history no more passes than the burst and what flowed in.
        #[test]
        fn never_more_than_promised(
            per_second in 1..1_000_000u64,
            burst in 1..10_000u64,
            steps in prop::collection::vec((0..3 * SECOND, 0..5_000u64), 1..50),
        ) {
            let rate = Rate::new(per_second, burst);
            let mut bucket = Bucket::full(&rate, 0);
            let (mut now, mut passed) = (0, 0u64);
            for (wait, tokens) in steps {
                now += wait;
                if bucket.take(&rate, tokens, now) {
                    passed += tokens;
                }
            }
            let flowed = u128::from(now) * u128::from(per_second) / u128::from(SECOND);
            prop_assert!(u128::from(passed) <= u128::from(burst) + flowed);
        }
    }
}
