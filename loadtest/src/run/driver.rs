//! The event loop of the load, and its phases: warm-up, measured time, waiting for the last echoes.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::{
    RunOptions,
    connection::{Connection, Shared},
    report::{Latency, RunReport},
};
use crate::{
    Error, Payload, client,
    cpu::CpuSample,
    poller::{Interest, Poller, Ready},
    random::Random,
    target::Target,
};

const READ_SIZE: usize = 256 * 1024;
/// How long the last echoes may take.
const LAST_ECHOES: Duration = Duration::from_secs(5);
/// Slower echoes count as this slow.
const LATENCY_MAX: Duration = Duration::from_secs(60);
/// The longest wait for events, so that a silent server does not stop the clock.
const WAIT_MAX: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Driver {
    poller: Poller,
    connections: Vec<Connection>,
    /// Whether the poller looks for writability too, by connection.
    awaits_write: Vec<bool>,
    shared: Shared,
    latency_ns: Histogram<u64>,
    /// Echoes are answered with new messages.
    sends: bool,
}

impl Driver {
    pub fn open(options: &RunOptions) -> Result<Self, Error> {
        let target = Target::parse(&options.url)?;
        let mut shared = Shared {
            payload: Payload::new(options.payload, options.size)?,
            random: Random::new(),
            buffer: vec![0; READ_SIZE],
        };
        let failed = || Error::io("load generator", "check the limits of this user (ulimit -a)");
        let poller = Poller::new().map_err(failed())?;
        let mut connections = Vec::with_capacity(options.connections);
        for number in 0..options.connections {
            let client = client::open(&target, number, options.deflate, &mut shared.random)?;
            let (mut connection, rest) =
                Connection::new(client, number, options.in_flight).map_err(failed())?;
            connection.handle_input(&rest, &mut shared, |_| {})?;
            poller.add(&connection.stream, number, Interest::Read).map_err(failed())?;
            connections.push(connection);
        }
        let latency_ns = Histogram::new_with_bounds(1, LATENCY_MAX.as_nanos() as u64, 3)
            .map_err(|error| Error::Options(error.to_string()))?;
        let awaits_write = vec![false; connections.len()];
        Ok(Self { poller, connections, awaits_write, shared, latency_ns, sends: true })
    }

    /// The phases of a run, after which no echo is awaited any more.
    pub fn measure(&mut self, options: &RunOptions) -> Result<RunReport, Error> {
        let now = Instant::now();
        for index in 0..self.connections.len() {
            for _ in 0..options.in_flight {
                self.connections[index].queue(&mut self.shared, now);
            }
            self.flush(index)?;
        }
        self.turn_until(now + options.warmup)?;

        self.latency_ns.reset();
        let (sample, began) = (CpuSample::take(&options.pids)?, Instant::now());
        self.turn_until(began + options.duration)?;
        let (measured, processes) = (began.elapsed(), sample.elapsed()?);
        let latency = Latency::of(&self.latency_ns);
        let round_trips = self.latency_ns.len();

        self.sends = false;
        self.await_last()?;
        let (sent_bytes, sent) = self
            .connections
            .iter()
            .map(Connection::sent)
            .fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
        let wire_size = sent_bytes as f64 / sent as f64;
        let is_compressed = self.connections.iter().all(Connection::is_compressed);
        Ok(RunReport {
            options: options.clone(),
            measured,
            round_trips,
            latency,
            processes,
            is_compressed,
            wire_size,
        })
    }

    pub fn close(mut self) {
        for connection in self.connections {
            connection.close(&mut self.shared);
        }
    }

    fn turn_until(&mut self, end: Instant) -> Result<(), Error> {
        let mut ready = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(&mut ready, left)?;
        }
    }

    fn await_last(&mut self) -> Result<(), Error> {
        let (mut ready, deadline) = (Vec::new(), Instant::now() + LAST_ECHOES);
        loop {
            let outstanding = self.connections.iter().map(Connection::outstanding).sum();
            if outstanding == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::Lost { outstanding, waited_s: LAST_ECHOES.as_secs() });
            }
            self.turn(&mut ready, WAIT_MAX)?;
        }
    }

    fn turn(&mut self, ready: &mut Vec<Ready>, timeout: Duration) -> Result<(), Error> {
        let outcome = self.poller.wait(ready, Some(timeout.min(WAIT_MAX)));
        outcome.map_err(Error::io(
            "load generator",
            "this is not expected; report it with the kernel's version",
        ))?;
        for event in ready.iter() {
            self.handle(*event)?;
        }
        Ok(())
    }

    fn handle(&mut self, event: Ready) -> Result<(), Error> {
        let connection = &mut self.connections[event.token];
        if event.readable {
            let mut echoes = 0;
            let latency_ns = &mut self.latency_ns;
            connection.handle_readable(&mut self.shared, |latency| {
                echoes += 1;
                latency_ns.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
            })?;
            if self.sends && echoes > 0 {
                let now = Instant::now();
                (0..echoes).for_each(|_| connection.queue(&mut self.shared, now));
            }
        }
        self.flush(event.token)
    }

    fn flush(&mut self, index: usize) -> Result<(), Error> {
        let connection = &mut self.connections[index];
        if connection.has_unsent() {
            connection.flush()?;
        }
        let awaits = connection.has_unsent();
        if self.awaits_write[index] != awaits {
            self.awaits_write[index] = awaits;
            let interest = if awaits { Interest::Both } else { Interest::Read };
            let outcome = self.poller.modify(&connection.stream, index, interest);
            outcome.map_err(Error::io(
                "load generator",
                "this is not expected; report it with the kernel's version",
            ))?;
        }
        Ok(())
    }
}
