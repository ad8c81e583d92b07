//! An open connection: read, inspect, send on, and stop reading when the other side does not keep up.

use wsi_inspect::{Context, Role, Transmit};
use wsi_policy::Direction;

use crate::{
    connection::{Connection, Phase},
    core::Core,
    leg::{Leg, Received},
    sink::AuditSink,
};

/// Reads of one direction in one turn: a flood on one connection can't starve the others of its shard.
const READS_PER_TURN_MAX: usize = 4;

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
        self.relay_input(Direction::ToClient, consumed, size, core);
        self.relay(core);
    }

    pub(crate) fn session_timeout(&mut self, core: &mut Core) {
        if let Phase::Open(session) = &mut self.phase {
            let mut sink = AuditSink { sender: &mut core.audit, origin: self.origin };
            let mut context = Context { now_ns: core.now_ns, worker: &mut core.worker, sink: &mut sink };
            session.handle_timeout(&mut context);
        }
        self.settle(core);
    }

    fn relay_direction(&mut self, direction: Direction, core: &mut Core) {
        for _ in 0..READS_PER_TURN_MAX {
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
                    core.stats.bytes_received[direction.index()] += size as u64;
                    self.relay_input(direction, 0, size, core);
                }
                Received::Nothing => return,
                Received::End => return self.source_ended(direction, core),
            }
        }
        if self.ends(direction).0.is_some_and(|source| source.is_readable) {
            self.queue_again(core);
        }
    }

    /// Inspects `scratch[at..end]` step by step and sends on what is allowed.
    fn relay_input(&mut self, direction: Direction, mut at: usize, end: usize, core: &mut Core) {
        let Phase::Open(session) = &mut self.phase else { return };
        let sink_leg = match direction {
            Direction::ToServer => self.server.as_mut(),
            Direction::ToClient => Some(&mut self.client),
        };
        let Some(sink_leg) = sink_leg else { return };
        let Core { scratch, worker, audit, ring, stats, now_ns, .. } = core;
        let mut sink = AuditSink { sender: audit, origin: self.origin };
        let mut context = Context { now_ns: *now_ns, worker, sink: &mut sink };
        loop {
            let input = &mut scratch[at..end];
            let step = session.handle_input(direction, input, &mut context);
            let sent = match step.transmit {
                Transmit::Nothing => 0,
                Transmit::InPlace(range) => {
                    let bytes = &input[range];
                    sink_leg.send(bytes, ring, context.worker);
                    bytes.len()
                }
                Transmit::Owned(frame) => {
                    let size = frame.bytes().len();
                    sink_leg.send_frame(frame, ring, context.worker);
                    size
                }
            };
            stats.bytes_sent[direction.index()] += sent as u64;
            at += step.consumed;
            if at == end && sent == 0 {
                return;
            }
        }
    }

    fn source_ended(&mut self, direction: Direction, core: &mut Core) {
        let role = match direction {
            Direction::ToServer => Role::Client,
            Direction::ToClient => Role::Server,
        };
        if let Phase::Open(session) = &mut self.phase {
            let mut sink = AuditSink { sender: &mut core.audit, origin: self.origin };
            let mut context = Context { now_ns: core.now_ns, worker: &mut core.worker, sink: &mut sink };
            session.handle_end(role, &mut context);
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
            if let (Some(frame), Some(leg)) = (session.poll_close(role, &mut core.worker), leg) {
                leg.send_frame(frame, &mut core.ring, &mut core.worker);
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
