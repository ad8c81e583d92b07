//! Modify: what may pass, but not as it is.

use wsi_policy::{Action, Mode};
use wsi_ws::HEADER_SIZE_MAX;

use super::{Budget, Finding, Passed, Permit, Stop, Subject, Verdict, check_utf8, fail, judge, tell};
use crate::{
    condition::Condition,
    engine::Engine,
    event::{EventSink, Outcome},
    stage::{self, redact::Redacted, schema::Decoded},
    stats::Stats,
    worker::Worker,
};

/// How often a message is gone over: what was put in the place of a match may have made another with what is around it.
const ROUNDS_MAX: usize = 4;

/// Makes the message what it is to be when it leaves: first the places that are rewritten, then whatever is to be hidden in what
/// came of that.
pub(super) fn modify(
    engine: &Engine,
    subject: Subject<'_>,
    passed: Passed,
    failed: Option<Condition>,
    budget: &Budget,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) -> Verdict {
    // First of all: a message that can't be rewritten is stopped, and nothing says that it has passed.
    let rewritten = match rewrite(engine, subject, worker) {
        Ok(rewritten) => rewritten,
        Err(finding) => {
            count(engine, worker, |stats| stats.rewrite_failures += 1);
            return judge(engine, subject, &finding, worker, sink);
        }
    };
    let verdict = super::permit(engine, subject, &passed, failed, worker, sink);
    match (verdict, rewritten, passed.redaction) {
        (Verdict::Allow(permit), Some(buffer), redaction) => {
            replace(engine, (subject, buffer), redaction, permit, budget, worker, sink)
        }
        (Verdict::Allow(permit), None, Some(finding)) => {
            redact(engine, subject, finding, permit, budget, worker, sink)
        }
        (verdict, ..) => verdict,
    }
}

/// Lets a message pass as it was rewritten, with whatever is to be hidden in that.
fn replace(
    engine: &Engine,
    (subject, buffer): (Subject<'_>, Vec<u8>),
    redaction: Option<Finding>,
    permit: Permit,
    budget: &Budget,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) -> Verdict {
    let rewritten = Subject { payload: &buffer[HEADER_SIZE_MAX..], ..subject };
    // What stood apart before may stand together now.
    let redaction = match inspect_again(engine, rewritten, worker) {
        // What was to be hidden may be gone.
        Ok(found) => found.filter(|found| found.action == Action::Redact),
        Err(Stop::Finding(finding)) => return judge(engine, rewritten, &finding, worker, sink),
        Err(Stop::CouldNotInspect(condition)) => match redaction {
            _ if !engine.fails_open() => return fail(engine, rewritten, condition, worker, sink),
            Some(finding) => return give_up(engine, rewritten, finding, worker, sink),
            // As it was told of the message as it came, or would have been.
            None => None,
        },
    };
    let verdict = match redaction {
        Some(finding) => redact(engine, rewritten, finding, permit, budget, worker, sink),
        None => Verdict::Replace(permit, buffer),
    };
    if matches!(verdict, Verdict::Replace(..)) {
        count(engine, worker, |stats| stats.rewritten += 1);
    }
    verdict
}

/// The message with all places rewritten, behind room for a header; `None`: it has none of them.
///
/// # Errors
/// The first rule that can't be carried out.
fn rewrite(engine: &Engine, subject: Subject<'_>, worker: &mut Worker) -> Result<Option<Vec<u8>>, Finding> {
    let plan = engine.plan(subject.direction);
    let mut current = None::<Vec<u8>>;
    for each in plan.rewrites.iter().filter(|each| each.messages.contains(subject.opcode)) {
        let payload = current.as_ref().map_or(subject.payload, |buffer| &buffer[HEADER_SIZE_MAX..]);
        let failed = |reason: &str| {
            let detail = format!("can't be changed at {:?}: {reason}", each.at);
            Finding { rule: each.rule, action: Action::Drop, at: None, detail }
        };
        let edits =
            stage::rewrite::rewrite(engine, each, payload).map_err(|fault| failed(&fault.to_string()))?;
        if edits.is_empty() {
            continue;
        }
        if subject.is_fixed {
            return Err(failed("a proxy passes a message as it came, or not"));
        }
        if edits.size_after(payload.len()) as u64 > plan.wire.message_size_max {
            return Err(failed("it would be larger than a message may be"));
        }
        // The copy: what takes the place of a value has another length, and what is behind it moves.
        let mut buffer = worker.spare();
        buffer.resize(HEADER_SIZE_MAX, 0);
        edits.apply(payload, &mut buffer);
        if let Some(before) = current.replace(buffer) {
            worker.recycle(before);
        }
    }
    Ok(current)
}

/// What became of the attempt to hide what was found.
enum Attempt {
    Redacted(Redacted),
    /// It now breaks another rule.
    Breaks(Finding),
    Failed,
}

/// Hides what `finding` and all other rules that redact find, and makes sure of it: the new message is inspected like any. Where it
/// can't be done the message is dropped.
pub(super) fn redact(
    engine: &Engine,
    subject: Subject<'_>,
    finding: Finding,
    permit: Permit,
    budget: &Budget,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) -> Verdict {
    match attempt(engine, subject, budget, worker) {
        Attempt::Redacted(Redacted { buffer, places }) => {
            let detail = match places {
                1 => format!("{}; one place is redacted", finding.detail),
                _ => format!("{}; {places} places are redacted", finding.detail),
            };
            let finding = Finding { detail, ..finding };
            tell(engine, subject, &finding, Outcome::Message(Action::Redact), Mode::Enforce, worker, sink);
            count(engine, worker, |stats| stats.redacted += 1);
            Verdict::Replace(permit, buffer)
        }
        Attempt::Breaks(other) => judge(engine, subject, &subject.carried_out(other), worker, sink),
        Attempt::Failed => give_up(engine, subject, finding, worker, sink),
    }
}

/// What can't be hidden does not pass.
pub(super) fn give_up(
    engine: &Engine,
    subject: Subject<'_>,
    finding: Finding,
    worker: &mut Worker,
    sink: &mut dyn EventSink,
) -> Verdict {
    count(engine, worker, |stats| stats.redact_failures += 1);
    let detail = format!("{}; it could not be redacted", finding.detail);
    let finding = subject.carried_out(Finding { detail, action: Action::Drop, ..finding });
    judge(engine, subject, &finding, worker, sink)
}

fn attempt(engine: &Engine, subject: Subject<'_>, budget: &Budget, worker: &mut Worker) -> Attempt {
    let scan = engine.plan(subject.direction).scan.as_deref();
    let Some((scan, redaction)) = scan.and_then(|scan| Some((scan, scan.redaction.as_deref()?))) else {
        return Attempt::Failed;
    };
    let (mut last, mut places) = (None::<Redacted>, 0);
    for _ in 0..ROUNDS_MAX {
        if budget.check(worker).is_err() {
            break;
        }
        let payload = last.as_ref().map_or(subject.payload, Redacted::payload);
        let source = Subject { payload, ..subject };
        let Some(redacted) = stage::redact::redact(engine, scan, redaction, source, worker) else { break };
        places += redacted.places;
        if let Some(last) = last.take() {
            worker.recycle(last.buffer);
        }
        match inspect_again(engine, Subject { payload: redacted.payload(), ..subject }, worker) {
            Ok(Some(finding)) if finding.action == Action::Redact => last = Some(redacted),
            // What only alerts was told of the message as it came.
            Ok(_) => return Attempt::Redacted(Redacted { places, ..redacted }),
            Err(Stop::Finding(finding)) => return Attempt::Breaks(finding),
            Err(Stop::CouldNotInspect(_)) => break,
        }
    }
    Attempt::Failed
}

/// The patterns over a message of our making, as over any.
fn inspect_again(
    engine: &Engine,
    subject: Subject<'_>,
    worker: &mut Worker,
) -> Result<Option<Finding>, Stop> {
    let Subject { direction, opcode, payload, .. } = subject;
    let plan = engine.plan(direction);
    let Some(scan) = &plan.scan else { return Ok(None) };
    if opcode.is_control() {
        return stage::scan::scan(scan, payload, &[], worker);
    }
    let text = check_utf8(opcode, payload)?;
    let mut decoded = stage::schema::decode(engine, plan, opcode, payload, text, worker);
    let texts = decoded.as_ref().map_or(&[][..], Decoded::texts);
    let found = stage::scan::scan(scan, payload, texts, worker);
    if let Some(decoded) = &mut decoded {
        decoded.drop_texts(worker);
    }
    match decoded {
        // What was hidden or rewritten may have been a length, or what names the message's type.
        Some(decoded) if found.is_ok() && decoded.is_incomplete(plan, opcode) => {
            Err(Stop::CouldNotInspect(Condition::Undecodable))
        }
        _ => found,
    }
}

fn count(engine: &Engine, worker: &mut Worker, add: impl FnOnce(&mut Stats)) {
    if let Some(stats) = worker.stats_mut(engine) {
        add(stats);
    }
}
