//! Buckets of one rate limit in one direction of a connection.

use std::num::NonZeroU64;

use wsi_policy::Direction;
use wsi_ratelimit::{Bucket, Rate};

use crate::{
    engine::{Buckets, Counts, Engine, KnownType, RatePlan, Rates},
    stage::rate::Cost,
};

/// By [`Counts`].
type Buckets3 = [Bucket; 3];

/// Others than named types have the highest bit in their keys.
const OTHER: u64 = 1 << 63;

#[derive(Debug)]
pub(crate) struct RateState {
    /// The connection's own, which types without one share; then those of types, in the order of `keys`.
    buckets: Vec<Buckets3>,
    keys: Vec<u64>,
    /// Of `keys`, those of types that are not named.
    others: usize,
    due: Due,
}

/// What the message that is being judged would take, and from where.
#[derive(Debug)]
struct Due {
    at: usize,
    tokens: [u64; 3],
    rates: Rates,
}

/// Who takes tokens, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taker<'a> {
    pub engine: &'a Engine,
    pub client: NonZeroU64,
    pub direction: Direction,
    pub now_ns: u64,
}

impl Taker<'_> {
    /// Each direction of a client's has buckets of its own.
    fn key(&self) -> NonZeroU64 {
        match self.direction {
            Direction::ToServer => self.client,
            Direction::ToClient => NonZeroU64::new(!self.client.get()).unwrap_or(NonZeroU64::MIN),
        }
    }
}

impl RateState {
    pub fn new(plan: &RatePlan, now_ns: u64) -> Self {
        let buckets = match &plan.buckets {
            Buckets::Own | Buckets::OfTypes { .. } => vec![full(&plan.rates, now_ns)],
            Buckets::Shared(_) => Vec::new(),
        };
        Self { buckets, keys: Vec::new(), others: 0, due: Due { at: 0, tokens: [0; 3], rates: plan.rates } }
    }

    /// Whether the tokens are there that a message takes, whose type is called `name` if it has one.
    ///
    /// # Errors
    /// What there are too few of.
    pub fn holds(
        &mut self,
        plan: &RatePlan,
        name: Option<&str>,
        cost: Cost,
        taker: Taker<'_>,
    ) -> Result<(), Counts> {
        let known = name.and_then(|name| plan.types.as_ref()?.known.get(name));
        let factor = known.map_or(1, |known| known.cost);
        let tokens =
            [plan.cost(cost.messages, cost.bytes).saturating_mul(factor), cost.bytes, cost.inflated_bytes];
        let rates = known.map_or(plan.rates, |known| known.rates);
        let at = match plan.buckets {
            Buckets::OfTypes { others_max } => self.place(name, known, &rates, others_max, taker),
            Buckets::Own | Buckets::Shared(_) => 0,
        };
        self.due = Due { at, tokens, rates };
        let is_short = |counts: &Counts| match (&plan.buckets, self.buckets.get_mut(at)) {
            (Buckets::Shared(tables), _) => tables[*counts as usize]
                .as_ref()
                .is_some_and(|table| !table.holds(taker.key(), tokens[*counts as usize], taker.now_ns)),
            (_, Some(buckets)) => rates[*counts as usize].is_some_and(|rate| {
                !buckets[*counts as usize].holds(&rate, tokens[*counts as usize], taker.now_ns)
            }),
            (_, None) => false,
        };
        Counts::ALL.iter().copied().find(is_short).map_or(Ok(()), Err)
    }

    /// Takes what was asked for last.
    ///
    /// # Errors
    /// Others have taken it meanwhile.
    pub fn take(&mut self, plan: &RatePlan, taker: Taker<'_>) -> Result<(), Counts> {
        let Due { at, tokens, rates } = &self.due;
        for counts in Counts::ALL {
            let tokens = tokens[counts as usize];
            let taken = match (&plan.buckets, self.buckets.get_mut(*at)) {
                (Buckets::Shared(tables), _) => tables[counts as usize]
                    .as_ref()
                    .is_none_or(|table| table.take(taker.key(), tokens, taker.now_ns)),
                (_, Some(buckets)) => rates[counts as usize]
                    .is_none_or(|rate| buckets[counts as usize].take(&rate, tokens, taker.now_ns)),
                (_, None) => true,
            };
            if !taken {
                return Err(counts);
            }
        }
        Ok(())
    }

    /// Where a type has its buckets: types that are named always, and so many others; all else has the first.
    fn place(
        &mut self,
        name: Option<&str>,
        known: Option<&KnownType>,
        rates: &Rates,
        others_max: usize,
        taker: Taker<'_>,
    ) -> usize {
        let key = match (known, name) {
            (Some(known), _) => known.number.into(),
            (None, Some(name)) => taker.engine.hash(name) | OTHER,
            (None, None) => return 0,
        };
        if let Some(at) = self.keys.iter().position(|each| *each == key) {
            return at + 1;
        }
        if known.is_none() {
            if self.others >= others_max {
                return 0;
            }
            self.others += 1;
        }
        self.keys.push(key);
        self.buckets.push(full(rates, taker.now_ns));
        self.keys.len()
    }

    /// Memory that has come since the beginning, in bytes.
    pub fn memory_size(&self) -> u64 {
        let buckets = self.buckets.capacity().saturating_sub(1) * size_of::<Buckets3>();
        (buckets + self.keys.capacity() * size_of::<u64>()) as u64
    }

    /// The most that may come, in bytes.
    pub fn memory_size_max(plan: &RatePlan) -> u64 {
        // They double when they grow, from four on.
        let capacity_max = match plan.types_max() as u64 {
            0 => 0,
            types_max => 2 * (types_max + 1).max(4),
        };
        capacity_max * (size_of::<Buckets3>() + size_of::<u64>()) as u64
    }

    /// What is there from the beginning, in bytes.
    pub fn memory_size_at_first(plan: &RatePlan) -> u64 {
        match plan.buckets {
            Buckets::Own | Buckets::OfTypes { .. } => size_of::<Buckets3>() as u64,
            Buckets::Shared(_) => 0,
        }
    }
}

fn full(rates: &Rates, now_ns: u64) -> Buckets3 {
    rates.map(|rate| Bucket::full(&rate.unwrap_or(Rate::new(1, 1)), now_ns))
}
