//! Scan: block patterns and rule sets over the bytes as they came and, where they hide something, as they may be read.

use std::ops::ControlFlow;

use wsi_policy::Action;
use wsi_scan::{Flow, Kinds, MatchSink, PatternId, normalize::Outcome};

use crate::{
    condition::Condition,
    engine::{PatternRule, ScanPlan},
    pipeline::{Finding, Stop},
    worker::Worker,
};

const FAILED: Stop = Stop::CouldNotInspect(Condition::ScanFailed);

/// Scans `payload`. `Ok(Some(..))`: a rule that only alerts.
///
/// # Errors
/// The first finding that stops the message, that it hides something too deep, or that Hyperscan failed.
#[inline]
pub(crate) fn scan(plan: &ScanPlan, payload: &[u8], worker: &mut Worker) -> Result<Option<Finding>, Stop> {
    let mut hits = Hits { rules: &plan.rules, undone: Kinds::NONE, best: None };
    plan.database.scan(&mut worker.scratch, payload, &mut hits).map_err(|_| FAILED)?;
    let outcome =
        if hits.is_final() { Outcome::Complete } else { scan_views(plan, payload, worker, &mut hits) };
    let found = hits.best.map(Hit::finding);
    match (outcome, found) {
        (Outcome::Stopped(Failed), _) => Err(FAILED),
        (_, Some(finding)) if finding.action != Action::Alert => Err(Stop::Finding(finding)),
        (Outcome::TooDeep, _) => Err(Stop::CouldNotInspect(Condition::OverDepth)),
        (_, found) => Ok(found),
    }
}

/// Hyperscan failed.
struct Failed;

/// A final hit ends it as if it were complete.
fn scan_views(plan: &ScanPlan, payload: &[u8], worker: &mut Worker, hits: &mut Hits<'_>) -> Outcome<Failed> {
    let Worker { scratch, views, .. } = worker;
    let outcome = plan.normalizer.views(payload, views, |view, undone| {
        hits.undone = undone;
        match plan.database.scan(scratch, view, hits) {
            Err(_) => ControlFlow::Break(Some(Failed)),
            Ok(()) if hits.is_final() => ControlFlow::Break(None),
            Ok(()) => ControlFlow::Continue(()),
        }
    });
    views.trim();
    match outcome {
        Outcome::Stopped(Some(failed)) => Outcome::Stopped(failed),
        Outcome::Stopped(None) | Outcome::Complete => Outcome::Complete,
        Outcome::TooDeep => Outcome::TooDeep,
    }
}

/// Keeps the match with the gravest action: the first that closes ends the scan.
struct Hits<'a> {
    rules: &'a [PatternRule],
    /// What was undone of the view that is being scanned.
    undone: Kinds,
    best: Option<Hit>,
}

#[derive(Clone, Copy)]
struct Hit {
    rule: PatternRule,
    undone: Kinds,
    end: usize,
}

impl Hit {
    /// A place in a view is none in the payload.
    fn finding(self) -> Finding {
        let (at, detail) = if self.undone.is_empty() {
            (Some(self.end), "matches a blocked pattern".to_owned())
        } else {
            (None, format!("matches a blocked pattern in {}-decoded text", self.undone))
        };
        Finding { rule: self.rule.rule, action: self.rule.action, at, detail }
    }
}

impl Hits<'_> {
    fn is_final(&self) -> bool {
        self.best.is_some_and(|hit| matches!(hit.rule.action, Action::Close(_)))
    }
}

impl MatchSink for Hits<'_> {
    fn on_match(&mut self, id: PatternId, end: usize) -> Flow {
        let Some(&rule) = usize::try_from(id.0).ok().and_then(|id| self.rules.get(id)) else {
            return Flow::Continue;
        };
        let counts = rule.kinds.contains(self.undone);
        if counts && self.best.is_none_or(|best| gravity(rule.action) > gravity(best.rule.action)) {
            self.best = Some(Hit { rule, undone: self.undone, end });
        }
        if self.is_final() { Flow::Stop } else { Flow::Continue }
    }
}

fn gravity(action: Action) -> u8 {
    match action {
        Action::Alert => 0,
        Action::Drop => 1,
        Action::Close(_) => 2,
    }
}
