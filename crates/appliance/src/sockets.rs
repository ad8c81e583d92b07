//! The unix sockets of agents, and what becomes of configurations that proxies push.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use wsi_config::Template;
use wsi_dataplane::{AgentSocket, Configurator};
use wsi_inspect::Engine;
use wsi_telemetry::Names;

use crate::plan::Plan;

/// Takes the sockets out of `plan`. Their listeners are numbered after those of the configuration.
pub(crate) fn of(plan: &mut Plan, names: &Arc<Names>) -> Vec<AgentSocket> {
    let agents = std::mem::take(&mut plan.agents).into_iter().zip(&plan.engines).enumerate();
    let served = agents.filter_map(|(place, (agent, engine))| Some((place, agent?, engine)));
    (plan.settings.listeners.len()..)
        .zip(served)
        .map(|(listener, (place, agent, engine))| AgentSocket {
            path: agent.path,
            mode: agent.mode,
            listener: u16::try_from(listener).unwrap_or(u16::MAX),
            engine: place,
            sessions_max: agent.sessions_max,
            age_max: agent.age_max_s.map(Duration::from_secs),
            configurator: configurator(agent.template, Arc::clone(engine), Arc::clone(names)),
        })
        .collect()
}

/// Compiles over the latest engine of the policy, so that the numbers of rules only grow: records and counters of earlier
/// configurations stay right.
fn configurator(template: Template, engine: Arc<Engine>, names: Arc<Names>) -> Configurator {
    let latest = Mutex::new(engine);
    Configurator::new(move |config| {
        let policy = template.with(config).map_err(|error| error.to_string())?;
        let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = Engine::compile_over(&policy, &latest).map_err(|error| error.to_string())?;
        names.learn(&engine).map_err(|_| "more than 1,024 rules beside those of the file; put them there")?;
        let engine = Arc::new(engine);
        *latest = Arc::clone(&engine);
        Ok(engine)
    })
}
