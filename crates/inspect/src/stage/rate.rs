//! Rate: the connection's token buckets, and those of types of messages and of clients.

use std::borrow::Cow;

use wsi_policy::Direction;
use wsi_ratelimit::Bucket;

use super::schema::Decoded;
use crate::{
    engine::{BucketPlan, Buckets, Counts, Engine, Plan, RatePlan},
    ledger::{Ledger, Taker},
    pipeline::{Finding, Stop},
};

/// Full buckets for a new connection, in the order of the plan.
pub(crate) fn buckets(plan: &Plan, now_ns: u64) -> Box<[Bucket]> {
    plan.buckets.iter().map(|each| Bucket::full(&each.rate, now_ns)).collect()
}

/// Whether buckets of one plan can go on under the other.
pub(crate) fn are_alike(before: &Plan, after: &Plan) -> bool {
    let rates = |plan: &Plan| plan.buckets.iter().map(|each| (each.rate, each.counts)).collect::<Vec<_>>();
    rates(before) == rates(after)
}

/// What is taken from the buckets: messages, and bytes of payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub messages: u64,
    pub bytes: u64,
    /// Of `bytes`, those that came compressed.
    pub inflated_bytes: u64,
}

impl Cost {
    pub const fn new(messages: u64, size: usize, was_compressed: bool) -> Self {
        let bytes = size as u64;
        Self { messages, bytes, inflated_bytes: if was_compressed { bytes } else { 0 } }
    }

    fn of(self, plan: &BucketPlan) -> u64 {
        match plan.counts {
            Counts::Messages => self.messages,
            Counts::Bytes => self.bytes,
            Counts::InflatedBytes => self.inflated_bytes,
        }
    }
}

/// What one direction of a connection has, at one time.
#[derive(Debug)]
pub(crate) struct Rated<'a> {
    pub buckets: &'a mut [Bucket],
    pub ledger: Option<&'a mut Ledger>,
    pub now_ns: u64,
}

/// What is rated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rating<'a> {
    pub engine: &'a Engine,
    pub direction: Direction,
    pub cost: Cost,
    /// A message that is there as a whole, and has been decoded for somebody.
    pub decoded: Option<&'a Decoded<'a>>,
}

/// Takes what a message costs from all buckets, or from none.
///
/// # Errors
/// The first limit that it exceeds.
#[inline]
pub(crate) fn take(plan: &Plan, rated: &mut Rated<'_>, rating: Rating<'_>) -> Result<Option<Finding>, Stop> {
    let Rated { buckets, now_ns, .. } = rated;
    let cost = rating.cost;
    let exceeded = plan
        .buckets
        .iter()
        .zip(&mut **buckets)
        .find_map(|(each, bucket)| (!bucket.holds(&each.rate, cost.of(each), *now_ns)).then_some(each));
    if let Some(each) = exceeded {
        let detail = format!("more {} than the limit", name(each.counts));
        return Err(Stop::Finding(Finding { rule: each.rule, action: each.action, at: None, detail }));
    }
    if !plan.rates.is_empty() {
        take_by_rule(plan, rated, rating)?;
    }
    for (each, bucket) in plan.buckets.iter().zip(&mut *rated.buckets) {
        bucket.take(&each.rate, cost.of(each), rated.now_ns);
    }
    Ok(None)
}

/// The limits that are no plain buckets: what all of them hold is taken. Of a client's buckets another thread may have taken
/// meanwhile; then nothing passes, and what was taken before stays taken.
fn take_by_rule(plan: &Plan, rated: &mut Rated<'_>, rating: Rating<'_>) -> Result<(), Stop> {
    let Some(ledger) = &mut rated.ledger else { return Ok(()) };
    let Rating { engine, direction, cost, decoded } = rating;
    let taker = Taker { engine, client: ledger.client, direction, now_ns: rated.now_ns };
    for each in &plan.rates {
        let name = type_of(each, decoded);
        if let Some(state) = ledger.rate(each, direction) {
            state.holds(each, name.as_deref(), cost, taker).map_err(|counts| exceeded(each, counts))?;
        }
    }
    for each in &plan.rates {
        if let Some(state) = ledger.rate(each, direction) {
            state.take(each, taker).map_err(|counts| exceeded(each, counts))?;
        }
    }
    Ok(())
}

fn type_of<'a>(plan: &'a RatePlan, decoded: Option<&'a Decoded<'_>>) -> Option<Cow<'a, str>> {
    let types = plan.types.as_ref()?;
    decoded?.name(&types.format, &types.place)
}

fn exceeded(plan: &RatePlan, counts: Counts) -> Stop {
    let whose = match plan.buckets {
        Buckets::Own => "",
        Buckets::OfTypes { .. } => " of this type",
        Buckets::Shared(_) => " from this client",
    };
    let detail = format!("more {}{whose} than the limit", name(counts));
    Stop::Finding(Finding { rule: plan.rule, action: plan.limit.action, at: None, detail })
}

const fn name(counts: Counts) -> &'static str {
    match counts {
        Counts::Messages => "messages a second",
        Counts::Bytes => "bytes a second",
        Counts::InflatedBytes => "inflated bytes a second",
    }
}
