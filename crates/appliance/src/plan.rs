//! A configuration made ready to start: read, compiled, and placed on cores.

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
};

use wsi_config::{Configuration, Settings, Template, Warning};
use wsi_inspect::Engine;

use crate::memory;

/// A configuration that was read and compiled: what is left is to start it.
pub(crate) struct Plan {
    pub settings: Settings,
    pub engines: Vec<Arc<Engine>>,
    /// By policy: where proxies reach it, and what they may add to it.
    pub agents: Vec<Option<Agent>>,
    pub warnings: Vec<Warning>,
    pub routes: Vec<Vec<wsi_dataplane::Route>>,
    /// The core of each shard, or `None` where there are more shards than cores.
    pub cpus: Vec<Option<usize>>,
    /// Bytes that may be held of messages on their way.
    pub memory_max: u64,
}

/// A policy that is served at a unix socket.
pub(crate) struct Agent {
    pub path: PathBuf,
    pub mode: u32,
    pub sessions_max: usize,
    pub age_max_s: Option<u64>,
    pub template: Template,
}

impl Plan {
    /// Nobody could reach it.
    pub fn serves_nothing(&self) -> bool {
        self.settings.listeners.is_empty() && self.agents.iter().all(Option::is_none)
    }

    /// # Errors
    /// Every mistake of the file, or the first rule that can't be compiled.
    pub fn load(path: &Path) -> Result<Self, Box<dyn Error>> {
        Self::of(wsi_config::load(path)?)
    }

    /// # Errors
    /// The first rule that can't be compiled.
    pub fn of(configuration: Configuration) -> Result<Self, Box<dyn Error>> {
        let Configuration { settings, ruleset, warnings, places, templates } = configuration;
        let mut engines = Vec::new();
        for (index, policy) in ruleset.policies.iter().enumerate() {
            let engine = Engine::compile(policy, index).map_err(|error| {
                let (policy, rule) = error.place();
                places.mistake(policy, rule, error.to_string(), "correct it, or remove it")
            })?;
            engines.push(Arc::new(engine));
        }
        let transports = ruleset.policies.into_iter().map(|policy| policy.transport);
        let agents = transports
            .zip(templates)
            .map(|(transport, template)| {
                let (transport, template) = (transport?, template?);
                Some(Agent {
                    path: transport.path,
                    mode: transport.mode,
                    sessions_max: transport.sessions_max,
                    age_max_s: transport.age_max_s,
                    template,
                })
            })
            .collect();
        let cpus = cpus(&settings.runtime.shards)?;
        let memory_max = memory::memory_max(settings.runtime.memory_max);
        Ok(Self { settings, engines, agents, warnings, routes: ruleset.routes, cpus, memory_max })
    }
}

/// The cores that this process may use decide: `taskset` and container limits are respected.
fn cpus(shards: &wsi_config::Shards) -> Result<Vec<Option<usize>>, Box<dyn Error>> {
    let allowed = allowed_cpus();
    match shards {
        wsi_config::Shards::Auto if allowed.is_empty() => Ok(vec![None]),
        wsi_config::Shards::Auto => Ok(allowed.into_iter().map(Some).collect()),
        wsi_config::Shards::Count(count) => {
            let pinned = allowed.into_iter().map(Some).chain(std::iter::repeat(None));
            Ok(pinned.take(count.get()).collect())
        }
        wsi_config::Shards::Cpus(cpus) => match cpus.iter().find(|cpu| !allowed.contains(cpu)) {
            Some(cpu) => {
                Err(format!("runtime shards: CPU {cpu} is not one that this process may use ({allowed:?})")
                    .into())
            }
            None => Ok(cpus.iter().copied().map(Some).collect()),
        },
    }
}

fn allowed_cpus() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}
