//! What a run measured.

use std::{fmt, time::Duration};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::RunOptions;
use crate::CpuUse;

/// Round trip times in microseconds, from the moment a message is handed to the socket until its echo is read.
///
/// The loop is closed: a slow answer delays the next question, so these are no latencies under a given rate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    pub mean_us: f64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
}

impl Latency {
    pub(super) fn of(histogram_ns: &Histogram<u64>) -> Self {
        let at = |quantile| histogram_ns.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            mean_us: histogram_ns.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram_ns.max() as f64 / 1e3,
        }
    }
}

/// The outcome of a run; its `Display` is a table.
#[derive(Clone, Debug)]
pub struct RunReport {
    pub options: RunOptions,
    /// How long was measured.
    pub measured: Duration,
    /// Echoes in the measured time, each equal to what was sent.
    pub round_trips: u64,
    pub latency: Latency,
    pub processes: Vec<CpuUse>,
    /// permessage-deflate was agreed on, on every connection.
    pub is_compressed: bool,
    /// Mean size of a message's frame as it was sent, in bytes.
    pub wire_size: f64,
}

impl RunReport {
    pub fn round_trips_per_s(&self) -> f64 {
        self.round_trips as f64 / self.measured.as_secs_f64()
    }

    /// CPU time of all given processes together for each round trip, in microseconds; `None` without processes or
    /// round trips.
    pub fn cpu_us_per_round_trip(&self) -> Option<f64> {
        let has_both = !self.processes.is_empty() && self.round_trips > 0;
        has_both.then(|| self.processes.iter().map(|process| process.us_per(self.round_trips)).sum())
    }

    pub fn to_json(&self) -> Value {
        let Self { options, latency, .. } = self;
        let process = |process: &CpuUse| {
            json!({
                "pid": process.pid,
                "cpu_s": process.used.as_secs_f64(),
                "cpu_us_per_round_trip": (self.round_trips > 0).then(|| process.us_per(self.round_trips)),
            })
        };
        json!({
            "url": options.url,
            "connections": options.connections,
            "in_flight": options.in_flight,
            "size_bytes": options.size,
            "measured_s": self.measured.as_secs_f64(),
            "round_trips": self.round_trips,
            "compressed": self.is_compressed,
            "wire_bytes_per_message": self.wire_size,
            "round_trips_per_s": self.round_trips_per_s(),
            "latency_us": {
                "mean": latency.mean_us, "p50": latency.p50_us, "p90": latency.p90_us,
                "p99": latency.p99_us, "p999": latency.p999_us, "max": latency.max_us,
            },
            "processes": self.processes.iter().map(process).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, latency, .. } = self;
        writeln!(
            f,
            "{} connections, {} in flight, {} B, {:.2} s measured",
            options.connections,
            options.in_flight,
            options.size,
            self.measured.as_secs_f64()
        )?;
        writeln!(
            f,
            "round trips    {:>12} ({:.0}/s), every echo checked",
            self.round_trips,
            self.round_trips_per_s()
        )?;
        if options.deflate {
            let what =
                if self.is_compressed { "compressed" } else { "not compressed: the offer was declined" };
            writeln!(f, "on the wire    {:>12.1} B a message, {what}", self.wire_size)?;
        }
        for (name, value_us) in [
            ("mean", latency.mean_us),
            ("p50", latency.p50_us),
            ("p90", latency.p90_us),
            ("p99", latency.p99_us),
            ("p99.9", latency.p999_us),
            ("max", latency.max_us),
        ] {
            writeln!(f, "latency {name:<6} {value_us:>12.1} us")?;
        }
        for process in &self.processes {
            let share = process.used.as_secs_f64() / self.measured.as_secs_f64() * 100.0;
            write!(f, "CPU of {:<8} {:>11.1} %", process.pid, share)?;
            match self.round_trips {
                0 => writeln!(f)?,
                round_trips => writeln!(f, ", {:.2} us per round trip", process.us_per(round_trips))?,
            }
        }
        Ok(())
    }
}
