//! What frame events cost agents, side by side.

use std::{fmt, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use super::report::{Ratios, median};
use crate::{AgentOptions, AgentReport, Error, agent};

/// What to compare, and how to load it.
#[derive(Clone, Debug)]
pub struct AgentsOptions {
    /// The first is what the others are measured by.
    pub agents: Vec<NamedAgent>,
    pub connections: Vec<usize>,
    /// Of payloads, in bytes.
    pub sizes: Vec<usize>,
    pub rounds: usize,
    pub warmup: Duration,
    /// The measured time of each in each round.
    pub duration: Duration,
}

/// A running agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedAgent {
    pub name: String,
    pub socket: PathBuf,
    /// 1 or 2.
    pub version: u8,
    pub pid: u32,
}

/// The outcome; its `Display` is a table.
#[derive(Clone, Debug)]
pub struct AgentsReport {
    pub names: Vec<String>,
    pub loads: Vec<AgentsLoad>,
}

/// All rounds of one load.
#[derive(Clone, Debug)]
pub struct AgentsLoad {
    pub connections: usize,
    pub size: usize,
    /// By agent, then by round.
    pub runs: Vec<Vec<AgentReport>>,
}

/// Loads agents in turn, round by round.
///
/// # Errors
/// Whatever [`agent`] may return.
pub fn agents(options: &AgentsOptions) -> Result<AgentsReport, Error> {
    if options.rounds == 0 || options.agents.is_empty() {
        return Err(Error::Options("take --rounds 1 or more, and one --agent or more".to_owned()));
    }
    let loads = options
        .connections
        .iter()
        .flat_map(|&connections| options.sizes.iter().map(move |&size| measure(options, connections, size)));
    Ok(AgentsReport {
        names: options.agents.iter().map(|agent| agent.name.clone()).collect(),
        loads: loads.collect::<Result<_, _>>()?,
    })
}

fn measure(options: &AgentsOptions, connections: usize, size: usize) -> Result<AgentsLoad, Error> {
    let mut runs = vec![Vec::new(); options.agents.len()];
    for _ in 0..options.rounds {
        for (each, runs) in options.agents.iter().zip(&mut runs) {
            runs.push(agent(&AgentOptions {
                socket: each.socket.clone(),
                version: each.version,
                connections,
                size,
                warmup: options.warmup,
                duration: options.duration,
                pids: vec![each.pid],
            })?);
        }
    }
    Ok(AgentsLoad { connections, size, runs })
}

impl AgentsLoad {
    fn column(&self, agent: usize, value: fn(&AgentReport) -> f64) -> Vec<f64> {
        self.runs.get(agent).into_iter().flatten().map(value).collect()
    }

    /// Events per second, by those of the first agent in the same round.
    pub fn rates(&self, agent: usize) -> Ratios {
        Ratios::of(&self.column(agent, rate), &self.column(0, rate))
    }

    /// CPU time of the first agent for an event, by that of this one: how many times cheaper it is.
    pub fn savings(&self, agent: usize) -> Ratios {
        Ratios::of(&self.column(0, cpu_us), &self.column(agent, cpu_us))
    }
}

fn rate(run: &AgentReport) -> f64 {
    run.events_per_second()
}

fn cpu_us(run: &AgentReport) -> f64 {
    run.cpu_us.unwrap_or(f64::NAN)
}

impl AgentsReport {
    pub fn to_json(&self) -> Value {
        let load = |load: &AgentsLoad| {
            let agents = self.names.iter().zip(&load.runs).enumerate().map(|(i, (name, runs))| {
                json!({
                    "agent": name,
                    "runs": runs.iter().map(AgentReport::to_json).collect::<Vec<_>>(),
                    "rate_ratio": load.rates(i).median,
                    "cpu_saving": load.savings(i).median,
                })
            });
            json!({
                "connections": load.connections, "size_bytes": load.size, "agents": agents.collect::<Vec<_>>(),
            })
        };
        json!({ "loads": self.loads.iter().map(load).collect::<Vec<_>>() })
    }
}

impl fmt::Display for AgentsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for load in &self.loads {
            let rounds = load.runs.first().map_or(0, Vec::len);
            writeln!(
                f,
                "frames of {} B, {} in flight, medians of {rounds} rounds; beside {}: more events, less CPU time an event",
                load.size,
                load.connections,
                self.names.first().map_or("", String::as_str),
            )?;
            for (i, name) in self.names.iter().enumerate() {
                let of = |value| median(&load.column(i, value));
                write!(
                    f,
                    "  {name:<16}{:>9.0} events/s  p50 {:>7.1} us  p99 {:>8.1} us  CPU {:>6.1} us",
                    of(rate),
                    of(|run| run.p50_us),
                    of(|run| run.p99_us),
                    of(cpu_us),
                )?;
                if i > 0 {
                    for ratios in [load.rates(i), load.savings(i)] {
                        write!(f, "   {:.2} ({:.2} to {:.2})", ratios.median, ratios.min, ratios.max)?;
                    }
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}
