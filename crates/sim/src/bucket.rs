//! Rates, the plain way.

use wsi_policy::Rate;

/// A token bucket the plain way.
#[derive(Debug)]
pub struct Bucket {
    rate: Rate,
    counts_bytes: bool,
    /// In billionths of a token, so that a nanosecond brings `per_second` of them.
    level: u128,
    updated_ns: u64,
}

impl Bucket {
    const TOKEN: u128 = 1_000_000_000;

    pub fn new(rate: Rate, counts_bytes: bool) -> Self {
        Self { rate, counts_bytes, level: u128::from(rate.burst) * Self::TOKEN, updated_ns: 0 }
    }

    pub fn holds(&mut self, size: usize, now_ns: u64) -> bool {
        let came = u128::from(now_ns - self.updated_ns) * u128::from(self.rate.per_second);
        self.level = (self.level + came).min(u128::from(self.rate.burst) * Self::TOKEN);
        self.updated_ns = now_ns;
        self.level >= self.cost(size)
    }

    pub fn spend(&mut self, size: usize) {
        self.level -= self.cost(size);
    }

    pub fn take(&mut self, size: usize, now_ns: u64) -> bool {
        let held = self.holds(size, now_ns);
        if held {
            self.spend(size);
        }
        held
    }

    fn cost(&self, size: usize) -> u128 {
        if self.counts_bytes { size as u128 * Self::TOKEN } else { Self::TOKEN }
    }
}
