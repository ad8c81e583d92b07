//! An open connection: read, inspect, send on, and stop reading when the other side does not keep up.

use wsi_inspect::{Context, Role, Session, Transmit, Worker};
use wsi_policy::Direction;

use crate::{
    connection::{Connection, Phase},
    core::Core,
    leg::{Leg, Received},
    ring::Ring,
    sink::AuditSink,
    turn::Allowance,
};

impl Connection {
    /// Relays what there is, both ways.
    #[inline]
    pub(crate) fn relay(&mut self, core: &mut Core) {
        for direction in Direction::BOTH {
            self.relay_direction(direction, core);
        }
        // A leg that turned deaf while the other was read has more to say, and nothing may announce it. If the other leg is
        // blocked, its flush will.
        let has_last_words = Direction::BOTH.into_iter().any(|direction| {
            let (source, sink) = self.ends(direction);
            source.is_some_and(|leg| leg.wants_reading()) && !sink.is_some_and(|leg| leg.is_blocked())
        });
        if has_last_words {
            self.queue_again(core);
        }
        self.settle(core);
    }

    /// What came in the same read as the server's answer, from `consumed` to `size` of the scratch.
    pub(crate) fn relay_first(&mut self, consumed: usize, size: usize, core: &mut Core) {
        self.relay_input(Direction::ToClient, consumed, size, &mut Allowance::default(), core);
        self.relay(core);
    }

    pub(crate) fn session_timeout(&mut self, core: &mut Core) {
        let mut has_flushed = false;
        for role in [Role::Client, Role::Server] {
            if self.stall_deadline_ns(role) > core.now_ns {
                continue;
            }
            // The kernel calls a socket writable only when a third of its buffer is free, which a slow reader may take
            // minutes for; but it takes what there is room for.
            let Some(leg) = self.leg(role) else { continue };
            if leg.flush(core.now_ns, &mut core.ring, &mut core.worker) {
                has_flushed = true;
            } else {
                self.with_session(core, |session, context| session.handle_stalled(role, context));
            }
        }
        self.with_session(core, |session, context| session.handle_timeout(context));
        if has_flushed { self.relay(core) } else { self.settle(core) }
    }

    /// When a leg that takes nothing is given up. A connection that is closing has a deadline of its own.
    #[inline]
    pub(crate) fn stall_deadline_ns(&self, role: Role) -> u64 {
        let leg = match role {
            Role::Client => Some(&self.client),
            Role::Server => self.server.as_ref(),
        };
        match (&self.phase, leg.and_then(Leg::waits_since_ns)) {
            (Phase::Open(session), Some(since_ns)) if !session.is_closing() => {
                since_ns.saturating_add(session.write_timeout_ns())
            }
            _ => u64::MAX,
        }
    }

    fn relay_direction(&mut self, direction: Direction, core: &mut Core) {
        let mut allowance = Allowance::default();
        while allowance.take_read() {
            let (Some(source), sink) = self.ends(direction) else { return };
            if !source.is_readable {
                return;
            }
            if sink.is_some_and(|leg| leg.is_blocked()) {
                // It stays readable and is read when the other leg has been flushed.
                core.stats.pauses += 1;
                if let Phase::Open(session) = &mut self.phase {
                    session.pause(direction);
                }
                return;
            }
            match source.receive(&mut core.scratch) {
                Received::Bytes(size) => {
                    self.relay_input(direction, 0, size, &mut allowance, core);
                    if !self.account(core) {
                        return self.refuse_memory(direction, core);
                    }
                }
                Received::Nothing => return,
                Received::End => return self.source_ended(direction, core),
            }
        }
        if self.ends(direction).0.is_some_and(|source| source.is_readable) {
            self.queue_again(core);
        }
    }

    /// Inspects `scratch[start..end]` step by step and sends on what is allowed. What the turn does not allow, or the other leg has
    /// no room for, goes back to the leg that it came from.
    fn relay_input(
        &mut self,
        direction: Direction,
        start: usize,
        end: usize,
        allowance: &mut Allowance,
        core: &mut Core,
    ) {
        let Phase::Open(session) = &mut self.phase else { return };
        let Some(server) = &mut self.server else { return };
        let (source_leg, sink_leg) = match direction {
            Direction::ToServer => (&mut self.client, server),
            Direction::ToClient => (server, &mut self.client),
        };
        let Core { scratch, worker, audit, ring, stats, now_ns, .. } = core;
        let age_ns = now_ns.saturating_sub(self.accepted_ns);
        let mut sink = AuditSink { sender: audit, origin: self.origin, age_ns };
        let mut context = Context { now_ns: *now_ns, worker, sink: &mut sink };
        let mut at = start;
        loop {
            let input = &mut scratch[at..end];
            let inspected_before = session.inspected_size(direction);
            let step = session.handle_input(direction, input, &mut context);
            let sent = match step.transmit {
                Transmit::Nothing => 0,
                Transmit::InPlace(range) => {
                    let bytes = &input[range];
                    sink_leg.send(bytes, *now_ns, ring, context.worker);
                    bytes.len()
                }
                Transmit::Owned(frame) => {
                    let size = frame.bytes().len();
                    sink_leg.send_frame(frame, *now_ns, ring, context.worker);
                    size
                }
            };
            stats.bytes_sent[direction.index()] += sent as u64;
            let replied = send_replies(session, source_leg, *now_ns, ring, context.worker);
            stats.bytes_sent[direction.reverse().index()] += replied as u64;
            // Of a message that leaves in parts, the parts show before the message counts.
            let inspected = (session.inspected_size(direction) - inspected_before).max(sent as u64);
            allowance.charge(step.frames, sent + replied > 0, inspected);
            at += step.consumed;
            if at == end && sent == 0 {
                break;
            }
            // A few bytes may inflate to many messages: not one more than the other leg takes.
            let must_wait = allowance.is_spent() || sink_leg.is_blocked();
            if must_wait && at < end && !session.is_ready(direction) {
                source_leg.unreceive(&scratch[at..end], context.worker);
                break;
            }
        }
        stats.bytes_received[direction.index()] += (at - start) as u64;
    }

    /// What it has just come to hold is more than there is: whatever can be let go of at once is.
    fn refuse_memory(&mut self, direction: Direction, core: &mut Core) {
        self.with_session(core, |session, context| session.handle_memory_max(direction, context));
        self.client.abandon();
        if let Some(server) = &mut self.server {
            server.abandon();
        }
    }

    fn source_ended(&mut self, direction: Direction, core: &mut Core) {
        let role = match direction {
            Direction::ToServer => Role::Client,
            Direction::ToClient => Role::Server,
        };
        self.with_session(core, |session, context| session.handle_end(role, context));
    }

    fn with_session(
        &mut self,
        core: &mut Core,
        act: impl FnOnce(&mut Session, &mut Context<'_, AuditSink<'_>>),
    ) {
        if let Phase::Open(session) = &mut self.phase {
            let age_ns = core.now_ns.saturating_sub(self.accepted_ns);
            let mut sink = AuditSink { sender: &mut core.audit, origin: self.origin, age_ns };
            act(session, &mut Context { now_ns: core.now_ns, worker: &mut core.worker, sink: &mut sink });
        }
    }

    /// Sends our own close frames and ends the connection when its session is over.
    fn settle(&mut self, core: &mut Core) {
        let Phase::Open(session) = &mut self.phase else { return };
        for role in [Role::Client, Role::Server] {
            let leg = match role {
                Role::Client => Some(&mut self.client),
                Role::Server => self.server.as_mut(),
            };
            let Some(leg) = leg else { continue };
            // Those that had to wait for the leg, or for a message that left in parts.
            let replied = send_replies(session, leg, core.now_ns, &mut core.ring, &mut core.worker);
            core.stats.bytes_sent[towards(role).index()] += replied as u64;
            if let Some(frame) = session.poll_close(role, &mut core.worker) {
                leg.send_frame(frame, core.now_ns, &mut core.ring, &mut core.worker);
            }
        }
        if session.is_over() {
            self.begin_closing(core);
        }
    }

    /// The leg that `direction` comes from, and the one that it goes to.
    fn ends(&mut self, direction: Direction) -> (Option<&mut Leg>, Option<&mut Leg>) {
        match direction {
            Direction::ToServer => (Some(&mut self.client), self.server.as_mut()),
            Direction::ToClient => (self.server.as_mut(), Some(&mut self.client)),
        }
    }
}

/// Answers the endpoint of `leg` for messages of its that were dropped, as far as it takes the answers. In bytes.
#[inline]
fn send_replies(
    session: &mut Session,
    leg: &mut Leg,
    now_ns: u64,
    ring: &mut Ring,
    worker: &mut Worker,
) -> usize {
    let mut sent = 0;
    while !leg.is_blocked()
        && let Some(frame) = session.poll_reply(leg.role(), now_ns, worker)
    {
        sent += frame.bytes().len();
        leg.send_frame(frame, now_ns, ring, worker);
    }
    sent
}

const fn towards(role: Role) -> Direction {
    match role {
        Role::Client => Direction::ToClient,
        Role::Server => Direction::ToServer,
    }
}
