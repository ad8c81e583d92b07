//! A policy's rules, compiled one by one, and put together for a direction and a subprotocol.

use std::sync::Arc;

use wsi_policy::{Direction, MessageTypes, Mode, Policy, RateLimit, Rewrite, Validation};
use wsi_ws::WireLimits;

use super::{
    BucketPlan, FilterRules, Plan, ScanPlan, StreamPlan, ViolationPlan,
    format::Format,
    rates::{self, Counts, RatePlan},
    rewrites::RewritePlan,
    schemas::{SchemaPlan, Schemas},
    states::StatePlan,
};
use crate::rules::RuleId;

/// A policy's rules, compiled, of which [`Plan`]s are put together.
pub(super) struct Parts<'p> {
    pub policy: &'p Policy,
    pub filters: Vec<FilterRules<'p>>,
    pub scan: [Option<Arc<ScanPlan>>; 2],
    pub validations: Vec<(&'p Validation, RuleId, Schemas)>,
    pub rates: Vec<RateRule<'p>>,
    pub rewrites: Vec<(&'p Rewrite, Arc<RewritePlan>)>,
    pub violations: Option<ViolationPlan>,
    pub states: Vec<Arc<StatePlan>>,
}

pub(super) struct RateRule<'p> {
    pub limit: &'p RateLimit,
    pub rule: RuleId,
    /// `None`: it is no more than buckets of the connection.
    pub plan: Option<Arc<RatePlan>>,
}

impl Parts<'_> {
    /// Those that some rule tells from the others, each once.
    pub fn subprotocols(&self) -> Vec<&str> {
        let validations = self.policy.validations.iter();
        let mut names: Vec<_> =
            validations.flat_map(|each| each.subprotocols.iter().flatten()).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// For connections that agreed on `subprotocol`.
    pub fn plans(&self, subprotocol: Option<&str>) -> [Plan; 2] {
        Direction::BOTH.map(|direction| self.plan(direction, subprotocol))
    }

    fn plan(&self, direction: Direction, subprotocol: Option<&str>) -> Plan {
        let filters = self.filters.iter().filter(|rules| rules.filter.directions.contains(direction));
        let size = filters.filter_map(|rules| rules.size).min_by_key(|(size, _)| *size);
        let rates = self.rates.iter().filter(|rate| rate.limit.directions.contains(direction));
        let (plain, by_rule): (Vec<_>, Vec<_>) = rates.partition(|rate| rate.plan.is_none());
        let by_rule: Vec<_> = by_rule.into_iter().filter_map(|rate| rate.plan.clone()).collect();
        let validations = self.validations.iter().filter(|(validation, ..)| {
            validation.directions.contains(direction) && validation.holds_for(subprotocol)
        });
        // Detect mode carries nothing out.
        let is_enforced = self.policy.mode == Mode::Enforce;
        let rewrites =
            self.rewrites.iter().filter(|(rewrite, _)| rewrite.directions.contains(direction) && is_enforced);
        // First of all, so that the others see what is left.
        let strips = validations.clone().filter(|_| is_enforced);
        let strips = strips
            .filter_map(|(validation, rule, schemas)| RewritePlan::stripping(validation, *rule, schemas));
        let rewrites = strips.chain(rewrites.map(|(_, plan)| Arc::clone(plan))).collect();
        let states = self.states.iter().filter(|plan| plan.holds_in(direction));
        let states: Vec<_> = states.cloned().collect();
        let plan = Plan {
            wire: wire_limits(self.policy, size.map(|(size, _)| size)),
            size,
            buckets: plain.into_iter().flat_map(|rate| bucket_plans(rate.limit, rate.rule)).collect(),
            readings: readings(&by_rule, &states),
            rates: by_rule,
            states,
            scan: self.scan[direction.index()].clone(),
            schemas: validations
                .map(|(validation, rule, schemas)| SchemaPlan {
                    schemas: schemas.clone(),
                    messages: validation.messages,
                    rule: *rule,
                    action: validation.action,
                })
                .collect(),
            rewrites,
            stream: StreamPlan::default(),
        };
        Plan { stream: StreamPlan::new(&self.policy.limits, self.policy.mode, &plan), ..plan }
    }
}

fn readings(rates: &[Arc<RatePlan>], states: &[Arc<StatePlan>]) -> Vec<(MessageTypes, Format)> {
    let types = rates.iter().filter_map(|plan| plan.types.as_ref());
    let types = types.map(|types| (types.messages, types.format.clone()));
    let states = states.iter().filter_map(|plan| Some((plan.config.reading.messages, plan.format.clone()?)));
    types.chain(states).collect()
}

/// Detect mode must be able to let a message pass that enforcing would have refused, so there the memory bound
/// alone decides what is held.
pub(super) fn wire_limits(policy: &Policy, filter_size: Option<u64>) -> WireLimits {
    let limits = &policy.limits;
    let message_size_max = match (policy.mode, filter_size) {
        (_, None) => limits.message_size_max,
        (Mode::Enforce, Some(size)) => size,
        (Mode::Detect, Some(size)) => size.max(limits.message_size_max),
    };
    let frame_size_max = limits.frame_size_max.unwrap_or(message_size_max);
    WireLimits {
        frame_size_max,
        message_size_max,
        fragments_max: limits.fragments_max,
        inflate_ratio_max: limits.inflate_ratio_max,
    }
}

fn bucket_plans(limit: &RateLimit, rule: RuleId) -> impl Iterator<Item = BucketPlan> {
    let action = limit.action;
    Counts::ALL.into_iter().zip(rates::rates(&limit.rates)).filter_map(move |(counts, rate)| {
        let rate = rate?;
        Some(BucketPlan { rate, counts, rule, action })
    })
}
