//! A configuration made ready to start: read, compiled, and placed on cores.

use std::{error::Error, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use wsi_config::{Configuration, Settings, Warning, policy::Policy};
use wsi_dataplane::{Listener, Revision, Route, Server, Upstream};
use wsi_inspect::Engine;

use crate::{
    memory,
    reload::{Latest, Lineage},
    tls,
};

/// A configuration that was read and compiled: what is left is to start it.
pub(crate) struct Plan {
    pub settings: Settings,
    pub engines: Vec<Arc<Engine>>,
    pub policies: Vec<Policy>,
    /// By policy.
    pub lineages: Vec<Lineage>,
    pub warnings: Vec<Warning>,
    pub listeners: Vec<Listener>,
    pub upstreams: Vec<Upstream>,
    /// The core of each shard, or `None` where there are more shards than cores.
    pub cpus: Vec<Option<usize>>,
    /// Bytes that may be held of messages on their way.
    pub memory_max: u64,
}

impl Plan {
    /// Nobody could reach it.
    pub fn serves_nothing(&self) -> bool {
        self.settings.listeners.is_empty() && self.policies.iter().all(|policy| policy.transport.is_none())
    }

    /// # Errors
    /// Every mistake of the file, or the first rule that can't be compiled.
    pub fn load(path: &Path) -> Result<Self, Box<dyn Error>> {
        Self::of(wsi_config::load(path)?)
    }

    /// # Errors
    /// The first rule that can't be compiled.
    pub fn of(configuration: Configuration) -> Result<Self, Box<dyn Error>> {
        let engines = compile(&configuration, &[])?;
        let Configuration { settings, ruleset, warnings, templates, .. } = configuration;
        let lineages =
            engines.iter().zip(templates).map(|(engine, template)| Latest::of(engine, template)).collect();
        let entrances = settings.listeners.iter().zip(ruleset.routes);
        let listeners =
            entrances.map(|(each, routes)| listener(each, each.bind, routes)).collect::<Result<_, _>>()?;
        let upstreams = settings.upstreams.iter().map(upstream).collect::<Result<_, _>>()?;
        let cpus = cpus(&settings.runtime.shards)?;
        let memory_max = memory::memory_max(settings.runtime.memory_max);
        Ok(Self {
            settings,
            engines,
            policies: ruleset.policies,
            lineages,
            warnings,
            listeners,
            upstreams,
            cpus,
            memory_max,
        })
    }

    /// What shards begin with.
    pub fn revision(&self) -> Revision {
        Revision {
            number: 1,
            listeners: self.listeners.iter().cloned().collect(),
            upstreams: self.upstreams.iter().cloned().collect(),
            engines: self.engines.iter().map(Arc::clone).collect(),
        }
    }
}

/// Compiles the policies, in their order; one that is known by its name takes the place of that, and a new one comes last.
///
/// # Errors
/// The first rule that can't be compiled.
pub(crate) fn compile(
    configuration: &Configuration,
    known: &[&Arc<Engine>],
) -> Result<Vec<Arc<Engine>>, Box<dyn Error>> {
    let mut free = known.len()..;
    let mut engines = Vec::new();
    for policy in &configuration.ruleset.policies {
        let compiled = match known.iter().find(|engine| engine.name() == policy.name) {
            Some(earlier) => Engine::compile_over(policy, earlier),
            None => Engine::compile(policy, free.next().unwrap_or(usize::MAX)),
        };
        let engine = compiled.map_err(|error| {
            let (policy, rule) = error.place();
            configuration.places.mistake(policy, rule, error.to_string(), "correct it, or remove it")
        })?;
        engines.push(Arc::new(engine));
    }
    Ok(engines)
}

/// # Errors
/// Certificates or keys that are none.
pub(crate) fn listener(
    setting: &wsi_config::Listener,
    bind: SocketAddr,
    routes: Vec<Route>,
) -> Result<Listener, Box<dyn Error>> {
    let tls = setting.tls.as_ref().map(tls::server).transpose();
    Ok(Listener {
        bind,
        tls: tls.map_err(|error| format!("listener \"{}\": {error}", setting.name))?,
        proxy_protocol: setting.proxy_protocol,
        trusted: setting.trusted_proxies.clone(),
        routes,
    })
}

/// # Errors
/// Certificates that are none.
pub(crate) fn upstream(upstream: &wsi_config::Upstream) -> Result<Upstream, Box<dyn Error>> {
    let tls = upstream.tls.as_ref().map(tls::client).transpose();
    let servers = upstream.servers.iter();
    Ok(Upstream {
        servers: servers.map(|server| Server { address: server.address, weight: server.weight }).collect(),
        connect_timeout: Duration::from_millis(upstream.connect_timeout_ms),
        tls: tls.map_err(|error| format!("upstream \"{}\": {error}", upstream.name))?,
    })
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
