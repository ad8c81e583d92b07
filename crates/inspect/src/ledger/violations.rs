//! The violation budget: how many messages of an endpoint were dropped or alerted on of late.

use wsi_policy::{Action, CloseCode, Direction};

use super::Ledger;
use crate::{
    engine::ViolationPlan,
    event::{Event, EventSink, Outcome},
    pipeline::Finding,
};

/// When they were, the oldest first; never more than one beyond the budget.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    times_ns: Vec<u64>,
}

impl Recent {
    /// Adds one. `true`: they are more than the budget allows; then all are forgotten, so that it is told once.
    fn add(&mut self, plan: &ViolationPlan, now_ns: u64) -> bool {
        let is_recent = |since_ns: &u64| now_ns.saturating_sub(*since_ns) < plan.within_ns;
        self.times_ns.retain(is_recent);
        self.times_ns.push(now_ns);
        let is_exceeded = self.times_ns.len() > plan.max as usize;
        if is_exceeded {
            self.times_ns.clear();
        }
        is_exceeded
    }

    pub fn memory_size(&self) -> u64 {
        (self.times_ns.capacity() * size_of::<u64>()) as u64
    }

    pub fn memory_size_max(plan: &ViolationPlan) -> u64 {
        // It doubles when it grows.
        2 * (u64::from(plan.max) + 1).max(4) * size_of::<u64>() as u64
    }
}

/// Passes on what is told of a message, and notices whether it was dropped or alerted on, or would have been.
pub(crate) struct Tally<'a> {
    pub sink: &'a mut dyn EventSink,
    pub is_violation: bool,
}

impl EventSink for Tally<'_> {
    fn policy_chosen(&mut self, policy: usize) {
        self.sink.policy_chosen(policy);
    }

    fn event(&mut self, event: Event<'_>) {
        if let Event::Verdict(verdict) = &event {
            let counts = matches!(verdict.outcome, Outcome::Message(Action::Drop | Action::Alert));
            self.is_violation |= counts;
        }
        self.sink.event(event);
    }
}

/// Counts a violation in `direction`. `Some(..)`: it is one too many.
pub(crate) fn settle(
    plan: &ViolationPlan,
    ledger: &mut Ledger,
    direction: Direction,
    now_ns: u64,
) -> Option<Finding> {
    let is_exceeded =
        plan.directions.contains(direction) && ledger.violations[direction.index()].add(plan, now_ns);
    is_exceeded.then(|| Finding {
        rule: plan.rule,
        action: Action::Close(CloseCode::POLICY_VIOLATION),
        at: None,
        detail: format!(
            "more than {} messages were dropped or alerted on within {} s",
            plan.max,
            plan.within_ns / 1_000_000_000
        ),
    })
}
