//! The agent's sockets of one shard.

use std::{
    collections::VecDeque,
    io,
    os::unix::net::UnixStream,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
};

use wsi_agent::{Link, Sessions, SessionsOptions};
use wsi_inspect::Engine;

use super::{
    compiler::{Compiler, Done, Job},
    connection::{Around, Connection, Step},
    records::SocketRecords,
    socket::Bound,
};
use crate::{
    core::Core,
    ring::{Completion, Ring},
    table::Table,
    token::{Key, Token},
    wake::Wake,
};

/// Connections of proxies to one socket; each may hold a message of 16 MiB.
const LINKS_MAX: usize = 256;
/// Compiled configurations that are kept for the next connection that pushes one.
const COMPILED_MAX: usize = 4;
/// Faults that are printed in one second.
const FAULTS_PRINTED_MAX: u32 = 5;
const SECOND_NS: u64 = 1_000_000_000;

/// Sockets, their proxies' connections, and the WebSockets that these tell of.
pub(crate) struct Agents {
    servers: Vec<Server>,
    connections: Table<Connection>,
    again: Vec<Key>,
    compiler: Compiler,
    tell_done: Sender<Done>,
    done: Receiver<Done>,
    wake: Wake,
    printed: u32,
    printed_ns: u64,
}

/// One socket.
struct Server {
    bound: Bound,
    sessions: Sessions,
    engine: Arc<Engine>,
    links: usize,
    /// What the budget of the process knows that sessions hold, in bytes.
    accounted_size: u64,
    /// Accepting has ended and is to be asked for again.
    is_idle: bool,
    /// How often `engine` was another one.
    revision: u32,
    /// By the text of the configuration, the latest last.
    compiled: VecDeque<(Arc<str>, Arc<Engine>)>,
    /// Who waits for what is being compiled. Nobody: connections that go by it already, laid over an earlier file.
    waiting: Vec<(Arc<str>, Vec<Key>)>,
}

impl Agents {
    pub fn new(sockets: Vec<Bound>, engines: &[Arc<Engine>], compiler: Compiler, wake: Wake) -> Self {
        let server = |bound: Bound| {
            let engine = engines.get(bound.options.engine).cloned()?;
            let age_max = bound.options.age_max;
            let sessions = Sessions::new(SessionsOptions {
                engine: Arc::clone(&engine),
                sessions_max: bound.options.sessions_max,
                age_max_ns: age_max.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)),
            });
            Some(Server {
                bound,
                sessions,
                engine,
                links: 0,
                accounted_size: 0,
                is_idle: false,
                revision: 0,
                compiled: VecDeque::new(),
                waiting: Vec::new(),
            })
        };
        let (tell_done, done) = mpsc::channel();
        Self {
            servers: sockets.into_iter().filter_map(server).collect(),
            connections: Table::default(),
            again: Vec::new(),
            compiler,
            tell_done,
            done,
            wake,
            printed: 0,
            printed_ns: 0,
        }
    }

    /// # Errors
    /// The ring's.
    pub fn start(&mut self, ring: &mut Ring) -> io::Result<()> {
        for (number, server) in (0..).zip(&self.servers) {
            ring.accept(&server.bound.listener, Token::AgentAccept(number))?;
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Some proxy is connected.
    pub fn is_connected(&self) -> bool {
        self.connections.len() > 0
    }

    /// Some connection has more to do than the last turn allowed.
    pub fn is_busy(&self) -> bool {
        !self.again.is_empty()
    }

    pub fn on_accept(&mut self, socket: u32, completion: Completion, core: &mut Core) {
        let number = socket as usize;
        let Some(server) = self.servers.get_mut(number) else { return };
        server.is_idle |= completion.is_last();
        let Ok(stream) = completion.accepted_descriptor().map(UnixStream::from) else { return };
        core.stats.agent.links += 1;
        if server.links >= LINKS_MAX {
            return self.print(core.now_ns, "a proxy's connection is refused: there are 256 to this socket");
        }
        server.links += 1;
        let link = Link::new(&server.sessions);
        let made = self.connections.insert(|key| Box::new(Connection::new(stream, key, number, link)));
        let Some(connection) = made else { return };
        let key = connection.key;
        if !connection.watch(&mut core.ring) {
            self.remove(key, core);
        }
    }

    pub fn on_readable(&mut self, key: Key, completion: Completion, core: &mut Core) {
        let Some(connection) = self.connections.find(key) else { return };
        if connection.on_readable(completion, &mut core.ring) {
            self.advance(key, core);
        } else {
            self.remove(key, core);
        }
    }

    pub fn on_writable(&mut self, key: Key, core: &mut Core) {
        let Some(connection) = self.connections.find(key) else { return };
        match connection.on_writable(core) {
            Step::End => self.remove(key, core),
            _ => self.advance(key, core),
        }
    }

    /// Connections that had more to do than the last turn allowed.
    pub fn go_on(&mut self, core: &mut Core) {
        for key in std::mem::take(&mut self.again) {
            if let Some(connection) = self.connections.find(key) {
                connection.is_queued = false;
                self.advance(key, core);
            }
        }
    }

    /// Another thread has something: a configuration is compiled.
    pub fn on_wake(&mut self, core: &mut Core) {
        while let Ok(done) = self.done.try_recv() {
            self.settle(done, core);
        }
    }

    /// Policies of files have changed. What proxies have pushed is laid over them anew; until it is compiled, the earlier holds.
    pub fn adopt(&mut self, engines: &[Arc<Engine>], core: &mut Core) {
        for number in 0..self.servers.len() {
            let Some(server) = self.servers.get_mut(number) else { return };
            let Some(engine) = engines.get(server.bound.options.engine) else { continue };
            if Arc::ptr_eq(engine, &server.engine) {
                continue;
            }
            server.adopt(engine);
            let mut pushed: Vec<_> = server.sessions.pushed_v1().cloned().into_iter().collect();
            for key in self.connections.keys() {
                let Some(connection) = self.connections.find(key) else { continue };
                if connection.socket != number {
                    continue;
                }
                match connection.link.pushed() {
                    None => connection.link.adopt(Arc::clone(engine)),
                    Some(config) if pushed.contains(config) => {}
                    Some(config) => pushed.push(Arc::clone(config)),
                }
            }
            for config in pushed {
                self.compile(number, config, None, core);
            }
        }
    }

    /// Every 50 ms or so: deadlines, and counters.
    pub fn tick(&mut self, core: &mut Core) {
        for key in self.connections.keys() {
            let Some(connection) = self.connections.find(key) else { continue };
            let budget_ns = self.servers.get(connection.socket).map_or(0, |server| server.engine.budget_ns());
            if connection.is_overdue(core.now_ns, budget_ns) {
                core.stats.agent.late += 1;
                self.remove(key, core);
                self.print(core.now_ns, "a proxy does not read its answers; its connection is ended");
            }
        }
        let mut stats = wsi_agent::Stats::default();
        let mut sessions_open = 0;
        for (number, server) in (0..).zip(&mut self.servers) {
            if server.is_idle {
                let accepts = core.ring.accept(&server.bound.listener, Token::AgentAccept(number));
                server.is_idle = accepts.is_err();
            }
            let mut records = server.records(u64::from(number), &mut core.audit, (core.shard, core.now_ns));
            server.sessions.sweep(core.now_ns, &mut core.worker, &mut records);
            let own = server.sessions.stats();
            stats.frames += own.frames;
            stats.sessions_evicted += own.sessions_evicted;
            stats.sessions_idle += own.sessions_idle;
            stats.late += own.late;
            sessions_open += server.sessions.len() as u64;
        }
        let agent = &mut core.stats.agent;
        agent.frames = stats.frames;
        agent.sessions_evicted = stats.sessions_evicted;
        agent.sessions_idle = stats.sessions_idle;
        agent.late = stats.late;
        agent.sessions_open = sessions_open;
        agent.links_open = self.connections.len() as u64;
    }

    /// Leaves the paths to the next process. Proxies that are connected are served until they go, or the drain's time is up:
    /// an end that they see opens their circuit breakers.
    pub fn begin_drain(&mut self) {
        self.servers.iter_mut().for_each(|server| server.bound.unlink());
    }

    /// Ends everything.
    pub fn finish(&mut self, core: &mut Core) {
        for key in self.connections.keys() {
            self.remove(key, core);
        }
        for (number, server) in (0..).zip(&mut self.servers) {
            let mut records = server.records(number, &mut core.audit, (core.shard, core.now_ns));
            server.sessions.end_all(&mut records);
        }
    }

    /// Lets a connection act. A panic is a bug and ends this connection alone; its proxy gets no answer, so nothing passes.
    fn advance(&mut self, key: Key, core: &mut Core) {
        let Some(connection) = self.connections.find(key) else { return };
        let number = connection.socket;
        let Some(server) = self.servers.get_mut(number) else { return };
        let options = &server.bound.options;
        let (listener, policy) = (options.listener, u16::try_from(options.engine).unwrap_or(u16::MAX));
        let is_memory_full = core.memory.is_full();
        let step = panic::catch_unwind(AssertUnwindSafe(|| {
            let (sessions, socket) = (&mut server.sessions, number as u64);
            connection.advance(&mut Around { sessions, socket, listener, policy, is_memory_full, core })
        }));
        // What is refused here has grown in one step: the next one finds that there is no room.
        let sizes = (connection.buffered_size() as u64, server.sessions.buffered_size() as u64);
        core.memory.account(std::mem::replace(&mut connection.accounted_size, sizes.0), sizes.0);
        core.memory.account(std::mem::replace(&mut server.accounted_size, sizes.1), sizes.1);
        match step {
            Ok(Step::Wait) => {}
            Ok(Step::Again) => {
                if !connection.is_queued {
                    connection.is_queued = true;
                    self.again.push(key);
                }
            }
            Ok(Step::Configure(config)) => self.configure(key, number, config, core),
            Ok(Step::End) => self.remove(key, core),
            Ok(Step::NoMemory) => {
                self.remove(key, core);
                self.print(core.now_ns, "a proxy's connection is ended: max-memory is reached");
            }
            Ok(Step::Fault(fault)) => {
                core.stats.agent.faults += 1;
                self.remove(key, core);
                self.print(core.now_ns, &format!("a proxy's connection is ended: {fault}"));
            }
            Err(_) => {
                // The buffer may be lost with it.
                core.scratch.resize(crate::core::SCRATCH_SIZE, 0);
                core.stats.panics += 1;
                self.remove(key, core);
            }
        }
    }

    /// The same configuration comes over every connection, and again with each new one: it is compiled once.
    fn configure(&mut self, key: Key, number: usize, config: Arc<str>, core: &mut Core) {
        let Some(server) = self.servers.get_mut(number) else { return };
        if let Some((_, engine)) = server.compiled.iter().find(|(text, _)| *text == config) {
            let engine = Arc::clone(engine);
            return self.answer(key, Ok(engine), core);
        }
        self.compile(number, config, Some(key), core);
    }

    /// Has `config` compiled for `key`, or for connections that go by an earlier form of it.
    fn compile(&mut self, number: usize, config: Arc<str>, key: Option<Key>, core: &mut Core) {
        let Some(server) = self.servers.get_mut(number) else { return };
        if let Some((_, keys)) = server.waiting.iter_mut().find(|(text, _)| *text == config) {
            return keys.extend(key);
        }
        let job = Job {
            configurator: server.bound.options.configurator.clone(),
            socket: number,
            config: Arc::clone(&config),
            revision: server.revision,
            done: self.tell_done.clone(),
            wake: self.wake.clone(),
        };
        if self.compiler.take(job) {
            server.waiting.push((config, Vec::from_iter(key)));
            return;
        }
        match key {
            Some(key) => {
                self.answer(key, Err("too many configurations wait to be compiled; try again".into()), core);
            }
            None => self.print_kept(core.now_ns, "too many wait to be compiled"),
        }
    }

    fn settle(&mut self, done: Done, core: &mut Core) {
        let Done { socket, config, revision, result } = done;
        let result = result.and_then(|engine| match core.worker.adopt(&engine) {
            Ok(()) => Ok(engine),
            Err(error) => Err(error.to_string()),
        });
        let Some(server) = self.servers.get_mut(socket) else { return };
        let Some(place) = server.waiting.iter().position(|(text, _)| *text == config) else { return };
        let (_, keys) = server.waiting.swap_remove(place);
        if revision != server.revision {
            // It was laid over what the file said before.
            let mut keys = keys.into_iter();
            self.compile(socket, Arc::clone(&config), keys.next(), core);
            return keys.for_each(|key| self.compile(socket, Arc::clone(&config), Some(key), core));
        }
        match &result {
            Ok(engine) => {
                if server.compiled.len() == COMPILED_MAX {
                    server.compiled.pop_front();
                }
                server.compiled.push_back((Arc::clone(&config), Arc::clone(engine)));
                self.renew(socket, &config, engine);
            }
            Err(error) if keys.is_empty() => self.print_kept(core.now_ns, error),
            Err(_) => {}
        }
        for key in keys {
            self.answer(key, result.clone(), core);
        }
    }

    /// Connections whose proxies have pushed `config` go by `engine`, which it was compiled to.
    fn renew(&mut self, socket: usize, config: &Arc<str>, engine: &Arc<Engine>) {
        if let Some(server) = self.servers.get_mut(socket)
            && server.sessions.pushed_v1() == Some(config)
        {
            server.sessions.adopt_v1(Arc::clone(engine));
        }
        for key in self.connections.keys() {
            let Some(connection) = self.connections.find(key) else { continue };
            if connection.socket == socket && connection.link.pushed() == Some(config) {
                connection.link.adopt(Arc::clone(engine));
            }
        }
    }

    fn answer(&mut self, key: Key, result: Result<Arc<Engine>, String>, core: &mut Core) {
        core.stats.agent.configurations_refused += u64::from(result.is_err());
        let Some(connection) = self.connections.find(key) else { return };
        if let Some(server) = self.servers.get_mut(connection.socket) {
            connection.configured(result, &mut server.sessions);
            self.advance(key, core);
        }
    }

    fn remove(&mut self, key: Key, core: &mut Core) {
        let Some(mut connection) = self.connections.remove(key) else { return };
        connection.release(&mut core.ring);
        core.memory.account(connection.accounted_size, 0);
        if let Some(server) = self.servers.get_mut(connection.socket) {
            server.links -= 1;
        }
    }

    fn print_kept(&mut self, now_ns: u64, reason: &str) {
        self.print(
            now_ns,
            &format!(
                "what a proxy has pushed can't be laid over the new policy, and is judged by as before, until it connects again: {reason}"
            ),
        );
    }

    fn print(&mut self, now_ns: u64, text: &str) {
        if now_ns >= self.printed_ns.saturating_add(SECOND_NS) {
            (self.printed, self.printed_ns) = (0, now_ns);
        }
        self.printed += 1;
        if self.printed <= FAULTS_PRINTED_MAX {
            eprintln!("agent: {text}");
        }
    }
}

impl Server {
    /// Another policy of the file's, for what comes from now on and where nothing else was pushed.
    fn adopt(&mut self, engine: &Arc<Engine>) {
        self.engine = Arc::clone(engine);
        self.revision = self.revision.wrapping_add(1);
        self.compiled.clear();
        self.sessions.adopt(Arc::clone(engine));
    }

    fn records<'a>(
        &self,
        socket: u64,
        sender: &'a mut Option<wsi_telemetry::audit::Sender>,
        (shard, now_ns): (u16, u64),
    ) -> SocketRecords<'a> {
        let options = &self.bound.options;
        let policy = u16::try_from(options.engine).unwrap_or(u16::MAX);
        SocketRecords { sender, shard, socket, listener: options.listener, policy, now_ns }
    }
}
