//! Which attacks one policy is put to, and on which of its rules each is tried.

use std::sync::Arc;

use wsi_config::policy::{
    Action, Compression, ContentFilter, Direction, Directions, Limits, MessageTypes, Mode, Per, Policy,
    RateLimit, Validation,
};
use wsi_inspect::Engine;

use super::{
    attacks::{
        Bounds, Class, Subject, benign, binary, compression,
        encodings::Encoding,
        fragmentation, framing, lifecycle, resources,
        schemas::{self, Documents},
        text,
    },
    frames::{BINARY, FIN, Framer, TEXT},
    handshake::{self, Offer},
    relay::{Inspected, Relay, Told},
    sample::{Sample, Samples},
    trial::{Claim, Variant},
};

/// A place among the engines of a [`Suite`].
pub(super) type Place = usize;

/// All rules of the policy together: the first engine.
pub(super) const WHOLE: Place = 0;

/// The attacks on one policy.
pub(super) struct Suite {
    pub offer: Offer,
    /// The policy as it is, and rules of it alone, so that one does not hide the gap of another.
    pub engines: Vec<Arc<Engine>>,
    /// Of these, all content filters without the other rules.
    bare: Place,
    pub trials: Vec<Trial>,
    /// What the policy does not claim to stop, in words.
    pub not_claimed: Vec<String>,
    /// What could not be tried.
    pub untried: Vec<String>,
}

/// An attack, and the engines that it is tried on.
pub(super) struct Trial {
    pub variant: Variant,
    pub engines: Vec<Place>,
    /// The policy says nothing of this: it is shown, and proves nothing. The words for it.
    pub not_claimed: Option<String>,
}

impl Suite {
    /// # Errors
    /// A rule that can't be compiled.
    pub fn of(policy: &Policy) -> Result<Self, String> {
        let (policy, untried) = &one_by_one(policy);
        let mut suite = Self {
            offer: Offer::new(policy),
            engines: vec![compile(policy)?],
            bare: WHOLE,
            trials: Vec::new(),
            not_claimed: Vec::new(),
            untried: untried.clone(),
        };
        suite.add_faults(policy);
        let bare = bare(policy);
        suite.bare = if is_bare(policy) { WHOLE } else { suite.place(&bare)? };
        for filter in &policy.content_filters {
            suite.add_filter(policy, filter, &bare)?;
        }
        for validation in &policy.validations {
            suite.add_validation(policy, validation, &bare)?;
        }
        suite.add_rates(policy, &bare)?;
        suite.add_benign(&bare);
        Ok(suite)
    }

    fn add_faults(&mut self, policy: &Policy) {
        let inspects = policy.handshake.compression == Compression::Inspect;
        if !inspects {
            let why = if policy.handshake.compression == Compression::Strip { "strip" } else { "refuse" };
            self.not_claimed.push(format!(
                "compressed messages: compression \"{why}\", so both legs speak plain frames and none can come"
            ));
        }
        let half = Sample::neutral(b"half of a message");
        for direction in Direction::BOTH {
            let bounds = Bounds::of(policy, direction);
            let mut variants = framing::faults(direction, bounds);
            variants.extend(fragmentation::faults(direction, bounds));
            variants.extend(text::faults(direction));
            variants.extend(resources::floods(direction, bounds));
            let claim = Claim { rule: "limits".into(), action: Action::Drop };
            variants.extend(lifecycle::of(Subject { sample: &half, claim: &claim, direction, bounds }));
            if inspects {
                variants.extend(compression::faults(direction, bounds));
                variants.extend(lifecycle::compressed(direction));
            }
            self.add(variants, &[WHOLE]);
        }
    }

    fn add_filter(&mut self, policy: &Policy, filter: &ContentFilter, bare: &Policy) -> Result<(), String> {
        let place = match policy.content_filters.len() {
            1 => self.bare,
            _ => self.place(&Policy { content_filters: vec![filter.clone()], ..bare.clone() })?,
        };
        let mut oracle = Oracle::new(self, place, &filter.name)?;
        let claim_of = |rule: &str| Claim { rule: rule.to_owned(), action: action(policy, filter.action) };
        self.add_directions_without(&filter.name, filter.directions);
        if filter.patterns.is_empty() && filter.rule_sets.is_empty() {
            self.not_claimed
                .push(format!("{}: any content: it has no patterns and no rule sets", filter.name));
        }
        for direction in claimed(filter.directions) {
            let stops = &mut |token: &[u8]| oracle.stops(direction, TEXT, token);
            let samples = Samples::of(filter, stops);
            self.add_untried(samples.missing);
            for sample in &samples.found {
                let claim = claim_of(&sample.rule);
                let bounds = Bounds::of(policy, direction);
                let subject = Subject { sample, claim: &claim, direction, bounds };
                self.add(content(policy, filter, subject), &[place, WHOLE]);
                self.add_untried(unfit(subject));
                for encoding in Encoding::ALL.into_iter().filter(|each| !each.is_claimed(filter)) {
                    self.add_not_claimed(&filter.name, encoding, subject, place);
                }
            }
        }
        Ok(())
    }

    fn add_not_claimed(&mut self, filter: &str, encoding: Encoding, subject: Subject<'_>, place: Place) {
        let words = format!("{filter}: {}: normalize lacks \"{}\"", encoding.group(), encoding.name());
        let trial = |variant| Trial { variant, engines: vec![place], not_claimed: Some(words.clone()) };
        self.trials.extend(encoding.of(subject).into_iter().map(trial));
    }

    fn add_validation(
        &mut self,
        policy: &Policy,
        validation: &Validation,
        bare: &Policy,
    ) -> Result<(), String> {
        // What is tried is the schema; the connections here agree on no subprotocol.
        let everywhere = Validation { subprotocols: None, ..validation.clone() };
        let alone = Policy { content_filters: Vec::new(), validations: vec![everywhere], ..bare.clone() };
        let place = self.place(&alone)?;
        let engines: &[Place] = if validation.subprotocols.is_some() { &[place] } else { &[place, WHOLE] };
        let mut oracle = Oracle::new(self, place, &validation.name)?;
        let opcode = if validation.messages == MessageTypes::Binary { BINARY } else { TEXT };
        let claim = Claim { rule: validation.name.clone(), action: action(policy, validation.action) };
        self.add_directions_without(&validation.name, validation.directions);
        for direction in claimed(validation.directions) {
            let documents = Documents::new(policy, &validation.schema_type);
            let refused =
                documents.possible.iter().find(|document| oracle.stops(direction, opcode, document));
            if refused.is_none() {
                let shown: Vec<_> =
                    documents.possible.iter().map(|document| document.escape_ascii().to_string()).collect();
                let line = format!("{}: no sample, the schema allows  {}", validation.name, shown.join("  "));
                self.add_untried(vec![line]);
            }
            let bounds = Bounds::of(policy, direction);
            let of = |token: &Vec<u8>| {
                let sample = Sample::neutral(token);
                let subject = Subject { sample: &sample, claim: &claim, direction, bounds };
                schemas::of(policy, subject, opcode)
            };
            // One in every way, the others as they are.
            let whole = documents.never.iter().flat_map(|token| of(token).into_iter().take(1));
            let variants = refused.map(of).into_iter().flatten().chain(whole).collect();
            self.add(variants, engines);
        }
        Ok(())
    }

    fn add_rates(&mut self, policy: &Policy, bare: &Policy) -> Result<(), String> {
        for limit in &policy.rate_limits {
            let told = RateLimit { action: action(policy, limit.action), ..limit.clone() };
            let alone =
                Policy { content_filters: Vec::new(), rate_limits: vec![limit.clone()], ..bare.clone() };
            let place = self.place(&alone)?;
            self.add_directions_without(&limit.name, limit.directions);
            for direction in claimed(limit.directions) {
                let (variants, untried) = resources::bursts(&told, direction);
                self.add(variants, &[place]);
                self.add_untried(untried);
            }
        }
        Ok(())
    }

    fn add_benign(&mut self, bare: &Policy) {
        let inspects = bare.handshake.compression == Compression::Inspect;
        for direction in Direction::BOTH {
            let variants = benign::all(direction, Bounds::of(bare, direction));
            let variants = variants.into_iter().filter(|each| inspects || !each.compressed).collect();
            self.add(variants, &[self.bare]);
        }
    }

    fn add(&mut self, variants: Vec<Variant>, engines: &[Place]) {
        let mut engines = engines.to_vec();
        engines.dedup();
        let trial = |variant| Trial { variant, engines: engines.clone(), not_claimed: None };
        self.trials.extend(variants.into_iter().map(trial));
    }

    /// The same is said once, though it holds for both directions.
    fn add_untried(&mut self, lines: Vec<String>) {
        for line in lines {
            if !self.untried.contains(&line) {
                self.untried.push(line);
            }
        }
    }

    fn add_directions_without(&mut self, rule: &str, directions: Directions) {
        for direction in Direction::BOTH.into_iter().filter(|each| !directions.contains(*each)) {
            let (to, other) = match direction {
                Direction::ToServer => ("to the server", "to-client"),
                Direction::ToClient => ("to the client", "to-server"),
            };
            self.not_claimed.push(format!("{rule}: anything on its way {to}: direction \"{other}\""));
        }
    }

    fn place(&mut self, policy: &Policy) -> Result<Place, String> {
        self.engines.push(compile(policy)?);
        Ok(self.engines.len() - 1)
    }
}

/// What a filter should stop, in every shape that the policy claims to see through.
fn content(policy: &Policy, filter: &ContentFilter, subject: Subject<'_>) -> Vec<Variant> {
    let mut variants = fragmentation::of(subject, Class::Fragmentation, TEXT);
    variants.extend(fragmentation::behind_filler(subject));
    variants.extend(framing::of(subject));
    variants.extend(text::of(subject));
    variants.extend(text::beside_broken_text(subject));
    variants.extend(binary::of(subject));
    let claimed = Encoding::ALL.into_iter().filter(|encoding| encoding.is_claimed(filter));
    variants.extend(claimed.flat_map(|encoding| encoding.of(subject)));
    if policy.handshake.compression == Compression::Inspect {
        variants.extend(compression::of(subject, TEXT));
    }
    variants
}

/// Attacks that this sample gives no room to.
fn unfit(subject: Subject<'_>) -> Vec<String> {
    let rule = &subject.claim.rule;
    let mut lines = Vec::new();
    if !fragmentation::fits_behind_filler(subject) {
        lines.push(format!("{rule}: behind 70,000 bytes, because no message or frame may be so large"));
    }
    if subject.sample.filler.is_none() {
        lines.push(format!("{rule}: with anything around it, where it does not match or fit"));
    }
    if !subject.sample.in_json {
        lines.push(format!("{rule}: within JSON, where it does not match or fit"));
    }
    lines
}

/// The policy without rules that ask what came before: an attack is tried alone. And what that leaves out.
fn one_by_one(policy: &Policy) -> (Policy, Vec<String>) {
    let states = policy.states.iter().map(|rule| rule.name.as_str());
    let untried = policy.violations.iter().map(|_| "violations").chain(states);
    let untried = untried.map(|rule| format!("{rule}: not tried, each attack is alone"));
    let rewrites = policy.rewrites.iter();
    let rewrites = rewrites.map(|rule| format!("{}: not tried, what it changes is no attack", rule.name));
    let untried = untried.chain(rewrites).collect();
    // Each attack is a connection of its own, all of one client.
    let of_connection = |limit: &RateLimit| RateLimit { per: of_connection(limit.per), ..limit.clone() };
    let rate_limits = policy.rate_limits.iter().map(of_connection).collect();
    (Policy { violations: None, states: Vec::new(), rate_limits, ..policy.clone() }, untried)
}

fn of_connection(per: Per) -> Per {
    if matches!(per, Per::Client { .. }) { Per::Connection } else { per }
}

/// The policy without rules that stop messages whatever is in them, or that a sample would have to satisfy first.
fn bare(policy: &Policy) -> Policy {
    let per_second = policy.limits.control_frames_per_second;
    let limits = Limits {
        control_frames_per_second: per_second.max(Limits::CONTROL_FRAMES_PER_SECOND_DEFAULT),
        ..policy.limits
    };
    Policy {
        validations: Vec::new(),
        rate_limits: Vec::new(),
        // They drop what isn't of their format.
        rewrites: Vec::new(),
        limits,
        ..policy.clone()
    }
}

fn is_bare(policy: &Policy) -> bool {
    policy.validations.is_empty()
        && policy.rate_limits.is_empty()
        && policy.rewrites.is_empty()
        && policy.limits.control_frames_per_second >= Limits::CONTROL_FRAMES_PER_SECOND_DEFAULT
}

fn compile(policy: &Policy) -> Result<Arc<Engine>, String> {
    Engine::compile(policy, 0).map(Arc::new).map_err(|error| error.to_string())
}

/// What is done about a message: in detect mode it is told of.
fn action(policy: &Policy, action: Action) -> Action {
    if policy.mode == Mode::Detect { Action::Alert } else { action }
}

fn claimed(directions: Directions) -> impl Iterator<Item = Direction> {
    Direction::BOTH.into_iter().filter(move |direction| directions.contains(*direction))
}

/// The product under one rule alone, asked what that rule has to say of plain messages.
struct Oracle<'a> {
    relay: Inspected,
    request: Vec<u8>,
    rule: &'a str,
}

impl<'a> Oracle<'a> {
    fn new(suite: &Suite, place: Place, rule: &'a str) -> Result<Self, String> {
        let relay = Inspected::new(Arc::clone(&suite.engines[place]))?;
        Ok(Self { relay, request: handshake::request(&suite.offer), rule })
    }

    fn stops(&mut self, direction: Direction, opcode: u8, payload: &[u8]) -> bool {
        self.relay.upgrade(&[&self.request], &handshake::answer);
        self.relay.read(direction, &Framer::new(direction).frame(FIN | opcode, payload));
        let is_own = |told: &Told| told.rule.starts_with(self.rule) && !told.is_limit();
        self.relay.verdicts().iter().any(is_own)
    }
}
