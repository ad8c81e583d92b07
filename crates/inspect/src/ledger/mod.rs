//! What rules remember of one connection, beside the buckets that it has in any case.

mod rates;
mod recall;
mod states;
mod violations;

use std::{net::IpAddr, num::NonZeroU64, sync::Arc};

use wsi_policy::Direction;

use self::violations::Recent;
pub(crate) use self::{
    rates::{RateState, Taker},
    states::{Sent, StateMemory, Value},
    violations::{Tally, settle},
};
use crate::engine::{Engine, RatePlan, StatePlan};

/// One connection's. There is none where no rule asks for it.
///
/// What is remembered under a rule goes on when the policy is replaced by another in which that rule is the same.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Whose connection it is.
    pub client: NonZeroU64,
    rates: Vec<RateEntry>,
    violations: [Recent; 2],
    states: Vec<StateEntry>,
}

#[derive(Debug)]
struct RateEntry {
    plan: Arc<RatePlan>,
    /// By [`Direction::index`].
    states: [RateState; 2],
}

#[derive(Debug)]
struct StateEntry {
    plan: Arc<StatePlan>,
    memory: StateMemory,
}

impl Ledger {
    /// `client` as [`Engine::client_key`] has it.
    pub fn new(engine: &Engine, client: NonZeroU64, now_ns: u64) -> Option<Box<Self>> {
        if !engine.remembers() {
            return None;
        }
        let entry = |plan: &Arc<RatePlan>| RateEntry {
            plan: Arc::clone(plan),
            states: Direction::BOTH.map(|_| RateState::new(plan, now_ns)),
        };
        Some(Box::new(Self {
            client,
            rates: engine.rate_plans.iter().map(entry).collect(),
            violations: Default::default(),
            states: engine
                .state_plans
                .iter()
                .map(|plan| StateEntry { plan: Arc::clone(plan), memory: StateMemory::new(plan) })
                .collect(),
        }))
    }

    /// What goes on under `engine`, which takes the place of another.
    pub fn adopted(
        ledger: Option<Box<Self>>,
        engine: &Engine,
        client: NonZeroU64,
        now_ns: u64,
    ) -> Option<Box<Self>> {
        let mut adopted = Self::new(engine, client, now_ns)?;
        let Some(mut before) = ledger else { return Some(adopted) };
        for entry in &mut adopted.rates {
            if let Some(old) = before.rates.iter_mut().find(|old| old.plan.limit == entry.plan.limit) {
                std::mem::swap(&mut entry.states, &mut old.states);
            }
        }
        for entry in &mut adopted.states {
            if let Some(old) = before.states.iter_mut().find(|old| old.plan.config == entry.plan.config) {
                std::mem::swap(&mut entry.memory, &mut old.memory);
            }
        }
        adopted.violations = before.violations;
        Some(adopted)
    }

    /// What is remembered under `plan`. `None`: it is that of an earlier policy, and the present one has none like it.
    #[inline]
    pub fn rate(&mut self, plan: &Arc<RatePlan>, direction: Direction) -> Option<&mut RateState> {
        let is_own = |entry: &RateEntry| Arc::ptr_eq(&entry.plan, plan);
        let is_alike = |entry: &RateEntry| entry.plan.limit == plan.limit;
        let at = self.rates.iter().position(is_own).or_else(|| self.rates.iter().position(is_alike))?;
        self.rates.get_mut(at).map(|entry| &mut entry.states[direction.index()])
    }

    /// What is remembered under `plan`; `None` as for [`Ledger::rate`].
    pub fn state(&mut self, plan: &Arc<StatePlan>) -> Option<&mut StateMemory> {
        let is_own = |entry: &StateEntry| Arc::ptr_eq(&entry.plan, plan);
        let is_alike = |entry: &StateEntry| entry.plan.config == plan.config;
        let at = self.states.iter().position(is_own).or_else(|| self.states.iter().position(is_alike))?;
        self.states.get_mut(at).map(|entry| &mut entry.memory)
    }

    /// The message that was judged has passed, or not: then what it would have led to is forgotten.
    pub fn settle_dues(&mut self, has_passed: bool) {
        self.states.iter_mut().for_each(|entry| entry.memory.settle(has_passed));
    }

    /// Memory that has come since the beginning, in bytes.
    pub fn memory_size(&self) -> u64 {
        let rates = self.rates.iter().flat_map(|entry| &entry.states).map(RateState::memory_size);
        let violations = self.violations.iter().map(Recent::memory_size);
        let states = self.states.iter().map(|entry| entry.memory.memory_size());
        rates.chain(violations).chain(states).sum()
    }
}

impl Engine {
    /// Whether some rule remembers anything of a connection.
    fn remembers(&self) -> bool {
        !self.rate_plans.is_empty() || self.violations.is_some() || !self.state_plans.is_empty()
    }

    /// The most that rules may come to remember of a connection, in bytes.
    pub fn ledger_size_max(&self) -> u64 {
        let rates = self.rate_plans.iter().map(|plan| 2 * RateState::memory_size_max(plan));
        let violations = self.violations.as_ref().map(|violations| 2 * Recent::memory_size_max(violations));
        let states = self.state_plans.iter().map(|plan| StateMemory::memory_size_max(plan));
        rates.chain(violations).chain(states).sum()
    }

    /// What a connection has from its beginning for rules that remember, in bytes.
    pub fn ledger_size(&self) -> u64 {
        let own = if self.remembers() { size_of::<Ledger>() } else { 0 };
        let rates = self.rate_plans.iter().map(|plan| RateState::memory_size_at_first(plan));
        let entries =
            self.rate_plans.len() * size_of::<RateEntry>() + self.state_plans.len() * size_of::<StateEntry>();
        (own + entries) as u64 + 2 * rates.sum::<u64>()
    }

    /// What stands for a client in tables: an IPv4 address, or the 64 bits of an IPv6 address that a network has. Those that are
    /// not known are one.
    pub(crate) fn client_key(&self, client: Option<IpAddr>) -> NonZeroU64 {
        let network = client.map(|client| match client.to_canonical() {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        });
        let is_v4 = client.is_some_and(|client| client.to_canonical().is_ipv4());
        NonZeroU64::new(self.hash((network, is_v4))).unwrap_or(NonZeroU64::MIN)
    }
}
