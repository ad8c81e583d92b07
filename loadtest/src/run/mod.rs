//! Closed loop: a fixed number of messages in flight on each connection, every echo checked.

mod connection;
mod driver;
mod report;

use std::time::Duration;

use crate::{Error, Memory, PayloadKind, machine, memory};
use driver::Driver;

pub use report::{Latency, RunReport};

/// What to send, and for how long.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// `ws://HOST:PORT/PATH`
    pub url: String,
    pub connections: usize,
    /// Messages of each connection whose echoes are awaited at any time.
    pub in_flight: usize,
    /// Bytes of a message.
    pub size: usize,
    pub payload: PayloadKind,
    /// permessage-deflate is offered; where it is accepted, messages are compressed.
    pub deflate: bool,
    /// Load before the measured time.
    pub warmup: Duration,
    /// The measured time.
    pub duration: Duration,
    /// Processes whose CPU time is told.
    pub pids: Vec<u32>,
}

impl RunOptions {
    const IN_FLIGHT_MAX: usize = 4096;
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            connections: 64,
            in_flight: 1,
            size: 256,
            payload: PayloadKind::Json,
            deflate: false,
            warmup: Duration::from_secs(1),
            duration: Duration::from_secs(5),
            pids: Vec::new(),
        }
    }
}

/// Opens the connections, keeps them busy from one thread, and measures.
///
/// When the time is over, it waits for every echo that is still on its way, so that a lost one is noticed.
///
/// # Errors
/// The first connection that fails, is closed, or echoes something else than was sent.
pub fn run(options: &RunOptions) -> Result<RunReport, Error> {
    let mut driver = open(options)?;
    let report = driver.measure(options)?;
    driver.close();
    Ok(report)
}

/// Memory of the given processes, in their order: before connections were opened, after the load with all connections still open,
/// and when those had been idle.
#[derive(Clone, Debug)]
pub struct HoldReport {
    pub run: RunReport,
    pub before: Vec<Memory>,
    pub busy: Vec<Memory>,
    pub idle: Vec<Memory>,
}

/// The same, and then holds the connections open and idle.
///
/// # Errors
/// As [`run`].
pub fn run_and_hold(options: &RunOptions, hold: Duration) -> Result<HoldReport, Error> {
    let memories = || options.pids.iter().map(|&pid| memory(pid)).collect::<Result<Vec<_>, _>>();
    let before = memories()?;
    let mut driver = open(options)?;
    let run = driver.measure(options)?;
    let busy = memories()?;
    std::thread::sleep(hold);
    let idle = memories()?;
    driver.close();
    Ok(HoldReport { run, before, busy, idle })
}

fn open(options: &RunOptions) -> Result<Driver, Error> {
    let bounds = [
        (options.connections, usize::MAX, "connections"),
        (options.in_flight, RunOptions::IN_FLIGHT_MAX, "in-flight"),
    ];
    for (number, max, name) in bounds {
        if !(1..=max).contains(&number) {
            return Err(Error::Options(format!("{name} is {number}; take a number from 1 to {max}")));
        }
    }
    machine::reserve_descriptors(options.connections)?;
    Driver::open(options)
}
