//! The unix sockets of agents, and what becomes of configurations that proxies push.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use wsi_config::{Template, policy::Transport};
use wsi_dataplane::{AgentSocket, Configurator};
use wsi_inspect::Engine;
use wsi_telemetry::Names;

use crate::{plan::Plan, reload::Lineage};

/// Takes the sockets out of `plan`. Their listeners are numbered after those of the configuration.
pub(crate) fn of(plan: &mut Plan, names: &Arc<Names>) -> Vec<AgentSocket> {
    let agents = std::mem::take(&mut plan.agents).into_iter().zip(&plan.lineages).enumerate();
    let served = agents.filter_map(|(place, (agent, lineage))| Some((place, agent?, lineage)));
    (plan.settings.listeners.len()..)
        .zip(served)
        .map(|(listener, (place, agent, lineage))| {
            let Transport { path, mode, sessions_max, age_max_s } = agent.transport;
            AgentSocket {
                path,
                mode,
                listener: u16::try_from(listener).unwrap_or(u16::MAX),
                engine: place,
                sessions_max,
                age_max: age_max_s.map(Duration::from_secs),
                configurator: configurator(agent.template, Arc::clone(lineage), Arc::clone(names)),
            }
        })
        .collect()
}

fn configurator(template: Template, lineage: Lineage, names: Arc<Names>) -> Configurator {
    Configurator::new(move |config| {
        let policy = template.with(config).map_err(|error| error.to_string())?;
        let mut latest = lineage.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = Engine::compile_over(&policy, &latest).map_err(|error| error.to_string())?;
        names.learn(&engine).map_err(|error| error.to_string())?;
        let engine = Arc::new(engine);
        *latest = Arc::clone(&engine);
        Ok(engine)
    })
}
