//! Scan: block patterns and rule sets over the bytes as they came and, where an escape occurs, as they will be read.

use std::sync::Arc;

use wsi_policy::Action;
use wsi_scan::{Flow, MatchSink, PatternId, ScanError, Stream, escape};

use crate::{
    condition::Condition,
    engine::{PatternRule, ScanPlan},
    pipeline::{Finding, Stop},
    worker::Worker,
};

/// How often escapes are undone: JSON in a string of JSON in a string of JSON.
const ESCAPE_LAYERS_MAX: usize = 3;

/// Scans `payload`, and `texts` that were found in it, if it has such. `Ok(Some(..))`: a rule that only alerts.
///
/// # Errors
/// The first finding that stops the message, or that Hyperscan failed.
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
    scan_layer(plan, payload, worker, &mut hits)?;
    let in_payload = hits.best;
    if !texts.is_empty() && !hits.is_final() {
        scan_layer(plan, texts, worker, &mut hits)?;
    }
    for bytes in [payload, texts] {
        if plan.normalize_json && !hits.is_final() {
            hits.only_normalized = true;
            scan_unescaped(plan, bytes, worker, &mut hits)?;
        }
    }
    // Where a match is in the texts says nothing about where it is in the payload.
    let is_placed = texts.is_empty() || in_payload.map(|hit| hit.rule) == hits.best.map(|hit| hit.rule);
    finding(hits.best.map(|hit| (hit.rule, is_placed.then_some(hit.end))))
}

/// What was found, and where it ends if that is at a place of the payload.
fn finding(hit: Option<(PatternRule, Option<usize>)>) -> Result<Option<Finding>, Stop> {
    let Some((PatternRule { rule, action, .. }, at)) = hit else { return Ok(None) };
    let finding = Finding { rule, action, at, detail: "matches a blocked pattern".to_owned() };
    if action == Action::Alert { Ok(Some(finding)) } else { Err(Stop::Finding(finding)) }
}

/// The scan of one message that comes in parts.
#[derive(Debug)]
pub(crate) struct StreamScan {
    plan: Arc<ScanPlan>,
    stream: Stream,
}

impl StreamScan {
    /// `None`: the plan has nothing to look for.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn open(plan: &Arc<ScanPlan>) -> Result<Option<Self>, Stop> {
        let Some(database) = &plan.stream_database else { return Ok(None) };
        let stream = Stream::open(database, plan.normalize_json).map_err(scan_failed)?;
        Ok(Some(Self { plan: Arc::clone(plan), stream }))
    }

    /// Scans the next part, or the last. `Ok(Some(..))`: a rule that only alerts.
    ///
    /// # Errors
    /// A finding that ends the message, or that Hyperscan failed.
    pub fn scan(&mut self, part: &[u8], is_last: bool) -> Result<Option<Finding>, Stop> {
        let Some(database) = &self.plan.stream_database else { return Ok(None) };
        let mut hits = Hits::new(&self.plan.rules, true);
        let sink = |layer, id| {
            hits.only_normalized = layer > 0;
            hits.on_match(id, 0)
        };
        self.stream.scan(database, part, is_last, sink).map_err(scan_failed)?;
        finding(hits.best.map(|hit| (hit.rule, None)))
    }
}

fn scan_failed(_: ScanError) -> Stop {
    Stop::CouldNotInspect(Condition::ScanFailed)
}

fn scan_unescaped(
    plan: &ScanPlan,
    payload: &[u8],
    worker: &mut Worker,
    hits: &mut Hits<'_>,
) -> Result<(), Stop> {
    // Taken out, so that the scratch beside them can be borrowed.
    let [mut layer, mut next] = std::mem::take(&mut worker.layers);
    let mut result = Ok(());
    if escape::unescape_json(payload, &mut layer) {
        for _ in 0..ESCAPE_LAYERS_MAX {
            result = scan_layer(plan, &layer, worker, hits);
            if result.is_err() || hits.is_final() || !escape::unescape_json(&layer, &mut next) {
                break;
            }
            std::mem::swap(&mut layer, &mut next);
        }
    }
    worker.keep_layers([layer, next]);
    result
}

fn scan_layer(plan: &ScanPlan, bytes: &[u8], worker: &mut Worker, hits: &mut Hits<'_>) -> Result<(), Stop> {
    if !hits.is_whole {
        // `$` also matches before a line's end that is last.
        hits.ends_max = bytes.len().saturating_sub(2);
    }
    plan.database.scan(&mut worker.scratch, bytes, hits).map_err(scan_failed)
}

/// Keeps the match with the gravest action: the first that closes ends the scan.
struct Hits<'a> {
    rules: &'a [PatternRule],
    only_normalized: bool,
    is_whole: bool,
    /// Matches that end later do not count.
    ends_max: usize,
    best: Option<Hit>,
}

#[derive(Clone, Copy)]
struct Hit {
    rule: PatternRule,
    end: usize,
}

impl<'a> Hits<'a> {
    fn new(rules: &'a [PatternRule], is_whole: bool) -> Self {
        Self { rules, only_normalized: false, is_whole, ends_max: usize::MAX, best: None }
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
        let counts = (rule.normalize_json || !self.only_normalized) && end <= self.ends_max;
        if counts && self.best.is_none_or(|best| gravity(rule.action) > gravity(best.rule.action)) {
            self.best = Some(Hit { rule, end });
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
