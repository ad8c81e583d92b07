//! Messages that are too large to be held: inspected as they come, and let go but for the last bytes.

use super::{Finding, Permit, Stop, Subject, Verdict, check_size, fail, judge, watched};
use crate::{
    condition::Condition,
    engine::{Engine, Plan},
    event::EventSink,
    stage::{
        self,
        rate::{Cost, Rated, Rating},
        scan::StreamScan,
    },
    worker::Worker,
};

/// The inspection of one message whose bytes come in parts; the assembler watches sizes and UTF-8.
///
/// A match may begin in a part and end in a later one: the caller holds back as many bytes as
/// [`StreamPlan`](crate::engine::StreamPlan) says. Only rules that close or alert look at such a message: what has left can't be
/// dropped.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    scan: Scan,
    size: usize,
    is_over_rate: bool,
    alert: Option<Finding>,
}

#[derive(Debug, Default)]
enum Scan {
    #[default]
    Begins,
    Goes(Box<StreamScan>),
    /// There is nothing to look for, or not any more: its finding was told.
    Over,
}

/// Everything of the session's and the caller's that an inspection borrows.
pub(crate) struct Surroundings<'a> {
    pub engine: &'a Engine,
    pub rated: Rated<'a>,
    pub worker: &'a mut Worker,
    pub sink: &'a mut dyn EventSink,
}

impl Stream {
    /// Bytes of payload so far.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Inspects the next bytes, or the last.
    pub fn inspect(&mut self, subject: Subject<'_>, is_last: bool, around: &mut Surroundings<'_>) -> Verdict {
        let Surroundings { engine, rated, worker, sink } = around;
        watched(engine, subject, rated, worker, &mut **sink, |rated, worker, sink| {
            let rated = Rated {
                buckets: &mut *rated.buckets,
                ledger: rated.ledger.as_deref_mut(),
                now_ns: rated.now_ns,
            };
            self.inspect_part(subject, is_last, &mut Surroundings { engine, rated, worker, sink })
        })
    }

    fn inspect_part(
        &mut self,
        subject: Subject<'_>,
        is_last: bool,
        around: &mut Surroundings<'_>,
    ) -> Verdict {
        let plan = around.engine.plan(subject.direction);
        let cost = Cost::new(u64::from(self.size == 0), subject.payload.len(), subject.was_compressed);
        self.size += subject.payload.len();
        let subject = Subject { size: self.size, ..subject };
        if !self.is_over_rate {
            let (engine, direction) = (around.engine, subject.direction);
            let rating = Rating { engine, direction, cost, decoded: None };
            let rate = stage::rate::take(plan, &mut around.rated, rating);
            self.is_over_rate = rate.is_err();
            if let Some(verdict) = self.settle(subject, rate, around) {
                return verdict;
            }
        }
        let found = self.scan(plan, subject.payload, is_last);
        if let Some(verdict) = self.settle(subject, found, around) {
            return verdict;
        }
        if is_last {
            if let Some(verdict) = self.settle(subject, check_size(plan, self.size as u64), around) {
                return verdict;
            }
            if let Some(alert) = self.alert.take() {
                return judge(around.engine, subject, &alert, around.worker, around.sink);
            }
        }
        Verdict::Allow(Permit::new())
    }

    fn scan(&mut self, plan: &Plan, part: &[u8], is_last: bool) -> Result<Option<Finding>, Stop> {
        let scan = match (std::mem::replace(&mut self.scan, Scan::Over), &plan.scan) {
            (Scan::Goes(scan), _) => Some(scan),
            (Scan::Begins, Some(scan)) => StreamScan::open(scan)?.map(Box::new),
            (Scan::Begins, None) | (Scan::Over, _) => None,
        };
        let Some(mut scan) = scan else { return Ok(None) };
        let found = scan.scan(part, is_last);
        // What hides too deep may pass all the same, and then what does not hide is looked for further.
        if !is_last && matches!(found, Ok(_) | Err(Stop::CouldNotInspect(Condition::OverDepth))) {
            self.scan = Scan::Goes(scan);
        }
        found
    }

    /// What a stage's result means for the message; `None`: it goes on.
    fn settle(
        &mut self,
        subject: Subject<'_>,
        result: Result<Option<Finding>, Stop>,
        around: &mut Surroundings<'_>,
    ) -> Option<Verdict> {
        let verdict = match result {
            Ok(found) => {
                self.alert = self.alert.take().or(found);
                return None;
            }
            Err(Stop::Finding(finding)) => {
                judge(around.engine, subject, &finding, around.worker, around.sink)
            }
            Err(Stop::CouldNotInspect(condition)) => {
                fail(around.engine, subject, condition, around.worker, around.sink)
            }
        };
        // It was told; detect mode, or a policy that fails open, lets it go on.
        (!matches!(verdict, Verdict::Allow(_))).then_some(verdict)
    }
}
