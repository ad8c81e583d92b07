//! A configuration on trial: its policies compiled, its routes, and what they said so far.

use std::{error::Error, path::Path, sync::Arc, time::Instant};

use wsi_config::{
    Configuration,
    policy::{EventKind, Mode, Policy, PolicyId, Route, UpstreamId},
};
use wsi_inspect::{Engine, Worker};

use super::{Options, tally::Tally};
use crate::{plan, selftest};

pub(super) struct Trial {
    pub name: String,
    pub engines: Vec<Arc<Engine>>,
    pub worker: Worker,
    pub tally: Tally,
    /// A close is taken for a drop, so that all of a connection is judged.
    pub goes_on: bool,
    /// What the policies themselves say; under `goes_on` all are compiled to detect.
    modes: Vec<Mode>,
    routes: Routes,
}

/// Which policy a connection comes under.
enum Routes {
    /// There is one, or one was asked for.
    Fixed([Route; 1]),
    Listeners {
        all: Vec<Route>,
        by_port: Vec<(u16, Vec<Route>)>,
    },
}

impl Trial {
    /// # Errors
    /// Every mistake of the file, or the first rule that can't be compiled; a policy that is not there.
    pub fn load(path: Option<&Path>, options: &Options) -> Result<Self, Box<dyn Error>> {
        let name = path.map_or_else(|| "built-in".to_owned(), |path| path.display().to_string());
        Self::of(name, selftest::configuration(path)?, options)
    }

    /// # Errors
    /// The first rule that can't be compiled; a policy that is not there.
    pub fn of(
        name: String,
        mut configuration: Configuration,
        options: &Options,
    ) -> Result<Self, Box<dyn Error>> {
        let routes = Routes::of(&configuration, &name, options.policy.as_deref())?;
        let policies = &mut configuration.ruleset.policies;
        let modes = policies.iter().map(|policy| policy.mode).collect();
        for policy in policies.iter_mut() {
            policy.events = EventKind::ALL.into_iter().collect();
            if options.go_on {
                policy.mode = Mode::Detect;
            }
        }
        let engines = plan::compile(&configuration, &[])?;
        // The budget of an inspection is the only thing that a worker's clock is asked for: what takes too long here would
        // take too long there.
        let began = Instant::now();
        let clock = move || u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // Nobody sees the masks.
        let worker = Worker::new(engines.iter().map(|engine| &**engine), [7; 32], Box::new(clock))
            .map_err(|error| error.to_string())?;
        Ok(Self { name, engines, worker, tally: Tally::default(), goes_on: options.go_on, modes, routes })
    }

    /// Routes for a connection that came to `port`: those of the listeners there, or of all in their order.
    pub fn routes(&self, port: Option<u16>) -> &[Route] {
        match &self.routes {
            Routes::Fixed(route) => route,
            Routes::Listeners { all, by_port } => {
                by_port.iter().find(|(own, _)| Some(*own) == port).map_or(all, |(_, routes)| routes)
            }
        }
    }

    /// The policy of a connection of which nothing is known; `None`: there are several.
    pub fn only_engine(&self) -> Option<&Arc<Engine>> {
        match &self.routes {
            Routes::Fixed([route]) => self.engines.get(route.policy.0),
            Routes::Listeners { .. } => None,
        }
    }

    pub fn mode(&self, policy: usize) -> Mode {
        self.modes.get(policy).copied().unwrap_or_default()
    }
}

impl Routes {
    fn of(configuration: &Configuration, name: &str, asked: Option<&str>) -> Result<Self, Box<dyn Error>> {
        let Configuration { ruleset, settings, .. } = configuration;
        let policies = &ruleset.policies;
        if let Some(asked) = asked {
            let position = policies.iter().position(|policy| policy.name == asked).ok_or_else(|| {
                format!("{name}: there is no policy {asked:?}; --policy can be one of {}", listed(policies))
            })?;
            return Ok(Self::Fixed([everywhere(position)]));
        }
        match policies.len() {
            0 => Err(format!("{name}: there is no agent, so there is no policy to try; add one").into()),
            1 => Ok(Self::Fixed([everywhere(0)])),
            _ if ruleset.routes.is_empty() => Err(format!(
                "{name}: there are several policies and no listener to choose by; give --policy one of {}",
                listed(policies)
            )
            .into()),
            _ => {
                let ports = settings.listeners.iter().map(|listener| listener.bind.port());
                let mut by_port: Vec<(u16, Vec<Route>)> = Vec::new();
                for (port, routes) in ports.zip(&ruleset.routes) {
                    match by_port.iter_mut().find(|(own, _)| *own == port) {
                        Some((_, all)) => all.extend(routes.iter().cloned()),
                        None => by_port.push((port, routes.clone())),
                    }
                }
                Ok(Self::Listeners { all: ruleset.routes.concat(), by_port })
            }
        }
    }
}

fn everywhere(policy: usize) -> Route {
    Route { path: "/*".into(), host: None, upstream: UpstreamId(0), policy: PolicyId(policy) }
}

fn listed(policies: &[Policy]) -> String {
    let names: Vec<_> = policies.iter().map(|policy| format!("{:?}", policy.name)).collect();
    names.join(", ")
}
