//! The unix sockets of agents, and what becomes of configurations that proxies push.

use std::{sync::Arc, time::Duration};

use wsi_config::policy::Transport;
use wsi_dataplane::{AgentSocket, Configurator};
use wsi_inspect::Engine;
use wsi_telemetry::Names;

use crate::{
    plan::Plan,
    reload::{self, Lineage},
};

/// The sockets of `plan`. Their listeners are numbered after those of the configuration.
pub(crate) fn of(plan: &Plan, names: &Arc<Names>) -> Vec<AgentSocket> {
    let policies = plan.policies.iter().zip(&plan.lineages).enumerate();
    let served =
        policies.filter_map(|(place, (policy, lineage))| Some((place, policy.transport.clone()?, lineage)));
    (plan.settings.listeners.len()..)
        .zip(served)
        .map(|(listener, (place, transport, lineage))| {
            let Transport { path, mode, sessions_max, age_max_s } = transport;
            AgentSocket {
                path,
                mode,
                listener: u16::try_from(listener).unwrap_or(u16::MAX),
                engine: place,
                sessions_max,
                age_max: age_max_s.map(Duration::from_secs),
                configurator: configurator(Arc::clone(lineage), Arc::clone(names)),
            }
        })
        .collect()
}

fn configurator(lineage: Lineage, names: Arc<Names>) -> Configurator {
    Configurator::new(move |config| {
        let mut latest = reload::latest(&lineage);
        let template = latest.template.as_ref().ok_or("no proxy reaches this policy")?;
        let mut policy = template.with(config).map_err(|error| error.to_string())?;
        policy.mode = latest.mode.unwrap_or(policy.mode);
        let engine = Engine::compile_over(&policy, &latest.engine).map_err(|error| error.to_string())?;
        names.learn(&engine).map_err(|error| error.to_string())?;
        latest.engine = Arc::new(engine);
        Ok(Arc::clone(&latest.engine))
    })
}
