//! The order of an inspection, on one screen.

mod modify;
mod stream;
mod verdict;

use wsi_policy::{Action, Direction, FailureMode, Mode};
use wsi_ws::{CloseCode, Opcode, ProtocolError};

pub use self::verdict::{Permit, Reply, Verdict};
pub(crate) use self::{
    stream::{Stream, Surroundings},
    verdict::{Finding, Stop},
};
use crate::{
    condition::Condition,
    engine::{Engine, Plan},
    event::{Event, EventSink, Outcome, VerdictEvent},
    ledger::{self, Tally},
    rules::RuleId,
    stage::{
        self,
        rate::{Cost, Rated, Rating},
        schema::Decoded,
        state::Judged,
    },
    timing::Stage,
    worker::Worker,
};

/// Messages up to this size are inspected in microseconds, far below any budget, so no clock is asked for them.
const BUDGET_SIZE_MIN: usize = 4096;

/// What the pipeline is given: a message, or a control frame's payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub direction: Direction,
    pub opcode: Opcode,
    pub payload: &'a [u8],
    /// Bytes of the message so far: more than `payload` has, where it comes in parts.
    pub size: usize,
    /// The payload is what it inflated to.
    pub was_compressed: bool,
    /// It leaves as it came or not at all: what would be changed is dropped.
    pub is_fixed: bool,
}

impl<'a> Subject<'a> {
    pub fn new(direction: Direction, opcode: Opcode, payload: &'a [u8]) -> Self {
        Self { direction, opcode, payload, size: payload.len(), was_compressed: false, is_fixed: false }
    }

    pub fn fixed(self) -> Self {
        Self { is_fixed: true, ..self }
    }
}

/// Inspects a reassembled, unmasked message to its end, and tells every verdict other than allow.
pub(crate) fn inspect_message(
    engine: &Engine,
    subject: Subject<'_>,
    rated: &mut Rated<'_>,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) -> Verdict {
    watched(engine, subject, rated, worker, sink, |rated, worker, sink| {
        inspect_stages(engine, subject, rated, worker, sink)
    })
}

fn inspect_stages(
    engine: &Engine,
    subject: Subject<'_>,
    rated: &mut Rated<'_>,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) -> Verdict {
    worker.begin_timing();
    let (budget, mut passed) = (Budget::start(engine, subject.payload, worker), Passed::default());
    let stages = run_stages(engine, subject, rated, &budget, &mut passed, worker, sink);
    // Nearly always: it has a way of its own, in which nothing is moved.
    if stages.is_ok() && passed.is_nothing() && engine.plan(subject.direction).rewrites.is_empty() {
        if let Some(ledger) = &mut rated.ledger {
            ledger.settle_dues(true);
        }
        worker.end_timing();
        return Verdict::Allow(Permit::new());
    }
    let is_inspected = stages.is_ok();
    let verdict = match stages {
        Ok(()) => let_pass(engine, subject, passed, None, &budget, worker, sink),
        Err(Stop::Finding(finding)) => judge(engine, subject, &finding, worker, sink),
        Err(Stop::CouldNotInspect(condition)) => match passed.redaction.take() {
            _ if !engine.fails_open() => fail(engine, subject, condition, worker, sink),
            // It would pass, but not as it is, and what becomes of it could not be inspected either.
            Some(finding) => modify::give_up(engine, subject, finding, worker, sink),
            None => let_pass(engine, subject, passed, Some(condition), &budget, worker, sink),
        },
    };
    if let Some(ledger) = &mut rated.ledger {
        // Only what passes is remembered, and a message that could not be changed may not.
        let passes = matches!(verdict, Verdict::Allow(_) | Verdict::Replace(..));
        ledger.settle_dues(is_inspected && passes);
    }
    worker.end_timing();
    verdict
}

/// What was found in a message that does not stop it.
#[derive(Debug, Default)]
struct Passed {
    alert: Option<Finding>,
    /// Something in it is to be hidden.
    redaction: Option<Finding>,
}

impl Passed {
    #[inline]
    const fn is_nothing(&self) -> bool {
        self.alert.is_none() && self.redaction.is_none()
    }
}

/// What becomes of a message that no rule stops, or that passes though it could not be inspected.
fn let_pass(
    engine: &Engine,
    subject: Subject<'_>,
    passed: Passed,
    failed: Option<Condition>,
    budget: &Budget,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) -> Verdict {
    if passed.redaction.is_none() && engine.plan(subject.direction).rewrites.is_empty() {
        return permit(engine, subject, &passed, failed, worker, sink);
    }
    let verdict = modify::modify(engine, subject, passed, failed, budget, worker, sink);
    worker.lap(Stage::Modify);
    verdict
}

/// Tells what is to be told of a message that passes.
fn permit(
    engine: &Engine,
    subject: Subject<'_>,
    passed: &Passed,
    failed: Option<Condition>,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) -> Verdict {
    match (failed, &passed.alert) {
        (Some(condition), _) => fail(engine, subject, condition, worker, sink),
        (None, Some(alert)) => judge(engine, subject, alert, worker, sink),
        (None, None) => Verdict::Allow(Permit::new()),
    }
}

/// Inspects what a ping, a pong or a close reason carries: content rules only.
pub(crate) fn inspect_control(
    engine: &Engine,
    subject: Subject<'_>,
    rated: &mut Rated<'_>,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) -> Verdict {
    watched(engine, subject, rated, worker, sink, |_, worker, sink| {
        inspect_content(engine, subject, worker, sink)
    })
}

fn inspect_content(
    engine: &Engine,
    subject: Subject<'_>,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) -> Verdict {
    let scan = engine.plan(subject.direction).scan.as_deref().filter(|_| !subject.payload.is_empty());
    let found = scan.map_or(Ok(None), |scan| stage::scan::scan(scan, subject.payload, &[], worker));
    match subject.settle(found) {
        Ok(None) => Verdict::Allow(Permit::new()),
        Ok(Some(finding)) if finding.action == Action::Redact && engine.mode == Mode::Enforce => {
            let budget = Budget::start(engine, subject.payload, worker);
            modify::redact(engine, subject, finding, Permit::new(), &budget, worker, sink)
        }
        Ok(Some(alert)) => judge(engine, subject, &alert, worker, sink),
        Err(Stop::Finding(finding)) => judge(engine, subject, &subject.carried_out(finding), worker, sink),
        Err(Stop::CouldNotInspect(condition)) => fail(engine, subject, condition, worker, sink),
    }
}

/// Inspects the beginning of a message of which more is to come and whose first `fragments - 1` fragments are gone: content
/// rules that stop it, nothing else. `None`: nothing against it so far, which is no permit for the message.
pub(crate) fn inspect_begun(
    engine: &Engine,
    subject: Subject<'_>,
    fragments: u32,
    rated: &mut Rated<'_>,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) -> Option<Verdict> {
    let scan = engine.plan(subject.direction).scan.as_deref()?;
    match subject.settle(stage::scan::scan_begun(scan, subject.payload, worker)) {
        Err(Stop::Finding(mut finding)) => {
            if fragments > 1 && finding.action == Action::Drop {
                finding.action = Action::Close(CloseCode::POLICY_VIOLATION);
            }
            Some(watched(engine, subject, rated, worker, sink, |_, worker, sink| {
                judge(engine, subject, &finding, worker, sink)
            }))
        }
        // Alerts, and what could not be inspected, are told when the message is complete.
        Ok(_) | Err(Stop::CouldNotInspect(_)) => None,
    }
}

/// Reassembly and frame rules are done. The first finding that stops the message ends it, except in detect mode, which is there to
/// show them all; an alert waits for the end, and so does what is to be changed.
#[inline]
fn run_stages(
    engine: &Engine,
    subject: Subject<'_>,
    rated: &mut Rated<'_>,
    budget: &Budget,
    passed: &mut Passed,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) -> Result<(), Stop> {
    let Subject { direction, opcode, payload, .. } = subject;
    let plan = engine.plan(direction);

    let mut go_on = |result: Result<Option<Finding>, Stop>, worker: &mut Worker| -> Result<(), Stop> {
        match subject.settle(result) {
            Err(Stop::Finding(finding)) if engine.mode == Mode::Detect => {
                tell(engine, subject, &finding, Outcome::Message(finding.action), Mode::Detect, worker, sink);
            }
            Err(stop) => return Err(stop),
            Ok(Some(finding)) if finding.action == Action::Redact => match engine.mode {
                Mode::Enforce => passed.redaction = Some(finding),
                Mode::Detect => {
                    let outcome = Outcome::Message(Action::Redact);
                    tell(engine, subject, &finding, outcome, Mode::Detect, worker, sink);
                }
            },
            Ok(found) => passed.alert = passed.alert.take().or(found),
        }
        Ok(())
    };

    let sized = check_size(plan, payload.len() as u64);
    if !is_clear(&sized) {
        go_on(sized, worker)?;
    }
    let text = check_utf8(opcode, payload)?;
    let mut decoded = stage::schema::decode(engine, plan, opcode, payload, text, worker);
    let cost = Cost::new(1, payload.len(), subject.was_compressed);
    worker.lap(Stage::Decode);
    let rating = Rating { engine, direction, cost, decoded: decoded.as_ref() };
    let rated_so = stage::rate::take(plan, rated, rating);
    worker.lap(Stage::Rate);
    if !is_clear(&rated_so) {
        go_on(rated_so, worker)?;
    }
    if let Some(scan) = &plan.scan {
        let texts = decoded.as_ref().map_or(&[][..], Decoded::texts);
        let found = stage::scan::scan(scan, payload, texts, worker);
        if let Some(decoded) = &mut decoded {
            decoded.drop_texts(worker);
        }
        worker.lap(Stage::Scan);
        if !is_clear(&found) {
            go_on(found, worker)?;
        }
    }
    // Not before the scan: its time is bounded by the size, and a document that takes long to decode must not get
    // around the patterns where the policy fails open.
    budget.check(worker)?;
    if let Some(decoded) = &decoded {
        let found = stage::schema::check(plan, opcode, decoded);
        worker.lap(Stage::Schema);
        if !is_clear(&found) {
            go_on(found, worker)?;
        }
        // Its texts were not matched each apart: what stands before one may have hidden it.
        if plan.scan.is_some() && decoded.is_incomplete(plan, opcode) {
            return Err(Stop::CouldNotInspect(Condition::Undecodable));
        }
    }
    if let Some(ledger) = rated.ledger.as_deref_mut().filter(|_| !plan.states.is_empty()) {
        let judged = Judged { engine, subject, decoded: decoded.as_ref(), now_ns: rated.now_ns };
        let checked = stage::state::check(plan, ledger, judged, |finding| go_on(found(finding), worker));
        worker.lap(Stage::State);
        checked?;
    }
    Ok(())
}

/// Asked of a result where it lies: there is nearly always nothing in it, and moving that costs a message more than asking.
#[inline]
const fn is_clear(result: &Result<Option<Finding>, Stop>) -> bool {
    matches!(result, Ok(None))
}

impl Subject<'_> {
    /// What would be redacted is dropped where nothing can be changed.
    #[inline]
    fn settle(&self, found: Result<Option<Finding>, Stop>) -> Result<Option<Finding>, Stop> {
        match found {
            Ok(Some(finding)) if self.is_fixed && finding.action == Action::Redact => {
                Err(Stop::Finding(Finding { action: Action::Drop, ..finding }))
            }
            found => found,
        }
    }

    /// A close can't be withheld without leaving the other side hanging: its reason condemns the connection.
    fn carried_out(&self, finding: Finding) -> Finding {
        let is_close = self.opcode == Opcode::Close && finding.action == Action::Drop;
        let action = if is_close { Action::Close(CloseCode::POLICY_VIOLATION) } else { finding.action };
        Finding { action, ..finding }
    }
}

/// Holds what becomes of a message against the violation budget, if there is one.
#[inline]
pub(super) fn watched(
    engine: &Engine,
    subject: Subject<'_>,
    rated: &mut Rated<'_>,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
    inspect: impl FnOnce(&mut Rated<'_>, &mut Worker, &mut dyn EventSink) -> Verdict,
) -> Verdict {
    let Some(plan) = &engine.violations else { return inspect(rated, worker, sink) };
    let mut tally = Tally { sink, is_violation: false };
    let verdict = inspect(rated, worker, &mut tally);
    let is_violation = tally.is_violation && !matches!(verdict, Verdict::Close(_));
    let ledger = rated.ledger.as_deref_mut().filter(|_| is_violation);
    match ledger.and_then(|ledger| ledger::settle(plan, ledger, subject.direction, rated.now_ns)) {
        Some(finding) => judge(engine, subject, &finding, worker, sink),
        None => verdict,
    }
}

/// What a finding means for the stages that follow: only an alert lets them go on.
fn found(finding: Finding) -> Result<Option<Finding>, Stop> {
    if finding.action == Action::Alert { Ok(Some(finding)) } else { Err(Stop::Finding(finding)) }
}

/// Only detect mode holds messages that are larger than the rule; otherwise the header was refused before.
fn check_size(plan: &Plan, size: u64) -> Result<Option<Finding>, Stop> {
    match plan.size {
        Some((size_max, rule)) if size > size_max => Err(Stop::Finding(Finding {
            rule,
            action: Action::Close(CloseCode::MESSAGE_TOO_BIG),
            at: None,
            detail: format!("larger than {size_max} bytes"),
        })),
        _ => Ok(None),
    }
}

fn check_utf8(opcode: Opcode, payload: &[u8]) -> Result<Option<&str>, Stop> {
    if opcode != Opcode::Text {
        return Ok(None);
    }
    simdutf8::basic::from_utf8(payload).map(Some).map_err(|_| {
        Stop::Finding(Finding {
            rule: RuleId::protocol(ProtocolError::InvalidUtf8),
            action: Action::Close(ProtocolError::InvalidUtf8.close_code()),
            at: None,
            detail: ProtocolError::InvalidUtf8.to_string(),
        })
    })
}

/// `timeout-ms`: checked between the stages of large messages.
#[derive(Debug)]
struct Budget {
    ends_ns: Option<u64>,
}

impl Budget {
    fn start(engine: &Engine, payload: &[u8], worker: &Worker) -> Self {
        let watched = payload.len() > BUDGET_SIZE_MIN;
        Self { ends_ns: watched.then(|| (worker.clock)().saturating_add(engine.budget_ns)) }
    }

    fn check(&self, worker: &Worker) -> Result<(), Stop> {
        match self.ends_ns {
            Some(ends_ns) if (worker.clock)() > ends_ns => Err(Stop::CouldNotInspect(Condition::OverBudget)),
            _ => Ok(()),
        }
    }
}

/// Tells a finding and carries it out. A broken protocol is no matter of policy: detect mode can't let it pass.
fn judge(
    engine: &Engine,
    subject: Subject<'_>,
    finding: &Finding,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) -> Verdict {
    let is_protocol = finding.rule == RuleId::protocol(ProtocolError::InvalidUtf8);
    let mode = if is_protocol { Mode::Enforce } else { engine.mode };
    tell(engine, subject, finding, Outcome::Message(finding.action), mode, worker, sink);
    match (mode, finding.action) {
        (Mode::Detect, _) | (_, Action::Alert) => Verdict::Allow(Permit::new()),
        // What is redacted is not judged here: modify does it, or drops.
        (Mode::Enforce, Action::Redact | Action::Drop) => {
            let text = engine.reply(finding.rule).filter(|_| !subject.opcode.is_control());
            Verdict::Drop(text.map(Reply::new))
        }
        (Mode::Enforce, Action::Close(code)) => Verdict::Close(code),
    }
}

/// The consequence of "could not inspect": the only way in which anything passes uninspected, and it is counted.
fn fail(
    engine: &Engine,
    subject: Subject<'_>,
    condition: Condition,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) -> Verdict {
    let action = Action::Close(CloseCode::INTERNAL_ERROR);
    let finding = Finding {
        rule: RuleId::condition(condition),
        action,
        at: None,
        detail: "could not be inspected to its end".to_owned(),
    };
    let passes = engine.failure_mode == FailureMode::Open;
    let outcome = if passes { Outcome::PassedUninspected } else { Outcome::Message(action) };
    tell(engine, subject, &finding, outcome, engine.mode, worker, sink);
    if passes || engine.mode == Mode::Detect {
        if let Some(stats) = worker.stats_mut(engine) {
            stats.passed_uninspected += 1;
        }
        return Verdict::Allow(Permit::new());
    }
    Verdict::Close(CloseCode::INTERNAL_ERROR)
}

fn tell(
    engine: &Engine,
    subject: Subject<'_>,
    finding: &Finding,
    outcome: Outcome,
    mode: Mode,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) {
    if let Some(stats) = worker.stats_mut(engine) {
        stats.record_verdict(subject.direction, finding.rule);
    }
    // What is to be hidden is hidden from records too, also as a hash that could be guessed at.
    let is_hidden = engine.redacts(finding.rule);
    sink.event(Event::Verdict(VerdictEvent {
        direction: Some(subject.direction),
        opcode: Some(subject.opcode),
        size: subject.size,
        rule: finding.rule,
        outcome,
        mode,
        detail: &finding.detail,
        payload: if is_hidden { &[] } else { subject.payload },
        at: finding.at.filter(|_| !is_hidden),
    }));
}
