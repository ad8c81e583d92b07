//! One client, its server, and how far they have come with each other.

use wsi_inspect::{Refusal, Role, Session, Upgrade};
use wsi_telemetry::audit::Origin;

use crate::{
    core::Core,
    leg::{Leg, Received},
    preface::Preface,
    sink::AuditSink,
    token::Key,
    upstream::{Attempt, ServerId},
};

/// How long a leg may take to end after ours has; every byte that it still takes gives it as long again.
const LINGER_NS: u64 = 2_000_000_000;
/// But no longer than this in all.
const LINGER_NS_MAX: u64 = 30_000_000_000;

/// A connection: at most two sockets, and no buffer while it is idle.
pub(crate) struct Connection {
    pub key: Key,
    pub origin: Origin,
    pub client: Leg,
    pub server: Option<Leg>,
    pub server_id: Option<ServerId>,
    pub phase: Phase,
    pub accepted_ns: u64,
    /// It came when there were too many.
    pub is_over_limit: bool,
    /// When the timer wheel will ask.
    pub scheduled_ns: u64,
    /// It waits in [`Core::again`].
    pub is_queued: bool,
    /// What it held when it was counted last, in bytes.
    held: u64,
}

pub(crate) enum Phase {
    /// The client's request is being read.
    Request {
        upgrade: Box<Upgrade>,
        deadline_ns: u64,
        /// A PROXY header comes first.
        preface: Option<Box<Preface>>,
    },
    /// A server is being connected to.
    Connecting(Box<Connecting>),
    /// The server's answer is being read.
    Response {
        upgrade: Box<Upgrade>,
        deadline_ns: u64,
    },
    Open(Box<Session>),
    /// What is pending is written, what still comes is thrown away.
    Closing {
        since_ns: u64,
        deadline_ns: u64,
    },
    Done,
}

pub(crate) struct Connecting {
    pub upgrade: Upgrade,
    pub request: Vec<u8>,
    pub attempt: Attempt,
    /// Of this attempt.
    pub attempt_deadline_ns: u64,
    /// Of the whole upgrade.
    pub deadline_ns: u64,
}

impl Connection {
    pub fn new(
        key: Key,
        origin: Origin,
        client: Leg,
        accepted_ns: u64,
        deadline_ns: u64,
        is_over_limit: bool,
        preface: Option<Box<Preface>>,
    ) -> Self {
        Self {
            key,
            origin,
            client,
            server: None,
            server_id: None,
            phase: Phase::Request { upgrade: Box::default(), deadline_ns, preface },
            accepted_ns,
            is_over_limit,
            scheduled_ns: u64::MAX,
            is_queued: false,
            held: 0,
        }
    }

    /// Waits for the request.
    pub fn start(&mut self, core: &mut Core) {
        self.client.watch(&mut core.ring);
        self.reschedule(core);
    }

    /// There may be something to read.
    pub fn on_readable(&mut self, role: Role, is_hung_up: bool, is_last: bool, core: &mut Core) {
        if let Some(leg) = self.leg(role) {
            leg.on_readable(is_hung_up, is_last, &mut core.ring);
        }
        self.advance(core);
    }

    /// A socket takes bytes again, or is connected.
    pub fn on_writable(&mut self, role: Role, core: &mut Core) {
        let Some(leg) = self.leg(role) else { return };
        leg.on_writable();
        if matches!(self.phase, Phase::Connecting(_)) && role == Role::Server {
            self.on_connected(core);
        } else if let Some(leg) = self.leg(role)
            && leg.flush(core.now_ns, &mut core.ring, &mut core.worker)
        {
            self.linger_on(core);
        }
        self.advance(core);
    }

    /// Does what can be done now, within the bounds of one turn.
    pub fn advance(&mut self, core: &mut Core) {
        match self.phase {
            Phase::Request { .. } => self.read_request(core),
            Phase::Connecting(_) => self.watch_for_early_end(core),
            Phase::Response { .. } => {
                self.watch_for_early_end(core);
                self.read_response(core);
            }
            Phase::Open(_) => {
                self.renew(core);
                self.relay(core);
            }
            Phase::Closing { .. } => self.discard(core),
            Phase::Done => {}
        }
        self.client.watch_unsent(&mut core.ring);
        if let Some(server) = &mut self.server {
            server.watch_unsent(&mut core.ring);
        }
        self.reschedule(core);
    }

    /// The timer wheel has come by.
    pub fn on_timer(&mut self, core: &mut Core) {
        self.scheduled_ns = u64::MAX;
        if self.deadline_ns() <= core.now_ns {
            match self.phase {
                Phase::Request { .. } | Phase::Connecting(_) | Phase::Response { .. } => {
                    self.opening_timeout(core);
                }
                Phase::Open(_) => self.session_timeout(core),
                Phase::Closing { .. } => self.phase = Phase::Done,
                Phase::Done => {}
            }
        }
        self.reschedule(core);
    }

    /// Goes by the policy that has taken the place of its own, if one has.
    #[inline]
    pub fn renew(&mut self, core: &mut Core) {
        if let Phase::Open(session) = &mut self.phase
            && let Some(engine) = core.engines.get(session.engine().index())
            && !session.goes_by(engine)
        {
            session.adopt(engine, core.now_ns);
        }
    }

    /// The process ends.
    pub fn drain(&mut self, core: &mut Core) {
        match &mut self.phase {
            Phase::Open(session) => {
                session.drain(core.now_ns);
                self.relay(core);
            }
            Phase::Request { .. } | Phase::Connecting(_) | Phase::Response { .. } => {
                self.begin_closing(core);
            }
            Phase::Closing { .. } | Phase::Done => {}
        }
        self.reschedule(core);
    }

    /// Counts what it holds. `false`: that has grown, and there is no room for it.
    #[inline]
    pub fn account(&mut self, core: &mut Core) -> bool {
        let now = self.memory_size();
        core.memory.account(std::mem::replace(&mut self.held, now), now)
    }

    /// Counts what it holds after it has acted; an upgrade for which there is no room is refused.
    #[inline]
    pub fn settle_memory(&mut self, core: &mut Core) {
        let is_opening =
            matches!(self.phase, Phase::Request { .. } | Phase::Connecting(_) | Phase::Response { .. });
        // Where a session has grown its relay has asked, but for close frames.
        if !self.account(core) && is_opening {
            self.refuse_for(Refusal::MemoryMax, core);
            self.account(core);
        }
    }

    fn memory_size(&self) -> u64 {
        let own = match &self.phase {
            Phase::Request { upgrade, preface, .. } => {
                upgrade.memory_size() + preface.as_ref().map_or(0, |preface| preface.memory_size())
            }
            Phase::Response { upgrade, .. } => upgrade.memory_size(),
            Phase::Connecting(connecting) => {
                connecting.upgrade.memory_size() + connecting.request.capacity() as u64
            }
            Phase::Open(session) => session.memory_size(),
            Phase::Closing { .. } | Phase::Done => 0,
        };
        own + self.client.memory_size() + self.server.as_ref().map_or(0, Leg::memory_size)
    }

    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// Lets go of everything that the ring or the shard hold for it.
    pub fn release(&mut self, core: &mut Core) {
        self.end_session(core);
        self.client.release(&mut core.ring);
        self.release_server(core);
        core.memory.account(self.held, 0);
    }

    pub fn release_server(&mut self, core: &mut Core) {
        if let Some(mut leg) = self.server.take() {
            leg.release(&mut core.ring);
        }
        if let Some(server) = self.server_id.take() {
            core.balancer.release(server);
        }
    }

    /// Nothing is relayed any more: flush both legs and end them.
    pub fn begin_closing(&mut self, core: &mut Core) {
        self.end_session(core);
        let now_ns = core.now_ns;
        self.phase = Phase::Closing { since_ns: now_ns, deadline_ns: now_ns + LINGER_NS };
        self.client.finish();
        if let Some(server) = &mut self.server {
            server.finish();
        }
        self.discard(core);
    }

    /// Tells the end of the session, if there is one.
    fn end_session(&mut self, core: &mut Core) {
        if let Phase::Open(session) = &mut self.phase {
            let age_ns = core.now_ns.saturating_sub(self.accepted_ns);
            session.end(&mut AuditSink { sender: &mut core.audit, origin: self.origin, age_ns });
            core.stats.sessions_closed += 1;
        }
    }

    pub fn leg(&mut self, role: Role) -> Option<&mut Leg> {
        match role {
            Role::Client => Some(&mut self.client),
            Role::Server => self.server.as_mut(),
        }
    }

    /// Asks for another turn: there is more to read than this one allowed.
    pub fn queue_again(&mut self, core: &mut Core) {
        if !self.is_queued {
            self.is_queued = true;
            core.again.push(self.key);
        }
    }

    /// Reads and throws away, so that the peer's last bytes don't turn our end into a reset.
    fn discard(&mut self, core: &mut Core) {
        let mut is_done = true;
        let mut has_more = false;
        for leg in [Some(&mut self.client), self.server.as_mut()].into_iter().flatten() {
            if leg.is_readable
                && let Received::Bytes(_) = leg.receive(&mut core.scratch)
            {
                has_more |= leg.is_readable;
            }
            is_done &= leg.is_done();
        }
        if is_done {
            self.phase = Phase::Done;
        } else if has_more {
            self.queue_again(core);
        }
    }

    fn linger_on(&mut self, core: &Core) {
        if let Phase::Closing { since_ns, deadline_ns } = &mut self.phase {
            *deadline_ns = (core.now_ns + LINGER_NS).min(*since_ns + LINGER_NS_MAX);
        }
    }

    fn deadline_ns(&self) -> u64 {
        match &self.phase {
            Phase::Request { deadline_ns, .. }
            | Phase::Response { deadline_ns, .. }
            | Phase::Closing { deadline_ns, .. } => *deadline_ns,
            Phase::Connecting(connecting) => connecting.attempt_deadline_ns.min(connecting.deadline_ns),
            Phase::Open(session) => session
                .deadline_ns()
                .min(self.stall_deadline_ns(Role::Client))
                .min(self.stall_deadline_ns(Role::Server)),
            Phase::Done => u64::MAX,
        }
    }

    /// Makes sure that the wheel asks in time; a deadline that moved later is found out when it asks.
    #[inline]
    fn reschedule(&mut self, core: &mut Core) {
        if !self.is_done() {
            core.timers.schedule(self.key, self.deadline_ns(), &mut self.scheduled_ns);
        }
    }
}
