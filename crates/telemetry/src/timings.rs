//! How long inspection took, as shards have timed it: a bounded ring from each, and histograms that another thread fills.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

use hdrhistogram::{CreationError, Histogram};
use ringbuf::{
    HeapCons, HeapProd, HeapRb,
    traits::{Consumer, Producer, Split},
};
use wsi_inspect::{Stage, Timing};

use crate::text::{Family, Kind};

/// One message in this many is timed: what the clock costs is spread over them.
pub const TIMED_EVERY: u32 = 64;

/// Timings that wait for the other thread; further ones are left out, which changes no shape.
const QUEUE_TIMINGS: usize = 4_096;
const COLLECTED_EVERY: Duration = Duration::from_millis(200);
/// Nanoseconds: a minute, which no inspection takes.
const LONGEST_NS: u64 = 60_000_000_000;
/// Of the value, in decimal digits.
const PRECISION: u8 = 2;

/// Upper bounds of buckets, in nanoseconds, with the text of the same in seconds.
const BOUNDS: [(u64, &str); 16] = [
    (100, "0.0000001"),
    (250, "0.00000025"),
    (500, "0.0000005"),
    (1_000, "0.000001"),
    (2_500, "0.0000025"),
    (5_000, "0.000005"),
    (10_000, "0.00001"),
    (25_000, "0.000025"),
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (1_000_000, "0.001"),
    (5_000_000, "0.005"),
    (25_000_000, "0.025"),
    (100_000_000, "0.1"),
    (1_000_000_000, "1"),
];

/// A shard's end.
pub struct TimingSender(HeapProd<Timing>);

/// Histograms of all shards.
pub struct Timings(Mutex<Collected>);

struct Collected {
    rings: Vec<HeapCons<Timing>>,
    /// Of each stage, and last of the whole.
    series: Vec<Series>,
}

struct Series {
    histogram: Histogram<u64>,
    sum_ns: u64,
}

/// Percentiles of a stage, or of the whole (`all`), in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    pub name: &'static str,
    /// Messages that were timed.
    pub count: u64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
}

impl TimingSender {
    /// Never waits.
    pub fn send(&mut self, timing: Timing) {
        // One of many that are alike.
        let _ = self.0.try_push(timing);
    }
}

impl Timings {
    /// Histograms, and an end for each of `shards`. A thread of its own collects until they are dropped.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn start(shards: usize) -> io::Result<(Arc<Self>, Vec<TimingSender>)> {
        let (timings, senders) = Self::new(shards).map_err(io::Error::other)?;
        let timings = Arc::new(timings);
        let weak = Arc::downgrade(&timings);
        thread::Builder::new().name("timings".into()).spawn(move || collect_on(&weak))?;
        Ok((timings, senders))
    }

    fn new(shards: usize) -> Result<(Self, Vec<TimingSender>), CreationError> {
        let rings = (0..shards).map(|_| HeapRb::new(QUEUE_TIMINGS).split());
        let (senders, rings) = rings.map(|(sender, ring)| (TimingSender(sender), ring)).unzip();
        let series = series_names().map(|_| Series::new()).collect::<Result<_, _>>()?;
        Ok((Self(Mutex::new(Collected { rings, series })), senders))
    }

    /// The whole first, then each stage that was ever timed.
    pub fn percentiles(&self) -> Vec<Percentiles> {
        let collected = self.collect();
        let all = series_names().zip(&collected.series).filter(|(_, series)| !series.histogram.is_empty());
        let mut all: Vec<_> = all.map(|(name, series)| series.percentiles(name)).collect();
        let count = all.len();
        all.rotate_right(1.min(count));
        all
    }

    pub(crate) fn write(&self, out: &mut String) {
        let help =
            "Time that inspecting a message took, by stage; all: the whole. One message in 64 is timed.";
        let mut family = Family::new(out, "wsi_inspection_seconds", Kind::Histogram, help);
        let collected = self.collect();
        for (name, Series { histogram, sum_ns }) in series_names().zip(&collected.series) {
            for (bound_ns, seconds) in BOUNDS {
                let count = histogram.count_between(0, bound_ns);
                family.sample_of("_bucket", &[("stage", name), ("le", seconds)], count);
            }
            family.sample_of("_bucket", &[("stage", name), ("le", "+Inf")], histogram.len());
            family.sample_of("_sum", &[("stage", name)], Seconds(*sum_ns));
            family.sample_of("_count", &[("stage", name)], histogram.len());
        }
    }

    fn collect(&self) -> std::sync::MutexGuard<'_, Collected> {
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        collected.collect();
        collected
    }
}

fn collect_on(timings: &Weak<Timings>) {
    while let Some(timings) = timings.upgrade() {
        drop(timings.collect());
        drop(timings);
        thread::sleep(COLLECTED_EVERY);
    }
}

fn series_names() -> impl Iterator<Item = &'static str> {
    Stage::ALL.into_iter().map(Stage::name).chain(["all"])
}

impl Collected {
    fn collect(&mut self) {
        for ring in &mut self.rings {
            // As many as there may be: shards go on meanwhile.
            for Timing { all_ns, stages_ns } in ring.pop_iter().take(QUEUE_TIMINGS) {
                for (series, took_ns) in
                    self.series.iter_mut().zip(stages_ns.into_iter().chain([Some(all_ns)]))
                {
                    took_ns.into_iter().for_each(|took_ns| series.record(took_ns));
                }
            }
        }
    }
}

impl Series {
    fn new() -> Result<Self, CreationError> {
        Ok(Self { histogram: Histogram::new_with_bounds(1, LONGEST_NS, PRECISION)?, sum_ns: 0 })
    }

    fn record(&mut self, took_ns: u64) {
        self.histogram.saturating_record(took_ns);
        self.sum_ns = self.sum_ns.wrapping_add(took_ns);
    }

    fn percentiles(&self, name: &'static str) -> Percentiles {
        let at = |quantile| self.histogram.value_at_quantile(quantile);
        Percentiles {
            name,
            count: self.histogram.len(),
            p50_ns: at(0.5),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: self.histogram.max(),
        }
    }
}

/// Nanoseconds, shown in seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

impl fmt::Debug for TimingSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimingSender").finish_non_exhaustive()
    }
}

impl fmt::Debug for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timings").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(all_ns: u64, scan_ns: u64) -> Timing {
        let mut timing = Timing { all_ns, ..Timing::default() };
        timing.stages_ns[Stage::Scan as usize] = Some(scan_ns);
        timing
    }

    #[test]
    fn buckets_add_up() {
        let (timings, mut senders) = Timings::new(2).unwrap();
        for all_ns in [90, 400, 900, 30_000_000] {
            senders[0].send(timing(all_ns, 80));
        }
        senders[1].send(timing(70_000_000_000, 80));
        let mut out = String::new();
        timings.write(&mut out);
        for line in [
            r#"wsi_inspection_seconds_bucket{stage="all",le="0.0000001"} 1"#,
            r#"wsi_inspection_seconds_bucket{stage="all",le="0.0000005"} 2"#,
            r#"wsi_inspection_seconds_bucket{stage="all",le="0.000001"} 3"#,
            r#"wsi_inspection_seconds_bucket{stage="all",le="0.1"} 4"#,
            r#"wsi_inspection_seconds_bucket{stage="all",le="+Inf"} 5"#,
            r#"wsi_inspection_seconds_sum{stage="all"} 70.030001390"#,
            r#"wsi_inspection_seconds_count{stage="scan"} 5"#,
            r#"wsi_inspection_seconds_count{stage="schema"} 0"#,
        ] {
            assert!(out.lines().any(|own| own == line), "{line}\n{out}");
        }
        let shown: Vec<_> = timings.percentiles().iter().map(|each| (each.name, each.count)).collect();
        assert_eq!(shown, [("all", 5), ("scan", 5)]);
        assert!((890..=910).contains(&timings.percentiles()[0].p50_ns));
    }

    #[test]
    fn a_full_queue_leaves_out() {
        let (timings, mut senders) = Timings::new(1).unwrap();
        for _ in 0..QUEUE_TIMINGS + 10 {
            senders[0].send(timing(1, 1));
        }
        assert_eq!(timings.percentiles()[0].count, QUEUE_TIMINGS as u64);
    }
}
