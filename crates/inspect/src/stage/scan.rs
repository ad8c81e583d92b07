//! Scan: block patterns and rule sets over the bytes as they came and, where they hide something, as they may be read.

use std::{ops::ControlFlow, sync::Arc};

use wsi_policy::Action;
use wsi_scan::{Flow, Kinds, MatchSink, PatternId, ScanError, Scratch, Stream, normalize::Outcome};

use crate::{
    condition::Condition,
    engine::{PatternRule, ScanPlan},
    pipeline::{Finding, Stop},
    worker::Worker,
};

/// Scans `payload`, and `texts` that were found in it, if it has such. `Ok(Some(..))`: a rule that only alerts, or one that redacts.
///
/// # Errors
/// The first finding that stops the message, that it hides something too deep, or that Hyperscan failed.
#[inline]
pub(crate) fn scan(
    plan: &ScanPlan,
    payload: &[u8],
    texts: &[u8],
    worker: &mut Worker,
) -> Result<Option<Finding>, Stop> {
    scan_part(plan, payload, texts, true, worker)
}

/// Scans the beginning of a message of which more is to come. What ends with it is no match yet: whether a word or a line
/// ends there is not known.
///
/// # Errors
/// As [`scan`].
pub(crate) fn scan_begun(
    plan: &ScanPlan,
    payload: &[u8],
    worker: &mut Worker,
) -> Result<Option<Finding>, Stop> {
    scan_part(plan, payload, &[], false, worker)
}

#[inline]
fn scan_part(
    plan: &ScanPlan,
    payload: &[u8],
    texts: &[u8],
    is_whole: bool,
    worker: &mut Worker,
) -> Result<Option<Finding>, Stop> {
    let mut hits = Hits::new(&plan.rules, is_whole);
    scan_view(plan, payload, &mut worker.scratch, &mut hits)?;
    hits.is_payload = false;
    if !texts.is_empty() && !hits.is_final() {
        scan_view(plan, texts, &mut worker.scratch, &mut hits)?;
    }
    let mut is_too_deep = false;
    for bytes in [payload, texts] {
        if !hits.is_final() {
            is_too_deep |= scan_views(plan, bytes, worker, &mut hits)? == TooDeep(true);
        }
    }
    match hits.finding() {
        // A hit that stops or changes the message says more than that something else was hidden.
        Ok(found) if is_too_deep && found.as_ref().is_none_or(|found| found.action == Action::Alert) => {
            Err(Stop::CouldNotInspect(Condition::OverDepth))
        }
        found => found,
    }
}

/// Something may be hidden deeper than was looked.
#[derive(PartialEq, Eq)]
struct TooDeep(bool);

/// The scan of one message that comes in parts.
#[derive(Debug)]
pub(crate) struct StreamScan {
    plan: Arc<ScanPlan>,
    stream: Stream,
    /// That it hides something too deep is told once.
    is_too_deep: bool,
}

impl StreamScan {
    /// `None`: the plan has nothing to look for.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn open(plan: &Arc<ScanPlan>) -> Result<Option<Self>, Stop> {
        let Some(database) = &plan.stream_database else { return Ok(None) };
        let stream = Stream::open(database, &plan.normalizer).map_err(scan_failed)?;
        Ok(Some(Self { plan: Arc::clone(plan), stream, is_too_deep: false }))
    }

    /// Scans the next part, or the last. `Ok(Some(..))`: a rule that only alerts.
    ///
    /// # Errors
    /// A finding that ends the message, that it hides something too deep, or that Hyperscan failed.
    pub fn scan(&mut self, part: &[u8], is_last: bool) -> Result<Option<Finding>, Stop> {
        let Some(database) = &self.plan.stream_database else { return Ok(None) };
        let mut hits = Hits::new(&self.plan.rules, true);
        hits.is_payload = false;
        let sink = |undone, id| {
            hits.undone = undone;
            hits.on_match(id, 0)
        };
        let normalizer = &self.plan.normalizer;
        let is_too_deep = self.stream.scan(database, normalizer, part, is_last, sink).map_err(scan_failed)?;
        match hits.finding() {
            Ok(_) if is_too_deep && !std::mem::replace(&mut self.is_too_deep, true) => {
                Err(Stop::CouldNotInspect(Condition::OverDepth))
            }
            found => found,
        }
    }
}

/// Hyperscan fails only for want of memory.
fn scan_failed(_: ScanError) -> Stop {
    Stop::CouldNotInspect(Condition::ScratchExhausted)
}

/// A final hit ends it.
fn scan_views(
    plan: &ScanPlan,
    bytes: &[u8],
    worker: &mut Worker,
    hits: &mut Hits<'_>,
) -> Result<TooDeep, Stop> {
    let Worker { scratch, views, .. } = worker;
    let outcome = plan.normalizer.views(bytes, views, |view, undone| {
        hits.undone = undone;
        match scan_view(plan, view, scratch, hits) {
            Err(stop) => ControlFlow::Break(Some(stop)),
            Ok(()) if hits.is_final() => ControlFlow::Break(None),
            Ok(()) => ControlFlow::Continue(()),
        }
    });
    match outcome {
        Outcome::Stopped(Some(stop)) => Err(stop),
        Outcome::Stopped(None) | Outcome::Complete => Ok(TooDeep(false)),
        Outcome::TooDeep => Ok(TooDeep(true)),
    }
}

fn scan_view(plan: &ScanPlan, bytes: &[u8], scratch: &mut Scratch, hits: &mut Hits<'_>) -> Result<(), Stop> {
    if !hits.is_whole {
        // `$` also matches before a line's end that is last.
        hits.ends_max = bytes.len().saturating_sub(2);
    }
    plan.database.scan(scratch, bytes, hits).map_err(scan_failed)
}

/// Keeps the match with the gravest action: the first that closes ends the scan.
struct Hits<'a> {
    rules: &'a [PatternRule],
    /// What was undone of the view that is being scanned.
    undone: Kinds,
    /// The payload itself is being scanned: a place in anything else is none in it.
    is_payload: bool,
    is_whole: bool,
    /// Matches that end later do not count.
    ends_max: usize,
    best: Option<Hit>,
}

#[derive(Clone, Copy)]
struct Hit {
    rule: PatternRule,
    undone: Kinds,
    /// Where it ends in the payload, if it is there.
    end: Option<usize>,
}

impl Hit {
    fn finding(self) -> Finding {
        let detail = if self.undone.is_empty() {
            "matches a blocked pattern".to_owned()
        } else {
            format!("matches a blocked pattern in {}-decoded text", self.undone)
        };
        Finding { rule: self.rule.rule, action: self.rule.action, at: self.end, detail }
    }
}

impl<'a> Hits<'a> {
    fn new(rules: &'a [PatternRule], is_whole: bool) -> Self {
        Self { rules, undone: Kinds::NONE, is_payload: true, is_whole, ends_max: usize::MAX, best: None }
    }

    /// One that lets the message go on, or nothing.
    ///
    /// # Errors
    /// A finding that stops the message.
    fn finding(&self) -> Result<Option<Finding>, Stop> {
        match self.best.map(Hit::finding) {
            Some(finding) if !matches!(finding.action, Action::Alert | Action::Redact) => {
                Err(Stop::Finding(finding))
            }
            found => Ok(found),
        }
    }

    fn is_final(&self) -> bool {
        self.best.is_some_and(|hit| matches!(hit.rule.action, Action::Close(_)))
    }
}

impl MatchSink for Hits<'_> {
    fn on_match(&mut self, id: PatternId, end: usize) -> Flow {
        let Some(&rule) = usize::try_from(id.0).ok().and_then(|id| self.rules.get(id)) else {
            return Flow::Continue;
        };
        let counts = rule.kinds.contains(self.undone) && end <= self.ends_max;
        if counts && self.best.is_none_or(|best| gravity(rule.action) > gravity(best.rule.action)) {
            let end = self.is_payload.then_some(end);
            self.best = Some(Hit { rule, undone: self.undone, end });
        }
        if self.is_final() { Flow::Stop } else { Flow::Continue }
    }
}

fn gravity(action: Action) -> u8 {
    match action {
        Action::Alert => 0,
        Action::Redact => 1,
        Action::Drop => 2,
        Action::Close(_) => 3,
    }
}
