//! A policy made ready: databases and schemas compiled, shared by all cores, never changed.

mod format;
mod parts;
mod rates;
mod redaction;
mod rewrites;
mod schemas;
mod states;

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

use wsi_policy::{
    Action, Compression, ContentFilter, Direction, Directions, EventKind, EventSet, FailureMode,
    HandshakeRules, Limits, MessageTypes, Mode, Normalize, Pattern as PolicyPattern, Policy,
};
use wsi_ratelimit::Rate;
use wsi_scan::{Database, Expression, Kinds, Normalizer, Pattern, PatternId, RegexFlags, StreamDatabase};
use wsi_schema::json;
use wsi_ws::{
    Opcode, WireLimits,
    deflate::{Compressor, Inflater},
};

use self::{
    format::Readings,
    parts::{Parts, RateRule},
};
pub(crate) use self::{
    format::{Format, Place, Reading},
    rates::{Buckets, Counts, KnownType, RatePlan, Rates},
    redaction::{MASK, Redaction},
    rewrites::{Becomes, RewritePlan, Target},
    schemas::{Registry, Schema, SchemaPlan, Schemas, TypeSchema},
    states::{Check, OrderTable, StatePlan},
};
use crate::{
    rules::{RuleId, RuleTable},
    session::INFLATE_BITE_SIZE,
};

/// One policy, compiled. Cores share it behind an [`Arc`]; what changes per message is in a
/// [`Worker`](crate::Worker) and what changes per connection in a [`Session`](crate::Session).
#[derive(Clone, Debug)]
pub struct Engine {
    /// Its place among the engines of the process: an index into [`Worker::stats`](crate::Worker::stats).
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) rules: RuleTable,
    pub(crate) events: EventSet,
    pub(crate) mode: Mode,
    pub(crate) failure_mode: FailureMode,
    pub(crate) budget_ns: u64,
    pub(crate) handshake: HandshakeRules,
    pub(crate) message_timeout_ns: u64,
    pub(crate) write_timeout_ns: u64,
    pub(crate) idle_timeout_ns: u64,
    pub(crate) control_rate: Rate,
    pub(crate) json_limits: json::Limits,
    pub(crate) plans: [Plan; 2],
    /// Of both directions, those that are no plain buckets.
    pub(crate) rate_plans: Vec<Arc<RatePlan>>,
    pub(crate) violations: Option<ViolationPlan>,
    pub(crate) state_plans: Vec<Arc<StatePlan>>,
    /// What connections and clients are known by in tables; successors have the same.
    hasher: RandomState,
    /// The same policy for connections that agreed on a subprotocol, for those subprotocols that its rules tell apart.
    speaking: Vec<(String, Arc<Self>)>,
    /// What the senders of dropped messages are told, by the rule that dropped them.
    replies: HashMap<RuleId, Arc<str>>,
    /// What they match is nobody's business.
    redacting: HashSet<RuleId>,
}

/// What is asked of the messages of one direction.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What may be held of a message.
    pub wire: WireLimits,
    /// The largest message, and the rule that says so; in detect mode it may be below what is held.
    pub size: Option<(u64, RuleId)>,
    pub buckets: Vec<BucketPlan>,
    /// Limits that are no plain buckets.
    pub rates: Vec<Arc<RatePlan>>,
    /// Shared by the directions where the same filters hold in both.
    pub scan: Option<Arc<ScanPlan>>,
    pub schemas: Vec<SchemaPlan>,
    /// Rules with a memory.
    pub states: Vec<Arc<StatePlan>>,
    /// How messages are read for rules that ask for their fields.
    pub readings: Vec<(MessageTypes, Format)>,
    /// Empty in detect mode.
    pub rewrites: Vec<Arc<RewritePlan>>,
    pub stream: StreamPlan,
}

/// Which messages are inspected as they come, because they are too large to be held.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamPlan {
    held_size_max: usize,
    text: bool,
    binary: bool,
    /// Bytes that stay until more has come: a match may begin in them.
    pub hold_back_size: usize,
}

impl StreamPlan {
    /// The most that is held back. A longer match, if a pattern has no bound, ends the connection before the message is
    /// complete, but its first bytes may have left.
    pub const HOLD_BACK_SIZE_MAX: usize = 64 << 10;

    /// Where every byte counts there are none: a schema wants the whole message, and what may be dropped must not have left.
    /// Detect mode drops nothing.
    fn new(limits: &Limits, mode: Mode, plan: &Plan) -> Self {
        let actions = plan.buckets.iter().map(|each| each.action);
        let drops =
            actions.chain(plan.rates.iter().map(|each| each.limit.action)).any(|each| each == Action::Drop);
        let permits =
            (mode == Mode::Detect || !drops) && plan.scan.as_ref().is_none_or(|scan| scan.takes_parts(mode));
        let takes = |opcode| {
            let mut read = plan.schemas.iter().map(|each| each.messages);
            let mut rewritten = plan.rewrites.iter().map(|each| each.messages);
            permits
                && !read.any(|messages| messages.contains(opcode))
                && !rewritten.any(|messages| messages.contains(opcode))
                && !plan.readings.iter().any(|(messages, _)| messages.contains(opcode))
                && !plan.states.iter().any(|each| each.config.reading.messages.contains(opcode))
        };
        let span_max = plan.scan.as_ref().map_or(Some(0), |scan| scan.span_max());
        Self {
            held_size_max: usize::try_from(limits.held_size_max).unwrap_or(usize::MAX),
            text: takes(Opcode::Text),
            binary: takes(Opcode::Binary),
            hold_back_size: span_max.unwrap_or(usize::MAX).min(Self::HOLD_BACK_SIZE_MAX),
        }
    }

    /// Whether a message is one of them, of which `size` bytes are held already.
    #[inline]
    pub fn takes(&self, opcode: Opcode, size: usize) -> bool {
        size > self.held_size_max && if opcode == Opcode::Text { self.text } else { self.binary }
    }

    /// What is held of a message that would have `message_size_max` bytes, in bytes.
    fn held_size(&self, message_size_max: u64, compression: Compression) -> u64 {
        if !(self.text && self.binary) {
            return message_size_max;
        }
        // Beyond `held_size_max`: what is held back, and what one read may bring.
        let read = match compression {
            Compression::Inspect => INFLATE_BITE_SIZE as u64 * Inflater::RATIO_MAX,
            Compression::Strip | Compression::Refuse => 64 << 10,
        };
        let held = self.held_size_max.max(self.hold_back_size + (64 << 10)) as u64 + read;
        // Buffers grow by doubling.
        message_size_max.min(held.saturating_mul(2))
    }
}

impl Plan {
    /// All that scratch space is needed for.
    pub fn databases(&self) -> impl Iterator<Item = &Database> {
        self.scan.iter().flat_map(|scan| {
            let redaction = scan.redaction.iter().flat_map(|redaction| redaction.database.databases());
            std::iter::once(&scan.database).chain(redaction)
        })
    }

    /// The largest copies that may be made of a message to change it, in bytes: what it becomes, and becomes next.
    fn changes_size_max(&self) -> u64 {
        let redacts = self.scan.as_ref().is_some_and(|scan| scan.redaction.is_some());
        if redacts || !self.rewrites.is_empty() { self.wire.message_size_max.saturating_mul(2) } else { 0 }
    }

    /// What is kept to match patterns over a message that comes in parts, in bytes.
    pub fn stream_size_max(&self) -> u64 {
        self.scan.as_ref().map_or(0, |scan| scan.stream_size_max())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct BucketPlan {
    pub rate: Rate,
    pub counts: Counts,
    pub rule: RuleId,
    pub action: Action,
}

/// The violation budget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ViolationPlan {
    pub rule: RuleId,
    pub max: u32,
    pub within_ns: u64,
    pub directions: Directions,
}

#[derive(Debug)]
pub(crate) struct ScanPlan {
    pub database: Database,
    /// The same patterns for messages that come in parts, if any may.
    pub stream_database: Option<StreamDatabase>,
    /// By pattern id.
    pub rules: Vec<PatternRule>,
    pub normalizer: Normalizer,
    pub redaction: Option<Box<Redaction>>,
}

impl ScanPlan {
    /// Whether it can look at a message that leaves before all of it has come: what is to be dropped, or changed, must not have
    /// left.
    fn takes_parts(&self, mode: Mode) -> bool {
        let drops = self.rules.iter().any(|rule| matches!(rule.action, Action::Drop | Action::Redact));
        self.stream_database.is_some() && (mode == Mode::Detect || !drops)
    }

    fn stream_size_max(&self) -> u64 {
        let database = self.stream_database.as_ref();
        database.map_or(0, |database| database.stream_size_max(&self.normalizer) as u64)
    }

    /// The most bytes of payload that a match can span; `None`: there is no bound.
    fn span_max(&self) -> Option<usize> {
        self.stream_database.as_ref()?.span_max(&self.normalizer)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PatternRule {
    pub rule: RuleId,
    pub action: Action,
    /// What may have been undone for a match to count.
    pub kinds: Kinds,
}

/// Why a policy can't be compiled.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("{source}")]
    Pattern { policy: String, rule: String, source: Box<wsi_scan::CompileError> },
    #[error("agent \"{policy}\": {pattern}: unknown flag; use i, m, s or u")]
    Flags { policy: String, pattern: String },
    #[error("agent \"{policy}\": no built-in rule set is called \"{set}\"; there are {}", wsi_scan::builtin::NAMES.join(", "))]
    RuleSet { policy: String, set: String },
    #[error("{source}")]
    Schema { policy: String, rule: String, source: Box<json::SchemaError> },
    #[error(
        "agent \"{policy}\": {rule}: what is put in the place of a match would match again, so that no message could pass redacted; \
        choose another `redact-with`, or let this rule drop"
    )]
    Replacement { policy: String, rule: String },
    #[error("agent \"{policy}\": {rule}: {reason}")]
    Rewrite { policy: String, rule: String, reason: String },
    #[error("agent \"{policy}\": more than 65,000 rules; split them over several agents")]
    TooManyRules { policy: String },
}

impl EngineError {
    /// The policy, and the rule of it, at fault.
    pub fn place(&self) -> (&str, &str) {
        match self {
            Self::Pattern { policy, rule, .. }
            | Self::Schema { policy, rule, .. }
            | Self::Replacement { policy, rule }
            | Self::Rewrite { policy, rule, .. } => (policy, rule),
            Self::Flags { policy, .. } | Self::RuleSet { policy, .. } | Self::TooManyRules { policy } => {
                (policy, "")
            }
        }
    }
}

impl Engine {
    /// Compiles `policy`, reading its schema files. `index` is its place among the engines of the process.
    ///
    /// # Errors
    /// The first rule that can't be compiled, with what to do about it.
    pub fn compile(policy: &Policy, index: usize) -> Result<Self, EngineError> {
        Self::compile_with(policy, index, None)
    }

    /// Compiles a policy that takes the place of `earlier`, whose rules keep their numbers.
    ///
    /// # Errors
    /// The first rule that can't be compiled, with what to do about it.
    pub fn compile_over(policy: &Policy, earlier: &Self) -> Result<Self, EngineError> {
        Self::compile_with(policy, earlier.index, Some(earlier))
    }

    fn compile_with(policy: &Policy, index: usize, earlier: Option<&Self>) -> Result<Self, EngineError> {
        let rules = earlier.map_or_else(RuleTable::default, |earlier| earlier.rules.successor());
        let mut compiler = Compiler { policy, rules, earlier, replies: HashMap::new() };
        let parts = compiler.parts()?;
        let patterns = parts.scan.iter().flatten().flat_map(|scan| &scan.rules);
        let redacting = patterns.filter(|rule| rule.action == Action::Redact).map(|rule| rule.rule).collect();
        let engine = Self {
            index,
            name: policy.name.clone(),
            rules: compiler.rules,
            events: policy.events,
            mode: policy.mode,
            failure_mode: policy.failure_mode,
            budget_ns: policy.timeout_ms.saturating_mul(1_000_000),
            handshake: policy.handshake.clone(),
            message_timeout_ns: policy.limits.message_timeout_ms.saturating_mul(1_000_000),
            write_timeout_ns: policy.limits.write_timeout_ms.saturating_mul(1_000_000),
            idle_timeout_ns: policy.limits.idle_timeout_s.saturating_mul(1_000_000_000),
            control_rate: control_rate(policy.limits.control_frames_per_second),
            json_limits: json::Limits { depth_max: policy.limits.json_depth_max },
            plans: parts.plans(None),
            rate_plans: parts.rates.iter().filter_map(|rate| rate.plan.clone()).collect(),
            violations: parts.violations,
            state_plans: parts.states.clone(),
            hasher: earlier.map_or_else(RandomState::new, |earlier| earlier.hasher.clone()),
            speaking: Vec::new(),
            replies: compiler.replies,
            redacting,
        };
        let speaking = parts.subprotocols().into_iter().map(|name| {
            let plans = parts.plans(Some(name));
            (name.to_owned(), Arc::new(Self { plans, ..engine.clone() }))
        });
        Ok(Self { speaking: speaking.collect(), ..engine })
    }

    /// The policy for a connection whose endpoints agreed on `subprotocol`, or on none. Sessions are told once, when they are open.
    pub(crate) fn speaking<'e>(self: &'e Arc<Self>, subprotocol: Option<&str>) -> &'e Arc<Self> {
        let known = self.speaking.iter().find(|(name, _)| Some(name.as_str()) == subprotocol);
        known.map_or(self, |(_, engine)| engine)
    }

    pub fn index(&self) -> usize {
        self.index
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn rules(&self) -> &RuleTable {
        &self.rules
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// For the inspection of one message.
    pub fn budget_ns(&self) -> u64 {
        self.budget_ns
    }

    /// How long a connection may be silent.
    pub fn idle_timeout_ns(&self) -> u64 {
        self.idle_timeout_ns
    }

    /// A message that could not be inspected passes.
    pub fn fails_open(&self) -> bool {
        self.failure_mode == FailureMode::Open || self.mode == Mode::Detect
    }

    /// From the first byte of an upgrade to its answer.
    pub fn handshake_timeout_ns(&self) -> u64 {
        self.handshake.timeout_ms.saturating_mul(1_000_000)
    }

    /// The most that one connection may hold of messages that are being put together, both directions, in bytes.
    pub fn connection_size_max(&self) -> u64 {
        let own = self.plans.iter().map(|plan| self.held_size_max(plan)).fold(0, u64::saturating_add);
        self.speaking.iter().map(|(_, engine)| engine.connection_size_max()).fold(own, u64::max)
    }

    fn held_size_max(&self, plan: &Plan) -> u64 {
        let held = plan.stream.held_size(plan.wire.message_size_max, self.handshake.compression);
        held.saturating_add(plan.stream_size_max())
    }

    /// What the clients of all connections have in tables that all cores share, in bytes.
    pub fn shared_size(&self) -> u64 {
        self.rate_plans.iter().map(|plan| plan.shared_size()).sum()
    }

    /// The most that one connection may hold to inflate and to compress, both directions, in bytes: what came and what is to leave
    /// each have a window, and while a message is compressed both its forms are there.
    pub fn deflate_size_max(&self) -> u64 {
        let message_size_max = self.plans.iter().map(|plan| self.held_size_max(plan)).max().unwrap_or(0);
        let own = match self.handshake.compression {
            Compression::Inspect => 2 * (Inflater::SIZE_MAX + Compressor::SIZE_MAX) + message_size_max,
            Compression::Strip | Compression::Refuse => 0,
        };
        self.speaking.iter().map(|(_, engine)| engine.deflate_size_max()).fold(own, u64::max)
    }

    /// What stands for `value` in tables of this policy. It can't be foreseen from outside.
    pub(crate) fn hash(&self, value: impl Hash) -> u64 {
        self.hasher.hash_one(value)
    }

    /// What the sender of a message that `rule` drops is told.
    pub(crate) fn reply(&self, rule: RuleId) -> Option<&Arc<str>> {
        self.replies.get(&rule)
    }

    /// What breaks `rule` is to be hidden, also from records.
    pub(crate) fn redacts(&self, rule: RuleId) -> bool {
        self.redacting.contains(&rule)
    }

    /// The largest copies that are made at a time of a message that is changed, in bytes.
    pub fn changes_size_max(&self) -> u64 {
        self.plans.iter().map(Plan::changes_size_max).max().unwrap_or(0)
    }

    pub(crate) fn hasher(&self) -> &RandomState {
        &self.hasher
    }

    pub(crate) fn plan(&self, direction: Direction) -> &Plan {
        &self.plans[direction.index()]
    }

    #[inline]
    pub(crate) fn tells(&self, kind: EventKind) -> bool {
        self.events.contains(kind)
    }
}

struct Compiler<'a> {
    policy: &'a Policy,
    rules: RuleTable,
    earlier: Option<&'a Engine>,
    replies: HashMap<RuleId, Arc<str>>,
}

/// The rules of a content filter, compiled for whichever directions it holds in.
struct FilterRules<'a> {
    filter: &'a ContentFilter,
    patterns: Vec<FilterPattern>,
    size: Option<(u64, RuleId)>,
}

#[derive(Debug)]
pub(crate) struct FilterPattern {
    expression: Expression,
    rule: PatternRule,
    is_built_in: bool,
    redact_with: Option<Arc<str>>,
}

impl<'p> Compiler<'p> {
    fn parts(&mut self) -> Result<Parts<'p>, EngineError> {
        let policy = self.policy;
        let mut readings = Readings::of(policy);
        let schemas = schemas::compile(policy, &mut readings).map_err(|fault| self.fault(fault))?;
        let validations = self.named(&policy.validations, |rule| (&rule.name, rule.reply.as_deref()))?;
        let rates = self.rates(&mut readings)?;
        let states = self.states(&mut readings)?;
        let filters =
            policy.content_filters.iter().map(|filter| self.filter(filter)).collect::<Result<Vec<_>, _>>()?;
        let scan = self.scan_plans(&filters)?;
        let rewrites = self.named(&policy.rewrites, |rule| (&rule.name, None))?;
        let rewrites = rewrites::compile(policy, &rewrites)?;
        let validations = policy.validations.iter().zip(validations).zip(schemas);
        Ok(Parts {
            policy,
            filters,
            scan,
            validations: validations.map(|((each, rule), schemas)| (each, rule, schemas)).collect(),
            rates,
            rewrites: policy.rewrites.iter().zip(rewrites).collect(),
            violations: self.violations()?,
            states,
        })
    }

    fn rates(&mut self, readings: &mut Readings) -> Result<Vec<RateRule<'p>>, EngineError> {
        let earlier = self.earlier.map_or(&[][..], |earlier| &earlier.rate_plans);
        let limits = self.policy.rate_limits.iter().map(|limit| {
            let rule = self.rule(limit.name.clone())?;
            self.replies.extend(limit.reply.as_deref().map(|text| (rule, text.into())));
            if rates::is_plain(limit) {
                return Ok(RateRule { limit, rule, plan: None });
            }
            let plan =
                RatePlan::compile(limit, rule, earlier, readings).map_err(|fault| self.fault(fault))?;
            Ok(RateRule { limit, rule, plan: Some(Arc::new(plan)) })
        });
        limits.collect()
    }

    fn states(&mut self, readings: &mut Readings) -> Result<Vec<Arc<StatePlan>>, EngineError> {
        let rules = self.policy.states.iter().map(|config| {
            let rule = self.rule(config.name.clone())?;
            StatePlan::compile(config, rule, readings).map(Arc::new).map_err(|fault| self.fault(fault))
        });
        rules.collect()
    }

    fn violations(&mut self) -> Result<Option<ViolationPlan>, EngineError> {
        let Some(violations) = self.policy.violations else { return Ok(None) };
        Ok(Some(ViolationPlan {
            rule: self.rule("violations".to_owned())?,
            max: violations.max,
            within_ns: violations.within_s.saturating_mul(1_000_000_000),
            directions: violations.directions,
        }))
    }

    fn fault(&self, (rule, source): (String, json::SchemaError)) -> EngineError {
        EngineError::Schema { policy: self.policy.name.clone(), rule, source: Box::new(source) }
    }

    /// The numbers of rules of which `show` gives the name and the reply.
    fn named<T>(
        &mut self,
        rules: &[T],
        show: impl Fn(&T) -> (&String, Option<&str>),
    ) -> Result<Vec<RuleId>, EngineError> {
        let name_one = |rule| {
            let (name, reply) = show(rule);
            let id = self.rule(name.clone())?;
            self.replies.extend(reply.map(|text| (id, text.into())));
            Ok(id)
        };
        rules.iter().map(name_one).collect()
    }

    fn rule(&mut self, name: String) -> Result<RuleId, EngineError> {
        self.rules.push(name).ok_or_else(|| EngineError::TooManyRules { policy: self.policy.name.clone() })
    }

    fn filter<'f>(&mut self, filter: &'f ContentFilter) -> Result<FilterRules<'f>, EngineError> {
        let mut patterns = Vec::new();
        let redact_with: Option<Arc<str>> = filter.redact_with.as_deref().map(Into::into);
        let mut add = |expression, rule, is_built_in| {
            let (rule, redact_with) = (pattern_rule(rule, filter), redact_with.clone());
            patterns.push(FilterPattern { expression, rule, is_built_in, redact_with });
        };
        for (i, pattern) in filter.patterns.iter().enumerate() {
            let rule = self.rule(format!("{}/block-patterns-{}", filter.name, i + 1))?;
            add(self.expression(pattern)?, rule, false);
        }
        for set in &filter.rule_sets {
            let builtin = wsi_scan::builtin::rule_set(set)
                .ok_or_else(|| EngineError::RuleSet { policy: self.policy.name.clone(), set: set.clone() })?;
            let mut latest: Option<(&str, RuleId)> = None;
            for each in builtin {
                let rule = match latest {
                    // Another form of the same rule.
                    Some((name, rule)) if name == each.name => rule,
                    _ => self.rule(format!("{}/{}", filter.name, each.name))?,
                };
                latest = Some((each.name, rule));
                add(self.regex(each.expression, each.flags)?, rule, true);
            }
        }
        if let Some(text) = &filter.reply {
            let text: Arc<str> = text.as_str().into();
            self.replies.extend(patterns.iter().map(|each| (each.rule.rule, Arc::clone(&text))));
        }
        let size = match filter.message_size_max {
            Some(size) => Some((size, self.rule(format!("{}/max-message-size", filter.name))?)),
            None => None,
        };
        Ok(FilterRules { filter, patterns, size })
    }

    fn expression(&self, pattern: &PolicyPattern) -> Result<Expression, EngineError> {
        match pattern {
            PolicyPattern::Literal(text) => Ok(Expression::Literal(text.as_bytes().to_vec())),
            PolicyPattern::Regex { expression, flags } => self.regex(expression, flags),
        }
    }

    fn regex(&self, expression: &str, flags: &str) -> Result<Expression, EngineError> {
        let parsed = flags.parse::<RegexFlags>().map_err(|_| EngineError::Flags {
            policy: self.policy.name.clone(),
            pattern: format!("/{expression}/{flags}"),
        })?;
        Ok(Expression::Regex { expression: expression.to_owned(), flags: parsed })
    }

    fn scan_plans(&self, filters: &[FilterRules<'_>]) -> Result<[Option<Arc<ScanPlan>>; 2], EngineError> {
        let chosen = |direction| -> Vec<_> {
            filters.iter().filter(|rules| rules.filter.directions.contains(direction)).collect()
        };
        let [to_server, to_client] = Direction::BOTH.map(chosen);
        // Compiling is most of a start.
        let is_same =
            to_server.iter().map(|rules| rules.filter).eq(to_client.iter().map(|rules| rules.filter));
        let first = self.scan_plan(&to_server)?;
        let second = if is_same { first.clone() } else { self.scan_plan(&to_client)? };
        Ok([first, second])
    }

    /// The largest message that may be held in either direction.
    fn message_size_max(&self, filters: &[&FilterRules<'_>]) -> u64 {
        let sizes = filters.iter().map(|rules| rules.size.map(|(size, _)| size));
        sizes.map(|size| parts::wire_limits(self.policy, size).message_size_max).max().unwrap_or(0)
    }

    fn scan_plan(&self, filters: &[&FilterRules<'_>]) -> Result<Option<Arc<ScanPlan>>, EngineError> {
        let chosen: Vec<_> = filters.iter().flat_map(|rules| &rules.patterns).collect();
        if chosen.is_empty() {
            return Ok(None);
        }
        let patterns: Vec<_> = (0..)
            .zip(&chosen)
            .map(|(id, each)| Pattern { id: PatternId(id), expression: each.expression.clone() })
            .collect();
        let name = |pattern: &FilterPattern| self.rules.name(pattern.rule.rule).to_owned();
        let fault = |source| {
            let index = match &source {
                wsi_scan::CompileError::Pattern { index, .. } => Some(*index),
                wsi_scan::CompileError::Set { .. } => None,
            };
            let pattern = index.and_then(|index| chosen.get(index));
            EngineError::Pattern {
                policy: self.policy.name.clone(),
                rule: pattern.map_or_else(String::new, |pattern| name(pattern)),
                source: Box::new(source),
            }
        };
        let database = Database::compile(&patterns).map_err(fault)?;
        let rules: Vec<_> = chosen.iter().map(|each| each.rule).collect();
        let sets = rules.iter().map(|rule| rule.kinds);
        let normalizer = Normalizer::new(sets, self.policy.limits.normalize_depth_max);
        let comes_in_parts = self.message_size_max(filters) > self.policy.limits.held_size_max;
        let stream_database =
            if comes_in_parts { StreamDatabase::compile(&patterns).map_err(fault)? } else { None };
        let redaction = Redaction::compile(self.policy, &chosen, name)?.map(Box::new);
        Ok(Some(Arc::new(ScanPlan { database, stream_database, rules, normalizer, redaction })))
    }
}

/// A second's worth may come at once after a pause, and a second one: keep-alive of many tabs or streams comes in bursts.
fn control_rate(per_second: u64) -> Rate {
    Rate::new(per_second, per_second.saturating_mul(2))
}

fn pattern_rule(rule: RuleId, filter: &ContentFilter) -> PatternRule {
    PatternRule { rule, action: filter.action, kinds: kinds(filter.normalize) }
}

fn kinds(normalize: Normalize) -> Kinds {
    let Normalize { json, percent, html, unicode, base64 } = normalize;
    [
        (json, Kinds::JSON),
        (percent, Kinds::PERCENT),
        (html, Kinds::HTML),
        (unicode, Kinds::UNICODE),
        (base64, Kinds::BASE64),
    ]
    .into_iter()
    .filter_map(|(is_on, kind)| is_on.then_some(kind))
    .collect()
}
