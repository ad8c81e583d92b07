//! Connections that do nothing: what they cost, and whether they live.

use std::{
    fmt,
    io::{Read, Write},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wsi_ws::{Opcode, ProtocolError};

use crate::{
    CpuUse, Error, Memory,
    client::{self, Client},
    cpu::CpuSample,
    inbound::{Inbound, Incoming, write_frame},
    machine, memory,
    random::Random,
    target::Target,
};

/// How many connections, and for how long.
#[derive(Clone, Debug)]
pub struct IdleOptions {
    /// `ws://HOST:PORT/PATH`
    pub url: String,
    pub connections: usize,
    pub hold: Duration,
    /// Processes whose memory and CPU time are told.
    pub pids: Vec<u32>,
}

impl Default for IdleOptions {
    fn default() -> Self {
        Self { url: String::new(), connections: 9000, hold: Duration::from_secs(10), pids: Vec::new() }
    }
}

/// What a process held before the connections were opened and while they were idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    pub before: Memory,
    pub after: Memory,
}

/// The outcome; its `Display` is a table.
#[derive(Clone, Debug)]
pub struct IdleReport {
    pub connections: usize,
    /// Connections that answered a ping after the hold.
    pub alive: usize,
    /// How long the connections were idle.
    pub held: Duration,
    /// For each process: its memory, and the CPU time it used while the connections were idle.
    pub processes: Vec<(CpuUse, MemoryUse)>,
}

/// Opens connections one after the other, holds them, and pings each.
///
/// # Errors
/// A connection that can't be opened. One that dies later is counted, not an error.
pub fn idle(options: &IdleOptions) -> Result<IdleReport, Error> {
    let target = Target::parse(&options.url)?;
    machine::reserve_descriptors(options.connections)?;
    let memories = || options.pids.iter().map(|&pid| memory(pid)).collect::<Result<Vec<_>, _>>();
    let before = memories()?;
    let mut random = Random::new();
    let clients = (0..options.connections).map(|number| client::open(&target, number, false, &mut random));
    let mut clients = clients.collect::<Result<Vec<_>, _>>()?;

    let (sample, began) = (CpuSample::take(&options.pids)?, Instant::now());
    std::thread::sleep(options.hold);
    let (held, cpu) = (began.elapsed(), sample.elapsed()?);
    let memory = before.into_iter().zip(memories()?).map(|(before, after)| MemoryUse { before, after });
    let processes = cpu.into_iter().zip(memory).collect();

    let alive =
        clients.iter_mut().map(|client| answers_ping(client, &mut random)).filter(|alive| *alive).count();
    Ok(IdleReport { connections: clients.len(), alive, held, processes })
}

/// What ends the waiting for a pong.
enum Answer {
    Pong,
    Gone,
}

impl From<ProtocolError> for Answer {
    fn from(_: ProtocolError) -> Self {
        Self::Gone
    }
}

/// False: it is closed, or silent until the read timeout.
fn answers_ping(client: &mut Client, random: &mut Random) -> bool {
    const CONTENT: &[u8] = b"alive?";
    let mut out = Vec::new();
    write_frame(&mut out, Opcode::Ping, CONTENT, random.mask_key());
    if client.stream.write_all(&out).is_err() {
        return false;
    }
    let hear = |incoming: Incoming<'_>| match incoming {
        Incoming::Pong(content) if content == CONTENT => Err(Answer::Pong),
        Incoming::Close(_) => Err(Answer::Gone),
        Incoming::Message(..) | Incoming::Ping(_) | Incoming::Pong(_) => Ok(()),
    };
    let (mut inbound, mut buffer) = (Inbound::default(), [0; 1024]);
    let mut heard = inbound.receive(&std::mem::take(&mut client.rest), hear);
    while heard.is_ok() {
        heard = match client.stream.read(&mut buffer) {
            Ok(0) | Err(_) => Err(Answer::Gone),
            Ok(size) => inbound.receive(&buffer[..size], hear),
        };
    }
    matches!(heard, Err(Answer::Pong))
}

impl MemoryUse {
    /// Bytes more than before, resident and of its own, for each of `connections`.
    pub fn growth_per(&self, connections: usize) -> (f64, f64) {
        let per = |before: u64, after: u64| (after as f64 - before as f64) / connections as f64;
        (per(self.before.rss, self.after.rss), per(self.before.anonymous, self.after.anonymous))
    }
}

impl IdleReport {
    pub fn to_json(&self) -> Value {
        let process = |(cpu, memory): &(CpuUse, MemoryUse)| {
            let (rss, anonymous) = memory.growth_per(self.connections);
            json!({
                "pid": cpu.pid,
                "cpu_percent": self.cpu_percent(cpu),
                "rss_before_bytes": memory.before.rss,
                "rss_after_bytes": memory.after.rss,
                "anonymous_before_bytes": memory.before.anonymous,
                "anonymous_after_bytes": memory.after.anonymous,
                "rss_per_connection_bytes": rss,
                "anonymous_per_connection_bytes": anonymous,
            })
        };
        json!({
            "connections": self.connections,
            "alive": self.alive,
            "held_s": self.held.as_secs_f64(),
            "processes": self.processes.iter().map(process).collect::<Vec<_>>(),
        })
    }

    fn cpu_percent(&self, cpu: &CpuUse) -> f64 {
        cpu.used.as_secs_f64() / self.held.as_secs_f64() * 100.0
    }
}

impl fmt::Display for IdleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held_s = self.held.as_secs_f64();
        writeln!(f, "{} of {} connections alive after {held_s:.1} s", self.alive, self.connections)?;
        for (cpu, memory) in &self.processes {
            let kib = |bytes: u64| bytes / 1024;
            let (rss, anonymous) = memory.growth_per(self.connections);
            let MemoryUse { before, after } = memory;
            writeln!(f, "process {}", cpu.pid)?;
            writeln!(f, "  CPU while idle  {:>8.2} % of a core", self.cpu_percent(cpu))?;
            let (from, to) = (kib(before.rss), kib(after.rss));
            writeln!(f, "  VmRSS           {from:>8} -> {to} KiB, {rss:.0} B per connection")?;
            let (from, to) = (kib(before.anonymous), kib(after.anonymous));
            writeln!(f, "  RssAnon         {from:>8} -> {to} KiB, {anonymous:.0} B per connection")?;
        }
        Ok(())
    }
}
