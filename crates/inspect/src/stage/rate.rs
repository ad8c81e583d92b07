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

/// Takes a message of `size` bytes from all buckets, or from none.
///
/// # Errors
/// The first limit that it exceeds.
#[inline]
pub(crate) fn take(
    plan: &Plan,
    buckets: &mut [Bucket],
    size: usize,
    now_ns: u64,
) -> Result<Option<Finding>, Stop> {
    let exceeded = plan
        .buckets
        .iter()
        .zip(&mut *buckets)
        .find_map(|(each, bucket)| (!bucket.holds(&each.rate, cost(each, size), now_ns)).then_some(each));
    if let Some(each) = exceeded {
        let what = match each.counts {
            Counts::Messages => "messages a second",
            Counts::Bytes => "bytes a second",
        };
        let detail = format!("more {what} than the limit");
        return Err(Stop::Finding(Finding { rule: each.rule, action: each.action, at: None, detail }));
    }
    for (each, bucket) in plan.buckets.iter().zip(buckets) {
        bucket.take(&each.rate, cost(each, size), now_ns);
    }
    Ok(None)
}

fn cost(plan: &BucketPlan, size: usize) -> u64 {
    match plan.counts {
        Counts::Messages => 1,
        Counts::Bytes => size as u64,
    }
}
