//! SIGHUP: the configuration is read again and takes the place of the present one, or changes nothing.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use wsi_config::{
    Configuration, Settings, Template,
    policy::{Mode, Policy, PolicyId, Transport, UpstreamId},
};
use wsi_dataplane::{Reloader, Revision, Route, Upstream};
use wsi_inspect::Engine;
use wsi_telemetry::{Names, Reloads};

use crate::plan::{self, Plan};

/// The latest of a policy. It is locked as long as something is compiled over it.
pub(crate) type Lineage = Arc<Mutex<Latest>>;

pub(crate) struct Latest {
    /// Whoever compiled it: what is compiled next is compiled over it, so that the numbers of its rules only grow, and records
    /// and counters of earlier configurations stay right.
    pub engine: Arc<Engine>,
    /// What proxies lay theirs over.
    pub template: Option<Template>,
    /// It was switched, until the next reload.
    pub mode: Option<Mode>,
}

impl Latest {
    pub fn of(engine: &Arc<Engine>, template: Option<Template>) -> Lineage {
        Arc::new(Mutex::new(Self { engine: Arc::clone(engine), template, mode: None }))
    }
}

pub(crate) fn latest(lineage: &Lineage) -> MutexGuard<'_, Latest> {
    lineage.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the configuration again when it is asked to.
pub(crate) struct Reload {
    /// `None`: there is no file.
    path: Option<PathBuf>,
    /// Of the start: what can't change without a restart.
    settings: Settings,
    transports: HashMap<String, Option<Transport>>,
    /// As they were configured last.
    policies: Vec<Policy>,
    /// By policy, in the order of [`Engine::index`].
    lineages: Vec<Lineage>,
    upstreams: Vec<(String, Upstream)>,
    revision: Revision,
    names: Arc<Names>,
    reloads: Arc<Reloads>,
}

type Placed = (Vec<(String, Upstream)>, Vec<UpstreamId>);

/// What a reload has done.
#[derive(Debug)]
pub(crate) struct Reloaded {
    pub revision: u32,
    pub warnings: Vec<wsi_config::Warning>,
    /// What is configured and holds only after a restart.
    pub waits: Vec<String>,
}

impl Reload {
    pub fn new(path: Option<PathBuf>, plan: &Plan, names: &Arc<Names>, reloads: &Arc<Reloads>) -> Self {
        reloads.revision.set(1);
        Self {
            path,
            settings: plan.settings.clone(),
            transports: plan
                .policies
                .iter()
                .map(|policy| (policy.name.clone(), policy.transport.clone()))
                .collect(),
            policies: plan.policies.clone(),
            lineages: plan.lineages.clone(),
            upstreams: plan
                .settings
                .upstreams
                .iter()
                .zip(&plan.upstreams)
                .map(|(setting, upstream)| (setting.name.clone(), upstream.clone()))
                .collect(),
            revision: plan.revision(),
            names: Arc::clone(names),
            reloads: Arc::clone(reloads),
        }
    }

    /// By policy, in the order of [`Engine::index`].
    pub fn engines(&self) -> &[Arc<Engine>] {
        &self.revision.engines
    }

    pub fn revision(&self) -> u32 {
        self.revision.number
    }

    /// Switches a policy until the next reload, from when on the file says how it is.
    ///
    /// # Errors
    /// There is no such policy, or a shard that can't go by it.
    pub fn set_mode(&mut self, name: &str, mode: Mode, reloader: &Reloader) -> Result<(), Box<dyn Error>> {
        let policy = self.policies.iter().find(|policy| policy.name == name);
        let policy = Policy { mode, ..policy.ok_or_else(|| format!("no policy is called {name}"))?.clone() };
        let place = self.revision.engines.iter().position(|engine| engine.name() == name);
        let lineage = place.and_then(|place| self.lineages.get(place)).ok_or("it has no engine")?;
        let mut latest = latest(lineage);
        let engine = Arc::new(Engine::compile_over(&policy, &latest.engine)?);
        self.names.learn(&engine)?;
        (latest.engine, latest.mode) = (Arc::clone(&engine), Some(mode));
        drop(latest);
        let replaced = |each: &Arc<Engine>| {
            if each.index() == engine.index() { Arc::clone(&engine) } else { Arc::clone(each) }
        };
        let revision = Revision {
            number: self.revision.number + 1,
            engines: self.revision.engines.iter().map(replaced).collect(),
            ..self.revision.clone()
        };
        self.install(revision, reloader)
    }

    /// Reads, compiles and installs. Connections go on: their next message is judged by the new configuration.
    ///
    /// # Errors
    /// The mistakes of the file, or a shard that can't go by it; what holds is then what held before.
    pub fn reload(&mut self, reloader: &Reloader) -> Result<Reloaded, Box<dyn Error>> {
        let result = self.try_reload(reloader);
        if result.is_err() {
            self.reloads.failures.add(1);
        }
        result
    }

    fn try_reload(&mut self, reloader: &Reloader) -> Result<Reloaded, Box<dyn Error>> {
        let path = self.path.as_ref().ok_or("there is no file to read again")?;
        let configuration = wsi_config::load(path)?;
        let waits = self.waits(&configuration);
        // Nothing that proxies push is compiled in between, over what is not the latest any more.
        let mut lineages: Vec<_> = self.lineages.iter().map(latest).collect();
        let known: Vec<_> = lineages.iter().map(|latest| &latest.engine).collect();
        let engines = plan::compile(&configuration, &known)?;
        for engine in &engines {
            self.names.learn(engine)?;
        }
        let Configuration { settings, ruleset, warnings, templates, .. } = configuration;
        let (upstreams, upstream_ids) = self.place_upstreams(&settings)?;
        let mut by_index: Vec<_> = self.revision.engines.to_vec();
        for engine in &engines {
            match by_index.get_mut(engine.index()) {
                Some(place) => *place = Arc::clone(engine),
                None => by_index.push(Arc::clone(engine)),
            }
        }
        let placed = |route: Route| Route {
            upstream: upstream_ids.get(route.upstream.0).copied().unwrap_or(route.upstream),
            policy: engines.get(route.policy.0).map_or(route.policy, |engine| PolicyId(engine.index())),
            ..route
        };
        let configured = settings.listeners.iter().zip(ruleset.routes);
        let mut configured: HashMap<_, _> =
            configured.map(|(each, routes)| (&each.name, (each, routes))).collect();
        let listeners = self.settings.listeners.iter().zip(self.revision.listeners.iter());
        let listeners = listeners.map(|(setting, listener)| match configured.remove(&setting.name) {
            Some((setting, routes)) => {
                plan::listener(setting, listener.bind, routes.into_iter().map(placed).collect())
            }
            None => Ok(listener.clone()),
        });
        let revision = Revision {
            number: self.revision.number + 1,
            listeners: listeners.collect::<Result<_, _>>()?,
            upstreams: upstreams.iter().map(|(_, upstream)| upstream.clone()).collect(),
            engines: by_index.into(),
        };
        let mut new = Vec::new();
        for (engine, template) in engines.iter().zip(templates) {
            match lineages.get_mut(engine.index()) {
                Some(latest) => {
                    let template = template.or_else(|| latest.template.take());
                    **latest = Latest { engine: Arc::clone(engine), template, mode: None };
                }
                None => new.push(Latest::of(engine, template)),
            }
        }
        drop(lineages);
        self.lineages.extend(new);
        self.install(revision, reloader)?;
        self.upstreams = upstreams;
        self.policies = ruleset.policies;
        Ok(Reloaded { revision: self.revision.number, warnings, waits })
    }

    fn install(&mut self, revision: Revision, reloader: &Reloader) -> Result<(), Box<dyn Error>> {
        reloader.install(&revision)?;
        self.revision = revision;
        self.reloads.revision.set(self.revision.number.into());
        Ok(())
    }

    /// Upstreams that are known keep their places. All, by place, and the place of each configured one.
    fn place_upstreams(&self, settings: &Settings) -> Result<Placed, Box<dyn Error>> {
        let (mut all, mut places) = (self.upstreams.clone(), Vec::new());
        for setting in &settings.upstreams {
            let upstream = plan::upstream(setting)?;
            let known = all.iter().position(|(name, _)| *name == setting.name);
            places.push(UpstreamId(known.unwrap_or(all.len())));
            match known.and_then(|known| all.get_mut(known)) {
                Some((_, place)) => *place = upstream,
                None => all.push((setting.name.clone(), upstream)),
            }
        }
        Ok((all, places))
    }

    /// What the configuration asks for and running shards can't change.
    fn waits(&self, configuration: &Configuration) -> Vec<String> {
        let (before, after) = (&self.settings, &configuration.settings);
        let mut waits = Vec::new();
        let blocks = [
            ("runtime", before.runtime != after.runtime),
            ("audit", before.audit != after.audit),
            ("admin", before.admin != after.admin),
        ];
        waits.extend(blocks.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()));
        let stays = |each: &wsi_config::Listener| {
            let has = |all: &[wsi_config::Listener]| {
                all.iter().any(|one| (&one.name, one.bind) == (&each.name, each.bind))
            };
            has(&before.listeners) && has(&after.listeners)
        };
        let differing = before.listeners.iter().chain(&after.listeners).filter(|each| !stays(each));
        waits.extend(differing.map(|listener| format!("listener \"{}\"", listener.name)));
        for policy in &configuration.ruleset.policies {
            let known = self.transports.get(&policy.name);
            if known.is_some_and(|known| *known != policy.transport)
                || known.is_none() && policy.transport.is_some()
            {
                waits.push(format!("transport of agent \"{}\"", policy.name));
            }
        }
        waits.dedup();
        waits
    }
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        write!(
            f,
            "reloaded: revision {} holds for upgrades, and for open connections from their next message on",
            self.revision
        )?;
        if !self.waits.is_empty() {
            write!(f, "; not before a restart: {}", self.waits.join(", "))?;
        }
        Ok(())
    }
}
