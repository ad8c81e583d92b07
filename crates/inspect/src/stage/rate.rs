//! Rate: the connection's token buckets.

use wsi_ratelimit::Bucket;

use crate::{
    engine::{BucketPlan, Counts, Plan},
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
}

impl Cost {
    /// A message that is there as a whole.
    pub const fn message(size: usize) -> Self {
        Self { messages: 1, bytes: size as u64 }
    }

    fn of(self, plan: &BucketPlan) -> u64 {
        match plan.counts {
            Counts::Messages => self.messages,
            Counts::Bytes => self.bytes,
        }
    }
}

/// The buckets of one direction, at one time.
#[derive(Debug)]
pub(crate) struct Rated<'a> {
    pub buckets: &'a mut [Bucket],
    pub now_ns: u64,
}

/// Takes `cost` from all buckets, or from none.
///
/// # Errors
/// The first limit that it exceeds.
#[inline]
pub(crate) fn take(plan: &Plan, rated: &mut Rated<'_>, cost: Cost) -> Result<Option<Finding>, Stop> {
    let Rated { buckets, now_ns } = rated;
    let exceeded = plan
        .buckets
        .iter()
        .zip(&mut **buckets)
        .find_map(|(each, bucket)| (!bucket.holds(&each.rate, cost.of(each), *now_ns)).then_some(each));
    if let Some(each) = exceeded {
        let what = match each.counts {
            Counts::Messages => "messages a second",
            Counts::Bytes => "bytes a second",
        };
        let detail = format!("more {what} than the limit");
        return Err(Stop::Finding(Finding { rule: each.rule, action: each.action, at: None, detail }));
    }
    for (each, bucket) in plan.buckets.iter().zip(&mut **buckets) {
        bucket.take(&each.rate, cost.of(each), *now_ns);
    }
    Ok(None)
}
