//! What a comparison found.

use std::fmt;

use serde_json::{Value, json};

use super::Relay;
use crate::RunReport;

/// The outcome; its `Display` is a table.
#[derive(Clone, Debug)]
pub struct CompareReport {
    /// In the order of each round.
    pub relays: Vec<Relay>,
    pub depths: Vec<Depth>,
}

/// All rounds with one number of messages in flight.
#[derive(Clone, Debug)]
pub struct Depth {
    pub in_flight: usize,
    pub rounds: Vec<Round>,
}

/// One run of each relay, in the order of [`CompareReport::relays`].
#[derive(Clone, Debug)]
pub struct Round {
    pub runs: Vec<RunReport>,
}

/// CPU time per round trip, one relay's divided by another's in the same round.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratios {
    pub by_round: Vec<f64>,
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl CompareReport {
    /// What `relay` costs, measured by `base`; `None` if one of them was not compared or is no process.
    pub fn ratios(&self, depth: &Depth, relay: Relay, base: Relay) -> Option<Ratios> {
        Some(Ratios::of(&self.cpu_us(depth, relay)?, &self.cpu_us(depth, base)?))
    }

    /// Microseconds of CPU per round trip, by round.
    pub fn cpu_us(&self, depth: &Depth, relay: Relay) -> Option<Vec<f64>> {
        self.column(depth, relay, RunReport::cpu_us_per_round_trip)
    }

    pub fn to_json(&self) -> Value {
        let depth = |depth: &Depth| {
            let relay = |&relay: &Relay| {
                let ratios = self.ratios(depth, relay, Relay::Haproxy);
                json!({
                    "relay": relay.name(),
                    "cpu_us_per_round_trip": self.cpu_us(depth, relay),
                    "cpu_us_per_round_trip_median": self.cpu_us(depth, relay).map(|values| median(&values)),
                    "ratio_to_haproxy": ratios.map(|ratios| json!({
                        "by_round": ratios.by_round,
                        "median": ratios.median, "min": ratios.min, "max": ratios.max,
                    })),
                    "runs": self.column(depth, relay, |run| Some(run.to_json())),
                })
            };
            json!({ "in_flight": depth.in_flight, "relays": self.relays.iter().map(relay).collect::<Vec<_>>() })
        };
        json!({ "depths": self.depths.iter().map(depth).collect::<Vec<_>>() })
    }

    fn column<T>(
        &self,
        depth: &Depth,
        relay: Relay,
        value: impl Fn(&RunReport) -> Option<T>,
    ) -> Option<Vec<T>> {
        let index = self.relays.iter().position(|other| *other == relay)?;
        depth.rounds.iter().map(|round| round.runs.get(index).and_then(&value)).collect()
    }

    fn write_relay(&self, f: &mut fmt::Formatter<'_>, depth: &Depth, relay: Relay) -> fmt::Result {
        let column = |value: fn(&RunReport) -> f64| {
            self.column(depth, relay, |run| Some(value(run))).map_or(f64::NAN, |values| median(&values))
        };
        write!(f, "  {:<12}", relay.name())?;
        match self.cpu_us(depth, relay) {
            Some(values) => write!(f, "{:>8.2}", median(&values))?,
            None => write!(f, "{:>8}", "-")?,
        }
        let rate = column(RunReport::round_trips_per_s);
        let (p50, p99) = (column(|run| run.latency.p50_us), column(|run| run.latency.p99_us));
        write!(f, "{rate:>12.0}{p50:>10.0}{p99:>10.0}")?;
        if let Some(ratios) = self.ratios(depth, relay, Relay::Haproxy).filter(|_| relay != Relay::Haproxy) {
            write!(f, "   {:.2} ({:.2} to {:.2}):", ratios.median, ratios.min, ratios.max)?;
            ratios.by_round.iter().try_for_each(|ratio| write!(f, " {ratio:.2}"))?;
        }
        writeln!(f)
    }
}

impl fmt::Display for CompareReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for depth in &self.depths {
            writeln!(f, "{} in flight, medians of {} rounds", depth.in_flight, depth.rounds.len())?;
            writeln!(
                f,
                "  {:<12}{:>8}{:>12}{:>10}{:>10}   CPU ratio to haproxy",
                "", "CPU us", "trips/s", "p50 us", "p99 us"
            )?;
            self.relays.iter().try_for_each(|relay| self.write_relay(f, depth, *relay))?;
        }
        Ok(())
    }
}

impl Ratios {
    pub(super) fn of(values: &[f64], base: &[f64]) -> Self {
        let by_round: Vec<f64> = values.iter().zip(base).map(|(of, base)| of / base).collect();
        let (min, max) = extremes(&by_round);
        Self { median: median(&by_round), min, max, by_round }
    }
}

/// Of an even number, the mean of the middle two; of none, not a number.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle)) {
        (1, Some(value)) => *value,
        (_, Some(value)) => (sorted[middle - 1] + value) / 2.0,
        (_, None) => f64::NAN,
    }
}

fn extremes(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), value| (min.min(*value), max.max(*value)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{CpuUse, Latency, RunOptions};

    fn run(cpu_us: Option<u64>) -> RunReport {
        RunReport {
            options: RunOptions::default(),
            measured: Duration::from_secs(1),
            round_trips: 1,
            latency: Latency::default(),
            is_compressed: false,
            wire_size: 0.0,
            processes: cpu_us
                .map(|us| CpuUse { pid: 1, used: Duration::from_micros(us) })
                .into_iter()
                .collect(),
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let round =
            |haproxy, inspector| Round { runs: vec![run(Some(haproxy)), run(Some(inspector)), run(None)] };
        let depth =
            Depth { in_flight: 1, rounds: vec![round(10, 20), round(100, 100), round(10, 5), round(1, 4)] };
        let relays = vec![Relay::Haproxy, Relay::Inspector, Relay::Direct];
        let report = CompareReport { relays, depths: vec![depth.clone()] };
        let ratios = report.ratios(&depth, Relay::Inspector, Relay::Haproxy).unwrap();
        assert_eq!(ratios.by_round, [2.0, 1.0, 0.5, 4.0]);
        assert_eq!((ratios.median, ratios.min, ratios.max), (1.5, 0.5, 4.0));
        assert_eq!(report.ratios(&depth, Relay::Direct, Relay::Haproxy), None);
        assert_eq!(report.ratios(&depth, Relay::Passthrough, Relay::Haproxy), None);
    }
}
