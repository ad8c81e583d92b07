//! A shard: the connections that one core accepted, and the loop that serves them.

use std::{
    io,
    net::TcpStream,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

use socket2::Socket;
use wsi_inspect::{Role, Worker};
use wsi_telemetry::{ShardCells, TIMED_EVERY, audit::Origin};

use crate::{
    agent::Agents,
    budget::{Budget, Holdings},
    connection::Connection,
    control::Question,
    core::{ConnectionCount, Core, SCRATCH_SIZE},
    leg::Leg,
    options::ShardOptions,
    revision::{Handover, Revision},
    ring::{Completion, Ring},
    table::Table,
    timer::{TICK_NS, Timers},
    token::{Key, Token},
    upstream::Balancer,
    wake::{Command, Wake},
};

/// Connections that are brought to another revision in one turn, beside those that act.
const RENEWED_PER_TURN_MAX: usize = 256;
/// How often counters are made visible to other threads.
const PUBLISH_NS: u64 = 50_000_000;

/// Runs on the thread that made it. [`Shard::turn`] serves everything that is ready; whoever drives it, an executor or a
/// plain thread, calls it until [`Shard::is_done`].
pub(crate) struct Shard {
    core: Core,
    table: Table<Connection>,
    agents: Agents,
    sockets: Vec<Socket>,
    wake: Wake,
    cells: Arc<ShardCells>,
    started: Instant,
    published_ns: u64,
    drain: Option<Drain>,
    drain_timeout: Duration,
    next_connection: u64,
    completions: Vec<Completion>,
    due: Vec<Key>,
    handovers: Receiver<Handover>,
    questions: Receiver<Question>,
    /// The one that is being answered.
    question: Option<Question>,
    /// Connections that were there when another revision came and may not have seen it yet.
    outdated: Vec<Key>,
    /// Listeners whose accept has ended and is to be asked for again at the next tick.
    idle_listeners: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Drain {
    deadline_ns: u64,
}

/// What all shards of a data plane have in common.
#[derive(Clone)]
pub(crate) struct Shared {
    pub revision: Revision,
    pub connections: ConnectionCount,
    pub memory: Budget,
    pub drain_timeout: Duration,
}

impl Shard {
    /// A shard that accepts from `sockets`, one for each listener.
    ///
    /// # Errors
    /// The kernel's, when it gives no ring or no randomness, or Hyperscan's.
    pub fn new(
        number: u16,
        options: ShardOptions,
        shared: Shared,
        sockets: Vec<Socket>,
        mut agents: Agents,
        wake: Wake,
        (handovers, questions): (Receiver<Handover>, Receiver<Question>),
    ) -> io::Result<Self> {
        let Revision { number: revision, listeners, upstreams, engines } = shared.revision;
        let started = Instant::now();
        let clock = Box::new(move || elapsed_ns(started));
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let mut worker =
            Worker::new(engines.iter().map(|engine| &**engine), seed, clock).map_err(io::Error::other)?;
        if let Some(mut timings) = options.timings {
            worker.time(TIMED_EVERY, move |timing| timings.send(timing));
        }
        let mut ring = Ring::new()?;
        for (listener, socket) in (0..).zip(&sockets) {
            ring.accept(socket, Token::Accept(listener))?;
        }
        ring.poll_readable(&wake, Token::Wake)?;
        agents.start(&mut ring)?;
        let core = Core {
            shard: number,
            now_ns: 0,
            arrived_ns: 0,
            ring,
            scratch: vec![0; SCRATCH_SIZE],
            worker,
            timers: Timers::new(0),
            balancer: Balancer::new(&upstreams),
            stats: Default::default(),
            audit: options.audit,
            revision,
            listeners,
            engines,
            again: Vec::new(),
            connections: shared.connections,
            memory: Holdings::new(shared.memory),
        };
        Ok(Self {
            core,
            table: Table::default(),
            agents,
            sockets,
            wake,
            cells: options.cells,
            started,
            published_ns: 0,
            drain: None,
            drain_timeout: shared.drain_timeout,
            next_connection: 0,
            completions: Vec::new(),
            due: Vec::new(),
            handovers,
            questions,
            question: None,
            outdated: Vec::new(),
            idle_listeners: Vec::new(),
        })
    }

    /// Waits until something is ready, a tick at most, and serves it all once.
    ///
    /// # Errors
    /// The ring is broken; nothing can be served any more.
    pub fn turn(&mut self) -> io::Result<()> {
        let has_work = !self.outdated.is_empty() || self.question.is_some();
        let is_busy = !self.core.again.is_empty() || has_work || self.agents.is_busy();
        let timeout = if is_busy { Duration::ZERO } else { Duration::from_nanos(TICK_NS) };
        // Proxies wait for answers with a deadline of their own, so it matters how long their events may have waited here.
        let busy_ns = if self.agents.is_empty() { 0 } else { elapsed_ns(self.started) - self.core.now_ns };
        let mut completions = std::mem::take(&mut self.completions);
        self.core.ring.wait(timeout, &mut completions)?;
        // The one time of this turn.
        self.core.now_ns = elapsed_ns(self.started);
        self.core.arrived_ns = self.core.now_ns.saturating_sub(busy_ns);
        self.core.stats.turns += 1;
        for completion in completions.drain(..) {
            self.handle(completion);
        }
        self.completions = completions;
        self.agents.go_on(&mut self.core);
        self.go_on();
        self.renew();
        self.answer();
        self.expire();
        self.core.memory.give_back();
        self.publish();
        Ok(())
    }

    /// Drained, and all connections have ended or run out of time.
    pub fn is_done(&self) -> bool {
        let is_empty = self.table.len() == 0 && !self.agents.is_connected();
        self.drain.is_some_and(|drain| is_empty || self.core.now_ns >= drain.deadline_ns)
    }

    /// Ends what is left, and publishes the last counts.
    pub fn finish(&mut self) {
        for key in self.table.keys() {
            self.remove(key);
        }
        self.agents.finish(&mut self.core);
        self.published_ns = 0;
        self.publish();
    }

    fn handle(&mut self, completion: Completion) {
        match completion.token {
            Token::Nobody => {}
            Token::Readable(..) | Token::Writable(..) | Token::AgentReadable(_) | Token::AgentWritable(_)
                if completion.is_cancelled() => {}
            Token::AgentAccept(socket) => self.agents.on_accept(socket, completion, &mut self.core),
            Token::AgentReadable(key) => self.agents.on_readable(key, completion, &mut self.core),
            Token::AgentWritable(key) => self.agents.on_writable(key, &mut self.core),
            Token::Wake => self.on_wake(completion.is_last()),
            Token::Accept(listener) => self.on_accept(listener, completion),
            Token::Readable(key, role) => self.with(key, |connection, core| {
                connection.on_readable(role, completion.is_hung_up(), completion.is_last(), core);
            }),
            Token::Writable(key, role) => {
                self.with(key, |connection, core| connection.on_writable(role, core));
            }
        }
    }

    /// Lets a connection act, and buries it if that was its end. A panic is a bug and ends this connection alone: nothing of
    /// it was sent on, and whatever the core shares between connections is whole between two calls or is made anew.
    #[inline]
    fn with(&mut self, key: Key, act: impl FnOnce(&mut Connection, &mut Core)) {
        let Some(connection) = self.table.find(key) else { return };
        let core = &mut self.core;
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            act(connection, core);
            connection.settle_memory(core);
            connection.is_done()
        }));
        if result.is_err() {
            self.core.stats.panics += 1;
        }
        if result.unwrap_or(true) {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(mut connection) = self.table.remove(key) {
            connection.release(&mut self.core);
            self.core.connections.close();
            self.core.stats.connections_open = self.table.len() as u64;
        }
    }

    fn on_accept(&mut self, listener: u32, completion: Completion) {
        if let Ok(stream) = completion.accepted() {
            self.accept(listener, stream);
        }
        if completion.is_last() {
            // Out of descriptors, most likely: asking again at once would spin.
            self.idle_listeners.push(listener);
        }
    }

    fn accept(&mut self, listener: u32, stream: TcpStream) {
        if self.drain.is_some() {
            return;
        }
        self.core.stats.accepted += 1;
        // A peer that is already gone has no address.
        let Ok(client) = stream.peer_addr() else { return };
        let Ok(is_within_limit) = self.core.connections.open() else {
            self.core.stats.refused_full += 1;
            return;
        };
        self.core.stats.refused_full += u64::from(!is_within_limit);
        let origin = Origin {
            shard: self.core.shard,
            connection: self.next_connection,
            client,
            listener: listener as u16,
            policy: None,
        };
        self.next_connection += 1;
        let now_ns = self.core.now_ns;
        let deadline_ns = now_ns.saturating_add(self.core.handshake_timeout_ns(listener as usize));
        let settings = self.core.listeners.get(listener as usize);
        // TLS begins behind the PROXY header.
        let tls = settings.filter(|each| !each.proxy_protocol).and_then(|each| each.tls.as_ref());
        let mut has_tls = true;
        let preface = settings.filter(|each| each.proxy_protocol).map(|_| Box::default());
        let inserted = self.table.insert(|key| {
            let mut leg = Leg::new(stream, key, Role::Client);
            if let Some(tls) = tls {
                has_tls = leg.accept_tls(tls, &[]).is_ok();
            }
            Box::new(Connection::new(key, origin, leg, now_ns, deadline_ns, !is_within_limit, preface))
        });
        match inserted {
            Some(connection) if has_tls => connection.start(&mut self.core),
            Some(connection) => {
                let key = connection.key;
                self.remove(key);
            }
            None => self.core.connections.close(),
        }
        self.core.stats.connections_open = self.table.len() as u64;
    }

    /// Connections that had more to do than the last turn allowed.
    fn go_on(&mut self) {
        for key in std::mem::take(&mut self.core.again) {
            self.with(key, |connection, core| {
                connection.is_queued = false;
                connection.advance(core);
            });
        }
    }

    fn expire(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.core.timers.expire(self.core.now_ns, &mut due);
        for key in due.drain(..) {
            self.with(key, |connection, core| {
                // An entry that was overtaken by an earlier one says nothing.
                if connection.scheduled_ns <= core.now_ns {
                    connection.on_timer(core);
                }
            });
        }
        self.due = due;
    }

    fn publish(&mut self) {
        if self.core.now_ns < self.published_ns + PUBLISH_NS && self.published_ns != 0 {
            return;
        }
        self.published_ns = self.core.now_ns.max(1);
        if let Some(audit) = &self.core.audit {
            self.core.stats.audit_lost = audit.lost();
        }
        self.agents.tick(&mut self.core);
        self.core.stats.bytes_held = self.core.memory.held();
        self.cells.publish(&self.core.worker, &self.core.stats);
        if self.drain.is_none() {
            for listener in std::mem::take(&mut self.idle_listeners) {
                if let Some(socket) = self.sockets.get(listener as usize)
                    && self.core.ring.accept(socket, Token::Accept(listener)).is_err()
                {
                    self.idle_listeners.push(listener);
                }
            }
        }
    }

    fn on_wake(&mut self, is_last: bool) {
        self.wake.clear();
        if is_last && self.core.ring.poll_readable(&self.wake, Token::Wake).is_err() {
            // A ring that takes no more entries ends the shard at its next wait.
            return;
        }
        self.agents.on_wake(&mut self.core);
        while let Ok(handover) = self.handovers.try_recv() {
            // Who asked may have lost patience.
            let _ = handover.answer.send(self.adopt(handover.revision));
        }
        if self.question.is_none() {
            self.question = self.questions.try_recv().ok();
        }
        if self.wake.command() == Command::Drain && self.drain.is_none() {
            self.begin_drain();
        }
    }

    /// Goes by another revision from now on. New upgrades see it at once, and an open connection when it acts next.
    fn adopt(&mut self, revision: Revision) -> Result<(), String> {
        for engine in revision.engines.iter() {
            if let Err(error) = self.core.worker.adopt(engine) {
                // What was fitted before is lost with it, and without it nothing can be inspected.
                for engine in self.core.engines.iter() {
                    self.core.worker.adopt(engine).map_err(|error| error.to_string())?;
                }
                return Err(error.to_string());
            }
        }
        self.agents.adopt(&revision.engines, &mut self.core);
        self.core.balancer.adopt(&revision.upstreams);
        self.core.revision = revision.number;
        if let Some(audit) = &mut self.core.audit {
            audit.set_revision(revision.number);
        }
        self.core.listeners = revision.listeners;
        self.core.engines = revision.engines;
        self.outdated = self.table.keys();
        Ok(())
    }

    /// Connections that do not act keep what they go by alive: it is taken from some of them in each turn.
    fn renew(&mut self) {
        let rest = self.outdated.len().saturating_sub(RENEWED_PER_TURN_MAX);
        for key in self.outdated.split_off(rest) {
            self.with(key, |connection, core| connection.renew(core));
        }
    }

    /// Looks further for what another thread has asked about.
    fn answer(&mut self) {
        let Some(mut question) = self.question.take() else { return };
        let mut closes = Vec::new();
        let is_done = question.go_on(&mut self.table, &self.core, &mut closes);
        for key in closes {
            self.with(key, |connection, core| connection.drain(core));
        }
        self.question = if is_done { self.questions.try_recv().ok() } else { Some(question) };
    }

    fn begin_drain(&mut self) {
        let timeout_ns = u64::try_from(self.drain_timeout.as_nanos()).unwrap_or(u64::MAX);
        self.drain = Some(Drain { deadline_ns: self.core.now_ns.saturating_add(timeout_ns) });
        self.agents.begin_drain();
        for socket in self.sockets.drain(..) {
            // Ends the accept in the ring, which would otherwise hold the socket open.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
        for key in self.table.keys() {
            self.with(key, |connection, core| connection.drain(core));
        }
    }
}

fn elapsed_ns(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
