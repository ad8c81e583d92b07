//! From a configuration to a running process, and to its end.

use std::{
    error::Error,
    fs::File,
    io,
    net::TcpListener,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::{Resource, getrlimit, setrlimit};
use wsi_config::Payload;
use wsi_dataplane::{Dataplane, Drainer, Options, ShardOptions};
use wsi_telemetry::{Exposition, Names, Reloads, ShardCells, audit};

use crate::{
    admin::{self, AdminServer, AdminState, Readiness, ReadinessCell},
    plan::Plan,
    reload::Reload,
    report,
    signals::Signals,
    sockets,
};

/// A process that serves.
pub(crate) struct Running {
    dataplane: Dataplane,
    audit: Option<AuditThread>,
    readiness: Arc<ReadinessCell>,
    admin: Option<AdminServer>,
    reload: Option<Reload>,
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
        let reload = path.map(|path| Reload::new(path.to_owned(), &plan, &names, &reloads));
        let is_agent_only = plan.settings.listeners.is_empty();
        let admin = plan.settings.admin.as_ref().map(|admin| bind_admin(admin.bind)).transpose()?;
        let file = plan.settings.audit.as_ref().map(|audit| audit::open(&audit.path)).transpose()?;

        let cells: Vec<_> = plan.cpus.iter().map(|_| Arc::new(ShardCells::new(&names))).collect();
        let payload =
            plan.settings.audit.as_ref().map_or(audit::Payload::None, |audit| payload(audit.payload));
        let (senders, receivers): (Vec<_>, Vec<_>) = plan
            .cpus
            .iter()
            .map(|_| audit::queue(audit::QUEUE_RECORDS_DEFAULT, payload))
            .map(|(sender, receiver)| (Some(sender).filter(|_| file.is_some()), receiver))
            .unzip();
        let writer = file.map(|file| audit_writer(receivers, &names, file));
        let counts = writer.as_ref().map(audit::Writer::counts).unwrap_or_default();
        let exposition =
            Exposition::new(Arc::clone(&names), cells.clone(), counts, reloads, env!("CARGO_PKG_VERSION"));

        let dataplane = Dataplane::start(options(plan, &names, senders, cells))?;
        let readiness = Arc::new(ReadinessCell::default());
        let metrics = Arc::new(move || exposition.render());
        let state = AdminState { metrics, readiness: Arc::clone(&readiness) };
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
        let (mut reload, reloader) = (self.reload.take(), self.dataplane.reloader());
        let on_reload = move || match reload.as_mut().map(|reload| reload.reload(&reloader)) {
            Some(Ok(done)) => eprintln!("{done}"),
            Some(Err(error)) => eprintln!("{error}\nnot reloaded: what held before still holds"),
            None => eprintln!("there is no file to read again"),
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

fn audit_writer(receivers: Vec<audit::Receiver>, names: &Arc<Names>, file: File) -> audit::Writer {
    audit::Writer::new(receivers, Arc::clone(names), Box::new(file)).with_failure_report(|error| {
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
    let served = plan.agents.iter().zip(&plan.engines).filter(|(agent, _)| agent.is_some());
    let sockets = served.map(|(_, engine)| engine.name().to_owned());
    Names::new(listeners.chain(sockets).collect(), plan.engines.iter().map(|engine| &**engine)).with_room()
}

fn options(
    mut plan: Plan,
    names: &Arc<Names>,
    senders: Vec<Option<audit::Sender>>,
    cells: Vec<Arc<ShardCells>>,
) -> Options {
    let agents = sockets::of(&mut plan, names);
    let revision = plan.revision();
    let runtime = plan.settings.runtime;
    let shards = plan.cpus.into_iter().zip(senders).zip(cells);
    Options {
        shards: shards.map(|((cpu, audit), cells)| ShardOptions { cpu, audit, cells }).collect(),
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
