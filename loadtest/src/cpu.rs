//! CPU time of processes over a span of time.

use std::time::Duration;

use crate::{Error, process::cpu_time};

/// CPU time that a process used in the measured time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuUse {
    pub pid: u32,
    pub used: Duration,
}

impl CpuUse {
    /// Microseconds of CPU for each of `events`.
    pub fn us_per(&self, events: u64) -> f64 {
        self.used.as_secs_f64() * 1e6 / events as f64
    }
}

/// The CPU time of some processes at one moment.
#[derive(Debug)]
pub(crate) struct CpuSample(Vec<CpuUse>);

impl CpuSample {
    pub fn take(pids: &[u32]) -> Result<Self, Error> {
        pids.iter().map(|&pid| Ok(CpuUse { pid, used: cpu_time(pid)? })).collect::<Result<_, _>>().map(Self)
    }

    /// What was used since this sample.
    pub fn elapsed(&self) -> Result<Vec<CpuUse>, Error> {
        let since =
            |then: &CpuUse| Ok(CpuUse { pid: then.pid, used: cpu_time(then.pid)?.saturating_sub(then.used) });
        self.0.iter().map(since).collect()
    }
}
