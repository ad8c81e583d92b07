//! Relays side by side: what a round trip costs each of them in CPU time.
//!
//! The machine is never quiet, so what counts is the ratio of rounds that were run one right after the other.

mod agents;
mod compression;
mod configuration;
mod relay;
mod report;

use std::{path::PathBuf, thread, time::Duration};

use crate::{Echo, EchoOptions, Error, PayloadKind, RunOptions, machine::pin_thread, run};
use configuration::Configuration;
use relay::Process;

pub use agents::{AgentsLoad, AgentsOptions, AgentsReport, NamedAgent, agents};
pub use compression::{CompressionOptions, CompressionReport, Held, Sized, compression};
pub use report::{CompareReport, Depth, Ratios, Round};

/// Which relays, and how to load them.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    pub haproxy: PathBuf,
    /// The `websocket-inspector` binary; without it, HAProxy is compared with no relay at all.
    pub inspector: Option<PathBuf>,
    /// Inspector configuration in place of the generated one; `@LISTEN@` and `@UPSTREAM@` in it stand for addresses.
    pub config: Option<PathBuf>,
    pub connections: usize,
    /// Numbers of messages in flight on each connection.
    pub depths: Vec<usize>,
    pub size: usize,
    pub rounds: usize,
    pub warmup: Duration,
    /// The measured time of each relay in each round.
    pub duration: Duration,
    /// The CPU of the relays, one shard or thread each.
    pub relay_cpu: usize,
    /// The CPU of load generator and echo server.
    pub load_cpu: usize,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self {
            haproxy: PathBuf::from("/usr/sbin/haproxy"),
            inspector: None,
            config: None,
            connections: 64,
            depths: vec![1, 16],
            size: 256,
            rounds: 5,
            warmup: Duration::from_millis(300),
            duration: Duration::from_secs(2),
            relay_cpu: 1,
            load_cpu: 0,
        }
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relay {
    /// HAProxy in http mode with one thread: the measure of the others.
    Haproxy,
    /// The inspector with JSON schema, 200 patterns and rate limit, or with the configuration that was given.
    Inspector,
    /// The inspector with an agent without rules.
    Passthrough,
    /// The echo server without a relay: for latency.
    Direct,
}

impl Relay {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Inspector => "inspector",
            Self::Passthrough => "passthrough",
            Self::Direct => "direct",
        }
    }
}

/// A relay that is ready to be loaded; its process ends with it.
#[derive(Debug)]
struct Contestant {
    relay: Relay,
    url: String,
    process: Option<Process>,
}

/// Starts echo server and relays, loads the relays in turn, round by round, and ends all that it started.
///
/// All of it runs on a thread that is pinned to `load_cpu`, so the caller's CPUs stay as they are.
///
/// # Errors
/// A relay that does not start, with its output; whatever [`run`] may return.
pub fn compare(options: &CompareOptions) -> Result<CompareReport, Error> {
    check(options)?;
    thread::scope(|scope| {
        let driver = scope.spawn(|| {
            pin_thread(options.load_cpu)?;
            let echo = Echo::start(&EchoOptions::default())?;
            let folder = tempfile::tempdir().map_err(Error::io("temporary folder", "check TMPDIR"))?;
            let contestants = start(options, &echo, folder.path())?;
            rounds(options, &contestants)
        });
        driver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn check(options: &CompareOptions) -> Result<(), Error> {
    if options.rounds == 0 || options.depths.is_empty() {
        return Err(Error::Options(
            "nothing to compare; take --rounds 1 or more, and one --in-flight or more".to_owned(),
        ));
    }
    if options.relay_cpu == options.load_cpu {
        return Err(Error::Options(
            "relays and load need a CPU each; give --relay-cpu and --load-cpu two numbers".to_owned(),
        ));
    }
    if options.config.is_some() && options.inspector.is_none() {
        return Err(Error::Options("--config is for the inspector; add --inspector BINARY".to_owned()));
    }
    Ok(())
}

fn start(options: &CompareOptions, echo: &Echo, folder: &std::path::Path) -> Result<Vec<Contestant>, Error> {
    let configuration = Configuration {
        folder,
        upstream: echo.address(),
        cpu: options.relay_cpu,
        connections: options.connections,
    };
    let haproxy = configuration.haproxy(&options.haproxy)?;
    let mut launches = vec![(Relay::Haproxy, haproxy)];
    if let Some(binary) = &options.inspector {
        let inspecting = match &options.config {
            Some(path) => configuration.given(binary, path)?,
            None => configuration.inspecting(binary)?,
        };
        launches.push((Relay::Inspector, inspecting));
        launches.push((Relay::Passthrough, configuration.passthrough(binary)?));
    }
    let contestant = |(relay, launch): (Relay, relay::Launch)| {
        let url = format!("ws://{}/", launch.address);
        let process = Some(Process::start(relay.name(), &launch, options.relay_cpu)?);
        Ok(Contestant { relay, url, process })
    };
    let mut contestants = launches.into_iter().map(contestant).collect::<Result<Vec<_>, Error>>()?;
    if let Some(inspector) =
        contestants.iter().find(|each| each.relay == Relay::Inspector && options.config.is_none())
    {
        prove_inspection(inspector)?;
    }
    contestants.push(Contestant { relay: Relay::Direct, url: echo.url(), process: None });
    Ok(contestants)
}

/// What is not inspected is cheap: a message that is no order must be refused before anything is measured.
fn prove_inspection(contestant: &Contestant) -> Result<(), Error> {
    let outcome = run(&RunOptions {
        url: contestant.url.clone(),
        connections: 1,
        payload: PayloadKind::Text,
        warmup: Duration::ZERO,
        ..RunOptions::default()
    });
    match (outcome, &contestant.process) {
        (Err(Error::Closed { messages: 0, .. }), _) => Ok(()),
        (Err(error), _) => Err(error),
        (Ok(_), Some(process)) => Err(process.failed("let a message pass that its schema forbids")),
        (Ok(_), None) => Ok(()),
    }
}

fn rounds(options: &CompareOptions, contestants: &[Contestant]) -> Result<CompareReport, Error> {
    let relays = contestants.iter().map(|contestant| contestant.relay).collect();
    let depth = |&in_flight: &usize| {
        let round = |_| {
            let load = |contestant: &Contestant| load(options, contestant, in_flight);
            Ok(Round { runs: contestants.iter().map(load).collect::<Result<_, Error>>()? })
        };
        Ok(Depth { in_flight, rounds: (0..options.rounds).map(round).collect::<Result<_, Error>>()? })
    };
    Ok(CompareReport { relays, depths: options.depths.iter().map(depth).collect::<Result<_, Error>>()? })
}

fn load(
    options: &CompareOptions,
    contestant: &Contestant,
    in_flight: usize,
) -> Result<crate::RunReport, Error> {
    let outcome = run(&RunOptions {
        url: contestant.url.clone(),
        connections: options.connections,
        in_flight,
        size: options.size,
        payload: PayloadKind::Json,
        deflate: false,
        warmup: options.warmup,
        duration: options.duration,
        pids: contestant.process.iter().map(Process::pid).collect(),
    });
    outcome.map_err(|error| match &contestant.process {
        Some(process) => process.failed(&format!("failed under load: {error}")),
        None => error,
    })
}
