//! The WebSockets that a proxy tells of, by correlation id. A proxy never says that one has ended, so the table is
//! bounded: who was silent too long is forgotten, and when it is full, who was silent longest.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use wsi_inspect::{
    Engine, Worker,
    frames::{Anomaly, Frame, FrameSession, FrameVerdict, Offer, OfferRefused},
};
use wsi_policy::Direction;
use wsi_ws::CloseCode;

use crate::{
    CorrelationId, Version,
    link::{Context, Peer, Records},
};

/// Sessions that one sweep looks at.
const SWEEP_MAX: usize = 1_000;
/// Entries of the queue that may belong to no session any more, beside as many as there are sessions.
const STALE_MAX: usize = 4_096;

/// The sessions of one socket.
#[derive(Debug)]
pub struct Sessions {
    entries: HashMap<CorrelationId, Box<Entry>>,
    /// In the order in which they were last looked at. A session that has moved on since is put at the end when it comes to
    /// the front, so an event costs nothing here.
    queue: VecDeque<Turn>,
    options: SessionsOptions,
    /// Of connections of version 1, of which only the first is told a pushed configuration.
    engine_v1: Arc<Engine>,
    pushed_v1: Option<Arc<str>>,
    stats: Stats,
    next_connection: u64,
    /// Bytes held of messages that are not complete.
    buffered_size: usize,
}

/// What bounds the sessions.
#[derive(Clone, Debug)]
pub struct SessionsOptions {
    /// The policy of the file, where the proxy pushes none.
    pub engine: Arc<Engine>,
    pub sessions_max: usize,
    pub age_max_ns: Option<u64>,
}

/// Counts since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub frames: u64,
    pub sessions_opened: u64,
    /// Forgotten because the table was full.
    pub sessions_evicted: u64,
    /// Forgotten because they were silent too long.
    pub sessions_idle: u64,
    /// Answers that were not given because they came too late.
    pub late: u64,
}

#[derive(Debug)]
struct Entry {
    session: FrameSession,
    /// Until the answer to the upgrade has come.
    offer: Option<Offer>,
    /// The next frame's index, by [`Direction::index`]. `None`: the beginning was not seen.
    next: [Option<u64>; 2],
    peer: Peer,
    active_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    id: CorrelationId,
    /// An id may come again.
    connection: u64,
    at_ns: u64,
}

/// One frame's event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameOf<'a> {
    pub id: Option<CorrelationId>,
    pub version: Version,
    pub index: u64,
    pub client_ip: Option<IpAddr>,
    pub frame: Frame<'a>,
}

impl Sessions {
    pub fn new(options: SessionsOptions) -> Self {
        let engine_v1 = Arc::clone(&options.engine);
        Self {
            entries: HashMap::new(),
            queue: VecDeque::new(),
            options,
            engine_v1,
            pushed_v1: None,
            stats: Stats::default(),
            next_connection: 0,
            buffered_size: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes held of messages that are not complete.
    pub fn buffered_size(&self) -> usize {
        self.buffered_size
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.options.engine
    }

    pub(crate) fn engine_v1(&self) -> &Arc<Engine> {
        &self.engine_v1
    }

    /// What a proxy has pushed over connections of version 1 (JSON).
    pub fn pushed_v1(&self) -> Option<&Arc<str>> {
        self.pushed_v1.as_ref()
    }

    pub(crate) fn set_v1(&mut self, engine: Arc<Engine>, pushed: Option<Arc<str>>) {
        (self.engine_v1, self.pushed_v1) = (engine, pushed);
    }

    /// The file's policy is another one. Where a proxy has pushed its own, that stays until it is laid over this one:
    /// [`Sessions::adopt_v1`], [`Link::adopt`](crate::Link::adopt).
    pub fn adopt(&mut self, engine: Arc<Engine>) {
        if self.pushed_v1.is_none() {
            self.engine_v1 = Arc::clone(&engine);
        }
        self.options.engine = engine;
    }

    /// Connections of version 1 go by another policy.
    pub fn adopt_v1(&mut self, engine: Arc<Engine>) {
        self.engine_v1 = engine;
    }

    /// Judges an upgrade, given as an HTTP/1.1 head.
    pub(crate) fn handle_request<R: Records>(
        &mut self,
        id: Option<CorrelationId>,
        client: SocketAddr,
        head: &[u8],
        engine: &Arc<Engine>,
        version: Version,
        context: &mut Context<'_, R>,
    ) -> Result<(), OfferRefused> {
        let peer = self.next_peer(client, context.now_ns);
        let anomaly = match id {
            Some(id) if is_trusted(id, version) => {
                self.is_live(id, context.now_ns).then_some(Anomaly::IdLive)
            }
            _ => Some(Anomaly::IdShape),
        };
        let id = match (anomaly, id) {
            (None, Some(id)) => id,
            (anomaly, _) => {
                let anomaly = anomaly.unwrap_or(Anomaly::IdShape);
                return Err(
                    context.inspecting(peer, |context| Offer::refuse_anomaly(engine, anomaly, context))
                );
            }
        };
        let offer = context.inspecting(peer, |context| Offer::judge(engine, head, context))?;
        let mut session = FrameSession::new(Arc::clone(engine), context.now_ns);
        session.belong_to(client.ip());
        self.insert(id, session, Some(offer), [Some(0); 2], peer, context);
        Ok(())
    }

    /// Judges the answer to a request.
    pub(crate) fn handle_response<'a, R: Records>(
        &mut self,
        id: Option<CorrelationId>,
        status: u16,
        fields: impl Iterator<Item = (&'a str, &'a str)> + Clone,
        engine: &Engine,
        context: &mut Context<'_, R>,
    ) -> Result<(), OfferRefused> {
        let Some((id, entry)) = id.and_then(|id| Some((id, self.entries.get_mut(&id)?))) else {
            if status != 101 {
                return Ok(());
            }
            // The request was not told, so only what no request may lead to can be refused.
            let peer = self.next_peer(SocketAddr::new(NOWHERE, 0), context.now_ns);
            return context.inspecting(peer, |context| Offer::judge_unasked(engine, fields, context));
        };
        let Some(offer) = entry.offer.take() else { return Ok(()) };
        let engine = Arc::clone(entry.session.engine());
        let result = context
            .inspecting(entry.peer, |context| offer.judge_answer(&engine, status, fields.clone(), context));
        if result.is_err() || status != 101 {
            self.entries.remove(&id);
        } else if let Some((_, name)) =
            fields.clone().find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"))
        {
            entry.session.agree(name);
        }
        result
    }

    /// Judges a frame.
    pub(crate) fn handle_frame<R: Records>(
        &mut self,
        event: FrameOf<'_>,
        engine: &Arc<Engine>,
        context: &mut Context<'_, R>,
    ) -> FrameVerdict {
        self.stats.frames += 1;
        let now_ns = context.now_ns;
        let known = event.id.filter(|id| self.entries.contains_key(id));
        let Some(id) = known.or_else(|| self.begin_unannounced(event, engine, context)) else {
            return self.refuse_unknown(event, engine, context);
        };
        let Some(entry) = self.entries.get_mut(&id) else { return UNKNOWN };
        entry.active_ns = now_ns;
        let (held_before, is_memory_full) = (entry.session.buffered_size(), context.is_memory_full);
        entry.session.adopt(engine, now_ns);
        let age_max_ns = self.options.age_max_ns;
        let verdict = context.inspecting(entry.peer, |context| {
            if let Some(offer) = entry.offer.take() {
                offer.open(entry.session.engine(), None, context);
            }
            let direction = event.frame.direction;
            let next = &mut entry.next[direction.index()];
            let expected = next.unwrap_or(event.index);
            if event.index > expected && entry.session.engine().fails_open() {
                entry.session.skip(direction, context);
            } else if event.index != expected {
                return entry.session.condemn(Anomaly::FrameIndex, direction, context);
            }
            *next = Some(event.index.saturating_add(1));
            if age_max_ns.is_some_and(|max| now_ns.saturating_sub(entry.peer.started_ns) > max) {
                return entry.session.condemn(Anomaly::TooOld, direction, context);
            }
            let verdict = entry.session.handle_frame(event.frame, context);
            if is_memory_full && entry.session.buffered_size() > held_before {
                return entry.session.condemn(Anomaly::MemoryFull, direction, context);
            }
            verdict
        });
        self.buffered_size = self.buffered_size - held_before + entry.session.buffered_size();
        if entry.session.is_over() {
            self.end(id, context);
        }
        verdict
    }

    /// The answer to an event of `id` was not ready in time and is not given. The proxy goes on by its own `failure-mode`;
    /// unless the policy's is open too, nothing more of the connection passes.
    pub(crate) fn handle_late<R: Records>(
        &mut self,
        id: Option<CorrelationId>,
        direction: Direction,
        context: &mut Context<'_, R>,
    ) {
        self.stats.late += 1;
        if let Some(entry) = id.and_then(|id| self.entries.get_mut(&id))
            && !entry.session.engine().fails_open()
        {
            let session = &mut entry.session;
            self.buffered_size -= session.buffered_size();
            context.inspecting(entry.peer, |context| session.condemn(Anomaly::Late, direction, context));
        }
    }

    /// The proxy says that a connection has ended.
    pub(crate) fn end<R: Records>(&mut self, id: CorrelationId, context: &mut Context<'_, R>) {
        if let Some(mut entry) = self.entries.remove(&id) {
            self.buffered_size -= entry.session.buffered_size();
            entry.session.end(&mut context.records.sink(entry.peer));
        }
    }

    /// Forgets sessions that were silent too long; to be called a few times a second.
    pub fn sweep<R: Records>(&mut self, now_ns: u64, worker: &mut Worker, records: &mut R) {
        let mut context = Context { now_ns, arrived_ns: now_ns, is_memory_full: false, worker, records };
        for _ in 0..SWEEP_MAX {
            let idle_ns = self.options.engine.idle_timeout_ns();
            let is_due = |turn: &Turn| turn.at_ns.saturating_add(idle_ns) <= now_ns;
            let Some(turn) = self.queue.front().copied().filter(is_due) else { return };
            self.queue.pop_front();
            let Some(active_ns) = self.active_ns(turn) else { continue };
            if active_ns.saturating_add(idle_ns) <= now_ns {
                self.stats.sessions_idle += 1;
                self.end(turn.id, &mut context);
            } else {
                self.queue.push_back(Turn { at_ns: active_ns, ..turn });
            }
        }
    }

    /// Tells the end of all sessions: nothing more will be heard of them.
    pub fn end_all<R: Records>(&mut self, records: &mut R) {
        self.buffered_size = 0;
        for (_, mut entry) in self.entries.drain() {
            entry.session.end(&mut records.sink(entry.peer));
        }
    }

    /// A connection whose upgrade was not told: from its first frame on, or, where what can't be inspected may pass, from
    /// the middle.
    fn begin_unannounced<R: Records>(
        &mut self,
        event: FrameOf<'_>,
        engine: &Arc<Engine>,
        context: &mut Context<'_, R>,
    ) -> Option<CorrelationId> {
        let id = event.id.filter(|id| is_trusted(*id, event.version))?;
        let now_ns = context.now_ns;
        let (mut session, next) = if event.index == 0 {
            (FrameSession::new(Arc::clone(engine), now_ns), [Some(0); 2])
        } else if engine.fails_open() {
            (FrameSession::in_the_middle(Arc::clone(engine), now_ns), [None; 2])
        } else {
            return None;
        };
        let client = event.client_ip.unwrap_or(NOWHERE);
        session.belong_to(client);
        let peer = self.next_peer(SocketAddr::new(client, 0), now_ns);
        self.insert(id, session, None, next, peer, context);
        Some(id)
    }

    fn refuse_unknown<R: Records>(
        &mut self,
        event: FrameOf<'_>,
        engine: &Arc<Engine>,
        context: &mut Context<'_, R>,
    ) -> FrameVerdict {
        let peer = self.next_peer(SocketAddr::new(event.client_ip.unwrap_or(NOWHERE), 0), context.now_ns);
        let mut session = FrameSession::new(Arc::clone(engine), context.now_ns);
        context
            .inspecting(peer, |context| session.condemn(Anomaly::UnknownId, event.frame.direction, context))
    }

    /// An upgrade that was never answered is not alive.
    fn is_live(&self, id: CorrelationId, now_ns: u64) -> bool {
        self.entries.get(&id).is_some_and(|entry| {
            let answer_ns = entry.session.engine().handshake_timeout_ns();
            entry.offer.is_none() || now_ns < entry.peer.started_ns.saturating_add(answer_ns)
        })
    }

    fn insert<R: Records>(
        &mut self,
        id: CorrelationId,
        session: FrameSession,
        offer: Option<Offer>,
        next: [Option<u64>; 2],
        peer: Peer,
        context: &mut Context<'_, R>,
    ) {
        self.end(id, context);
        while self.entries.len() >= self.options.sessions_max.max(1) && self.evict(context) {}
        let now_ns = context.now_ns;
        let entry = Entry { session, offer, next, peer, active_ns: now_ns };
        self.entries.insert(id, Box::new(entry));
        self.stats.sessions_opened += 1;
        if self.queue.len() > 2 * self.entries.len() + STALE_MAX {
            let entries = &self.entries;
            self.queue.retain(|turn| is_of(entries, turn));
        }
        self.queue.push_back(Turn { id, connection: peer.connection, at_ns: now_ns });
    }

    /// Forgets the session that was silent longest, nearly. `false`: there is none.
    fn evict<R: Records>(&mut self, context: &mut Context<'_, R>) -> bool {
        while let Some(turn) = self.queue.pop_front() {
            let Some(active_ns) = self.active_ns(turn) else { continue };
            if active_ns > turn.at_ns {
                // At most once for each: the next look finds it as it is now.
                self.queue.push_back(Turn { at_ns: active_ns, ..turn });
                continue;
            }
            self.stats.sessions_evicted += 1;
            self.end(turn.id, context);
            return true;
        }
        false
    }

    fn active_ns(&self, turn: Turn) -> Option<u64> {
        self.entries
            .get(&turn.id)
            .filter(|entry| entry.peer.connection == turn.connection)
            .map(|e| e.active_ns)
    }

    fn next_peer(&mut self, client: SocketAddr, now_ns: u64) -> Peer {
        self.next_connection += 1;
        Peer { client, connection: self.next_connection - 1, started_ns: now_ns }
    }
}

const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const UNKNOWN: FrameVerdict =
    FrameVerdict::Close { code: CloseCode::POLICY_VIOLATION, reason: Anomaly::UnknownId.text() };

/// Version 1 matches answers by connection, so that there an id of any shape does no harm.
fn is_trusted(id: CorrelationId, version: Version) -> bool {
    version == Version::V1 || id.is_of_a_proxy()
}

fn is_of(entries: &HashMap<CorrelationId, Box<Entry>>, turn: &Turn) -> bool {
    entries.get(&turn.id).is_some_and(|entry| entry.peer.connection == turn.connection)
}
