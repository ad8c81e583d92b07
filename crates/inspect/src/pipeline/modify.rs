//! Modify: what may pass, but not as it is.

use wsi_policy::{Action, Mode};

use super::{Budget, Finding, Permit, Stop, Subject, Verdict, judge, tell};
use crate::{
    engine::Engine,
    event::{EventSink, Outcome},
    stage::{self, redact::Redacted, schema::Decoded},
    worker::Worker,
};

/// How often a message is gone over: what was put in the place of a match may have made another with what is around it.
const ROUNDS_MAX: usize = 4;

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
            if let Some(stats) = worker.stats_mut(engine) {
                stats.redacted += 1;
            }
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
    if let Some(stats) = worker.stats_mut(engine) {
        stats.redact_failures += 1;
    }
    let detail = format!("{}; it could not be redacted", finding.detail);
    let finding = subject.carried_out(Finding { detail, action: Action::Drop, ..finding });
    judge(engine, subject, &finding, worker, sink)
}

fn attempt(engine: &Engine, subject: Subject<'_>, budget: &Budget, worker: &mut Worker) -> Attempt {
    let Some((scan, redaction)) = engine
        .plan(subject.direction)
        .scan
        .as_deref()
        .and_then(|scan| Some((scan, scan.redaction.as_deref()?)))
    else {
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
        let found = inspect_again(engine, Subject { payload: redacted.payload(), ..subject }, worker);
        match found {
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
    let text = super::check_utf8(opcode, payload)?;
    let mut decoded = stage::schema::decode(engine, plan, opcode, payload, text, worker);
    let texts = decoded.as_ref().map_or(&[][..], Decoded::texts);
    let found = stage::scan::scan(scan, payload, texts, worker);
    if let Some(decoded) = &mut decoded {
        decoded.drop_texts(worker);
    }
    found
}
