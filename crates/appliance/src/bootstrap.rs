//! From a configuration to a running process, and to its end.

use std::{
    error::Error,
    io::{self, Write},
    net::TcpListener,
    path::Path,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::{Resource, getrlimit, setrlimit};
use wsi_config::Payload;
use wsi_dataplane::{Dataplane, Drainer, Options, ShardOptions};
use wsi_telemetry::{
    Exposition, Names, Reloads, ShardCells, Timings,
    audit::{self, RotatingFile, Rotation},
};

use crate::{
    admin::{self, AdminServer, AdminState, Api, Readiness, ReadinessCell, Recent, Tee},
    plan::Plan,
    reload::Reload,
    report,
    signals::Signals,
    sockets,
};

const TOKEN_SIZE_MIN: usize = 16;

/// A process that serves.
pub(crate) struct Running {
    dataplane: Dataplane,
    audit: Option<AuditThread>,
    readiness: Arc<ReadinessCell>,
    admin: Option<AdminServer>,
    reload: Arc<Mutex<Reload>>,
    /// Proxies alone are served.
    is_agent_only: bool,
}

struct AuditThread {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

/// `run`: serves until it is told to end.
///
/// # Errors
/// What keeps it from starting, or a shard that broke.
pub(crate) fn run(path: &Path) -> Result<ExitCode, Box<dyn Error>> {
    let signals = Signals::block()?;
    let plan = Plan::load(path)?;
    if plan.serves_nothing() {
        let text = "nothing to serve: the configuration has neither a listener nor an agent with a transport; add one, as in config/demo.kdl";
        return Err(text.into());
    }
    raise_descriptor_limit();
    for warning in &plan.warnings {
        eprintln!("warning: {warning}");
    }
    let block = report::startup(&plan);
    let running = Running::start(plan, Some(path))?;
    eprint!("{block}");
    running.run_until_signal(signals)?;
    Ok(ExitCode::SUCCESS)
}

impl Running {
    /// `path` is the file of the plan, which is read again at SIGHUP; `None`: there is none.
    ///
    /// # Errors
    /// An address or a file that can't be opened, or a kernel that lacks what a shard needs.
    pub fn start(plan: Plan, path: Option<&Path>) -> Result<Self, Box<dyn Error>> {
        let names = Arc::new(names(&plan));
        let reloads = Arc::new(Reloads::default());
        let reload = Reload::new(path.map(Path::to_owned), &plan, &names, &reloads);
        let reload = Arc::new(Mutex::new(reload));
        let token = plan.settings.admin.as_ref().and_then(|admin| admin.token_path.as_deref());
        let token = token.map(read_token).transpose()?;
        let recent = plan.settings.admin.as_ref().map(|_| Recent::default());
        let is_agent_only = plan.settings.listeners.is_empty();
        let admin = plan.settings.admin.as_ref().map(|admin| bind_admin(admin.bind)).transpose()?;
        let file = plan.settings.audit.as_ref().map(open_audit).transpose()?;

        let cells: Vec<_> = plan.cpus.iter().map(|_| Arc::new(ShardCells::new(&names))).collect();
        let payload =
            plan.settings.audit.as_ref().map_or(audit::Payload::None, |audit| payload(audit.payload));
        let (senders, receivers): (Vec<_>, Vec<_>) = plan
            .cpus
            .iter()
            .map(|_| audit::queue(audit::QUEUE_RECORDS_DEFAULT, payload))
            .map(|(sender, receiver)| (Some(sender).filter(|_| file.is_some() || recent.is_some()), receiver))
            .unzip();
        let writer = sink(file, recent.as_ref()).map(|sink| audit_writer(receivers, &names, sink));
        let writer = match &plan.settings.audit {
            Some(audit) if audit.is_chained => {
                writer.map(|writer| chained(writer, &audit.path)).transpose()?
            }
            _ => writer,
        };
        let counts = writer.as_ref().map(audit::Writer::counts).unwrap_or_default();
        let mut exposition =
            Exposition::new(Arc::clone(&names), cells.clone(), counts, reloads, env!("CARGO_PKG_VERSION"));
        // Where nobody could look at them nothing is timed.
        let timings = admin.as_ref().map(|_| Timings::start(plan.cpus.len())).transpose()?;
        let (timings, timing_senders) = timings.unzip();
        if let Some(timings) = &timings {
            exposition = exposition.with_timings(Arc::clone(timings));
        }

        let mut options = options(plan, &names, senders, cells);
        for (shard, timings) in options.shards.iter_mut().zip(timing_senders.into_iter().flatten()) {
            shard.timings = Some(timings);
        }
        let dataplane = Dataplane::start(options)?;
        let readiness = Arc::new(ReadinessCell::default());
        let metrics = Arc::new(move || exposition.render());
        let api = recent.map(|recent| {
            Arc::new(Api {
                control: dataplane.control(),
                reloader: dataplane.reloader(),
                drainer: dataplane.drainer(),
                reload: Arc::clone(&reload),
                readiness: Arc::clone(&readiness),
                names,
                recent,
                timings,
                token,
            })
        });
        let state = AdminState { metrics, readiness: Arc::clone(&readiness), api };
        let admin = admin.map(|listener| admin::start(listener, state)).transpose()?;
        let audit = writer.map(AuditThread::start).transpose()?;
        readiness.set(Readiness::Ready);
        Ok(Self { dataplane, audit, readiness, admin, reload, is_agent_only })
    }

    /// # Errors
    /// A shard that broke.
    pub fn run_until_signal(mut self, signals: Signals) -> io::Result<()> {
        let (readiness, drainer) = (Arc::clone(&self.readiness), self.drainer());
        // As the paths of the sockets: the next process, with the same file, serves while this one drains.
        let left = if self.is_agent_only { self.admin.take() } else { None };
        let on_drain = move || {
            readiness.set(Readiness::Draining);
            if let Some(admin) = left {
                admin.stop();
            }
            drainer.drain();
        };
        let (reload, reloader) = (Arc::clone(&self.reload), self.dataplane.reloader());
        let on_reload = move || match reload.lock().unwrap_or_else(PoisonError::into_inner).reload(&reloader)
        {
            Ok(done) => eprintln!("{done}"),
            Err(error) => eprintln!("{error}\nnot reloaded: what held before still holds"),
        };
        signals.serve(on_reload, on_drain)?;
        self.join()
    }

    pub fn drainer(&self) -> Drainer {
        self.dataplane.drainer()
    }

    /// Waits for the shards to end, then for the audit to be written.
    ///
    /// # Errors
    /// A shard that broke.
    pub fn join(self) -> io::Result<()> {
        let result = self.dataplane.join();
        if let Some(admin) = self.admin {
            admin.stop();
        }
        if let Some(audit) = self.audit {
            audit.stop.store(true, Ordering::Release);
            if audit.thread.join().is_err() {
                eprintln!("the audit thread panicked; its last records are lost");
            }
        }
        result
    }
}

impl AuditThread {
    fn start(mut writer: audit::Writer) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::Builder::new().name("audit".into()).spawn(move || writer.run(&told))?;
        Ok(Self { thread, stop })
    }
}

fn open_audit(audit: &wsi_config::Audit) -> Result<RotatingFile, audit::OpenError> {
    let rotation = Rotation {
        size_max: audit.rotate_size,
        age_max: audit.rotate_s.map(Duration::from_secs),
        kept_max: audit.kept_max,
        compresses: audit.compresses,
    };
    RotatingFile::open(&audit.path, rotation)
}

fn chained(writer: audit::Writer, path: &Path) -> Result<audit::Writer, Box<dyn Error>> {
    let notes = path.with_added_extension("checkpoints");
    let fault = |error| format!("audit chain of {}: {error}", path.display());
    Ok(writer.with_chain(path, &notes).map_err(fault)?)
}

/// The file, and beside it what the live page shows; `None`: there is neither.
fn sink(file: Option<RotatingFile>, recent: Option<&Recent>) -> Option<Box<dyn Write + Send>> {
    match (file, recent) {
        (None, None) => None,
        (Some(file), None) => Some(Box::new(file)),
        (None, Some(recent)) => Some(Box::new(Tee::new(io::sink(), recent.clone()))),
        (Some(file), Some(recent)) => Some(Box::new(Tee::new(file, recent.clone()))),
    }
}

/// Whoever knows it may change what the process does, so it has to be long.
fn read_token(path: &Path) -> Result<String, Box<dyn Error>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{shown}: {error}; it should hold the token of admin"))?;
    let token = text.trim();
    if token.len() < TOKEN_SIZE_MIN || token.contains(char::is_whitespace) {
        let help = "as `openssl rand -hex 32` makes one";
        return Err(format!(
            "{shown}: a token has at least {TOKEN_SIZE_MIN} characters and no space, {help}"
        )
        .into());
    }
    Ok(token.to_owned())
}

fn audit_writer(
    receivers: Vec<audit::Receiver>,
    names: &Arc<Names>,
    sink: Box<dyn Write + Send>,
) -> audit::Writer {
    audit::Writer::new(receivers, Arc::clone(names), sink).with_failure_report(|error| {
        eprintln!("audit: {error}; records are lost and counted (wsi_audit_lost_total) until it works again");
    })
}

fn bind_admin(address: std::net::SocketAddr) -> Result<TcpListener, Box<dyn Error>> {
    TcpListener::bind(address)
        .map_err(|error| format!("can't listen on {address} for admin: {error}; is the port in use?").into())
}

/// Listeners first, then sockets, which records call after their policy.
fn names(plan: &Plan) -> Names {
    let listeners = plan.settings.listeners.iter().map(|listener| listener.name.clone());
    let served = plan.policies.iter().zip(&plan.engines).filter(|(policy, _)| policy.transport.is_some());
    let sockets = served.map(|(_, engine)| engine.name().to_owned());
    Names::new(listeners.chain(sockets).collect(), plan.engines.iter().map(|engine| &**engine)).with_room()
}

fn options(
    plan: Plan,
    names: &Arc<Names>,
    senders: Vec<Option<audit::Sender>>,
    cells: Vec<Arc<ShardCells>>,
) -> Options {
    let agents = sockets::of(&plan, names);
    let revision = plan.revision();
    let runtime = plan.settings.runtime;
    let shards = plan.cpus.into_iter().zip(senders).zip(cells);
    Options {
        shards: shards
            .map(|((cpu, audit), cells)| ShardOptions { cpu, audit, cells, timings: None })
            .collect(),
        revision,
        agents,
        connections_max: runtime.connections_max,
        memory_max: plan.memory_max,
        drain_timeout: Duration::from_secs(runtime.drain_timeout_s),
    }
}

fn payload(payload: Payload) -> audit::Payload {
    match payload {
        Payload::None => audit::Payload::None,
        Payload::Hash => audit::Payload::Hash,
        Payload::Redacted => audit::Payload::Redacted,
    }
}

/// Two descriptors a connection: as many as may be had.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // The limit as it was is what `doctor` warns of.
    let _ = setrlimit(Resource::Nofile, limit);
}
