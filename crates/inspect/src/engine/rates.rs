//! Rate limits that ask more of a message, or of its sender, than that it is one more of this connection.

use std::{collections::HashMap, sync::Arc};

use wsi_policy::{self as policy, Cost, Per, RateLimit};
use wsi_ratelimit::{Rate, Shared};
use wsi_schema::json;

use super::format::{Format, Place, Readings};
use crate::rules::RuleId;

/// What costs a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// What messages cost.
    Messages,
    Bytes,
    /// Of messages that came compressed.
    InflatedBytes,
}

impl Counts {
    pub const ALL: [Self; 3] = [Self::Messages, Self::Bytes, Self::InflatedBytes];
}

/// By [`Counts`].
pub(crate) type Rates = [Option<Rate>; 3];

pub(crate) fn rates(rates: &policy::Rates) -> Rates {
    let policy::Rates { messages, bytes, inflated_bytes } = rates;
    [messages, bytes, inflated_bytes].map(|rate| rate.map(|rate| Rate::new(rate.per_second, rate.burst)))
}

/// A rate limit, shared by the directions that it holds in and by all connections.
#[derive(Debug)]
pub(crate) struct RatePlan {
    /// As it was configured: what is remembered under one plan goes on under another that says the same.
    pub limit: RateLimit,
    pub rule: RuleId,
    pub rates: Rates,
    pub buckets: Buckets,
    pub types: Option<TypePlan>,
}

/// Where the buckets are.
#[derive(Debug)]
pub(crate) enum Buckets {
    /// The connection's.
    Own,
    /// For each type of message, the connection's; so many types that are not named get one of their own.
    OfTypes { others_max: usize },
    /// For each client, the process's.
    Shared([Option<Arc<Shared>>; 3]),
}

/// What depends on the type of a message.
#[derive(Debug)]
pub(crate) struct TypePlan {
    pub format: Format,
    pub messages: policy::MessageTypes,
    pub place: Place,
    pub known: HashMap<Box<str>, KnownType>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownType {
    /// Its place among the named ones.
    pub number: u32,
    pub cost: u64,
    pub rates: Rates,
}

/// Where a limit that can't be compiled is configured, and what is wrong with it.
type Fault = (String, json::SchemaError);

/// Whether `limit` is no more than buckets of the connection.
pub(crate) fn is_plain(limit: &RateLimit) -> bool {
    limit.per == Per::Connection && limit.cost == Cost::Message && limit.types.is_none()
}

impl RatePlan {
    /// `earlier`: the plans of the policy in whose place this one comes. Buckets of clients are theirs where the limit is the same.
    ///
    /// # Errors
    /// What names a type is nowhere in its format.
    pub fn compile(
        limit: &RateLimit,
        rule: RuleId,
        earlier: &[Arc<Self>],
        readings: &mut Readings,
    ) -> Result<Self, Fault> {
        let rates = rates(&limit.rates);
        let types = limit.types.as_ref();
        let types = types.map(|types| TypePlan::compile(limit, types, &rates, readings)).transpose()?;
        let buckets = match limit.per {
            Per::Connection => Buckets::Own,
            Per::MessageType { types_max } => Buckets::OfTypes { others_max: types_max as usize },
            Per::Client { clients_max } => Buckets::Shared(shared(limit, clients_max, &rates, earlier)),
        };
        Ok(Self { limit: limit.clone(), rule, rates, buckets, types })
    }

    /// What a message of `size` bytes costs, if its type costs no more than others.
    #[inline]
    pub fn cost(&self, messages: u64, size: u64) -> u64 {
        match self.limit.cost {
            Cost::Message => messages,
            Cost::Size(unit) => size.div_ceil(unit.max(1)).max(messages),
        }
    }

    /// Types that may have buckets of their own on a connection.
    pub fn types_max(&self) -> usize {
        match (&self.buckets, &self.types) {
            (Buckets::OfTypes { others_max }, Some(types)) => others_max + types.known.len(),
            _ => 0,
        }
    }

    /// What all clients' buckets take, in bytes.
    pub fn shared_size(&self) -> u64 {
        match &self.buckets {
            Buckets::Shared(tables) => tables.iter().flatten().map(|table| table.memory_size()).sum(),
            Buckets::Own | Buckets::OfTypes { .. } => 0,
        }
    }
}

impl TypePlan {
    fn compile(
        limit: &RateLimit,
        types: &policy::TypeRates,
        of_limit: &Rates,
        readings: &mut Readings,
    ) -> Result<Self, Fault> {
        let own = |source| (format!("{}/discriminator", limit.name), source);
        let format = readings.format(&types.reading.format).map_err(own)?;
        let place = Place::of(&types.discriminator, &format).map_err(own)?;
        let known = (0..).zip(&types.types).map(|(number, each)| {
            let [messages, bytes, inflated_bytes] = rates(&each.rates);
            let rates = [messages.or(of_limit[0]), bytes.or(of_limit[1]), inflated_bytes.or(of_limit[2])];
            (each.name.as_str().into(), KnownType { number, cost: each.cost, rates })
        });
        Ok(Self { format, messages: types.reading.messages, place, known: known.collect() })
    }
}

fn shared(
    limit: &RateLimit,
    clients_max: u64,
    rates: &Rates,
    earlier: &[Arc<RatePlan>],
) -> [Option<Arc<Shared>>; 3] {
    match earlier.iter().find(|plan| plan.limit == *limit).map(|plan| &plan.buckets) {
        Some(Buckets::Shared(tables)) => tables.clone(),
        _ => rates.map(|rate| {
            let clients_max = usize::try_from(clients_max).unwrap_or(usize::MAX);
            rate.map(|rate| Arc::new(Shared::new(rate, clients_max)))
        }),
    }
}
