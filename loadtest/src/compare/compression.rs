//! What permessage-deflate costs where it is terminated on both legs, beside where it is stripped.

use std::{fmt, path::PathBuf, thread, time::Duration};

use serde_json::{Value, json};

use super::{
    configuration::Configuration,
    relay::Process,
    report::{Ratios, median},
};
use crate::{
    Echo, EchoOptions, Error, HoldReport, PayloadKind, RunOptions, RunReport, machine::pin_thread, run,
    run_and_hold,
};

/// What to compare, and how to load it.
#[derive(Clone, Debug)]
pub struct CompressionOptions {
    /// The `websocket-inspector` binary.
    pub inspector: PathBuf,
    pub connections: usize,
    /// Of messages, in bytes.
    pub sizes: Vec<usize>,
    pub rounds: usize,
    pub warmup: Duration,
    /// The measured time of each in each round.
    pub duration: Duration,
    /// How long connections are idle before memory is looked at again.
    pub hold: Duration,
    /// The CPU of the inspector.
    pub relay_cpu: usize,
    /// The CPU of load generator and echo server.
    pub load_cpu: usize,
}

impl Default for CompressionOptions {
    fn default() -> Self {
        Self {
            inspector: PathBuf::new(),
            connections: 64,
            sizes: vec![256, 4096],
            rounds: 5,
            warmup: Duration::from_millis(300),
            duration: Duration::from_secs(2),
            hold: Duration::from_secs(65),
            relay_cpu: 1,
            load_cpu: 0,
        }
    }
}

/// The outcome; its `Display` is a table.
#[derive(Clone, Debug)]
pub struct CompressionReport {
    pub sizes: Vec<Sized>,
}

/// All that was measured with messages of one size.
#[derive(Clone, Debug)]
pub struct Sized {
    pub size: usize,
    /// Of a compressed message, its frame included, mean, in bytes.
    pub wire_size: f64,
    /// Microseconds of CPU per round trip, by round.
    pub inspect_us: Vec<f64>,
    pub strip_us: Vec<f64>,
    pub ratios: Ratios,
    pub inspect: Held,
    pub strip: Held,
}

/// Memory of its own for each connection, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Right after traffic.
    pub busy: f64,
    pub idle: f64,
}

/// Starts an echo server and two inspectors that differ in what they do about compression, loads them in turn, round by round, and
/// looks at what open connections hold.
///
/// # Errors
/// An inspector that does not start, with its output; whatever [`run`] may return.
pub fn compression(options: &CompressionOptions) -> Result<CompressionReport, Error> {
    if options.rounds == 0 || options.sizes.is_empty() || options.relay_cpu == options.load_cpu {
        return Err(Error::Options(
            "take --rounds 1 or more, one --size or more, and two CPUs for --relay-cpu and --load-cpu"
                .to_owned(),
        ));
    }
    thread::scope(|scope| {
        let driver = scope.spawn(|| {
            pin_thread(options.load_cpu)?;
            let echo = Echo::start(&EchoOptions { deflate: true, ..EchoOptions::default() })?;
            let sizes = options.sizes.iter().map(|&size| measure(options, &echo, size));
            Ok(CompressionReport { sizes: sizes.collect::<Result<_, Error>>()? })
        });
        driver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// An inspector under load.
struct Relay {
    process: Process,
    url: String,
    compresses: bool,
}

fn measure(options: &CompressionOptions, echo: &Echo, size: usize) -> Result<Sized, Error> {
    let folder = tempfile::tempdir().map_err(Error::io("temporary folder", "check TMPDIR"))?;
    let configuration = Configuration {
        folder: folder.path(),
        upstream: echo.address(),
        cpu: options.relay_cpu,
        connections: options.connections,
    };
    let start = |handling: &'static str| {
        let launch = configuration.compressing(&options.inspector, handling)?;
        let process = Process::start(handling, &launch, options.relay_cpu)?;
        let url = format!("ws://{}/", launch.address);
        Ok::<_, Error>(Relay { process, url, compresses: handling == "inspect" })
    };
    // New ones, because an allocator keeps for the next connection what the last one has given back.
    let (inspect, strip) = (start("inspect")?, start("strip")?);
    let (inspect_held, strip_held) = (hold(options, &inspect, size)?, hold(options, &strip, size)?);
    let (mut inspect_us, mut strip_us, mut wire_size) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..options.rounds {
        let run = load(options, &inspect, size)?;
        wire_size = run.wire_size;
        inspect_us.extend(run.cpu_us_per_round_trip());
        strip_us.extend(load(options, &strip, size)?.cpu_us_per_round_trip());
    }
    let ratios = Ratios::of(&inspect_us, &strip_us);
    Ok(Sized { size, wire_size, inspect_us, strip_us, ratios, inspect: inspect_held, strip: strip_held })
}

fn options_of(options: &CompressionOptions, relay: &Relay, size: usize) -> RunOptions {
    RunOptions {
        url: relay.url.clone(),
        connections: options.connections,
        in_flight: 1,
        size,
        payload: PayloadKind::Notes,
        deflate: true,
        warmup: options.warmup,
        duration: options.duration,
        pids: vec![relay.process.pid()],
    }
}

fn load(options: &CompressionOptions, relay: &Relay, size: usize) -> Result<RunReport, Error> {
    let report = run(&options_of(options, relay, size));
    check(relay, report.map_err(|error| relay.process.failed(&format!("failed under load: {error}")))?)
}

/// What is not compressed would cost nothing.
fn check(relay: &Relay, report: RunReport) -> Result<RunReport, Error> {
    if report.is_compressed == relay.compresses {
        return Ok(report);
    }
    Err(relay.process.failed("agreed on compression against its configuration, or not with it"))
}

fn hold(options: &CompressionOptions, relay: &Relay, size: usize) -> Result<Held, Error> {
    let HoldReport { run, before, busy, idle } =
        run_and_hold(&options_of(options, relay, size), options.hold)?;
    check(relay, run)?;
    let sum = |memories: &[crate::Memory]| memories.iter().map(|memory| memory.anonymous as f64).sum::<f64>();
    let per_connection = |memories| (sum(memories) - sum(&before)) / options.connections as f64;
    Ok(Held { busy: per_connection(&busy), idle: per_connection(&idle) })
}

impl CompressionReport {
    pub fn to_json(&self) -> Value {
        let held = |held: &Held| json!({ "busy_bytes": held.busy, "idle_bytes": held.idle });
        let sized = |sized: &Sized| {
            json!({
                "size_bytes": sized.size,
                "wire_bytes": sized.wire_size,
                "inspect_cpu_us_per_round_trip": sized.inspect_us,
                "strip_cpu_us_per_round_trip": sized.strip_us,
                "ratio": {
                    "by_round": sized.ratios.by_round,
                    "median": sized.ratios.median, "min": sized.ratios.min, "max": sized.ratios.max,
                },
                "inspect_per_connection": held(&sized.inspect),
                "strip_per_connection": held(&sized.strip),
            })
        };
        json!({ "sizes": self.sizes.iter().map(sized).collect::<Vec<_>>() })
    }
}

impl fmt::Display for CompressionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for sized in &self.sizes {
            let ratios = &sized.ratios;
            writeln!(
                f,
                "messages of {} B, {:.0} B compressed, medians of {} rounds",
                sized.size,
                sized.wire_size,
                sized.inspect_us.len()
            )?;
            for (name, us, held) in
                [("strip", &sized.strip_us, sized.strip), ("inspect", &sized.inspect_us, sized.inspect)]
            {
                writeln!(
                    f,
                    "  {name:<8}{:>8.2} us CPU a round trip; a connection holds {:>7.1} KiB after traffic, {:>7.1} KiB idle",
                    median(us),
                    held.busy / 1024.0,
                    held.idle / 1024.0
                )?;
            }
            write!(f, "  CPU ratio {:.2} ({:.2} to {:.2}):", ratios.median, ratios.min, ratios.max)?;
            ratios.by_round.iter().try_for_each(|ratio| write!(f, " {ratio:.2}"))?;
            writeln!(f)?;
        }
        Ok(())
    }
}
