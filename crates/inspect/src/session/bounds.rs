//! What a session holds and costs, and how it ends where its caller finds that to be too much.

use wsi_policy::Direction;
use wsi_ws::{CloseCode, Role};

use super::{
    Context, Session,
    roles::{other, sender, sends},
};
use crate::{
    event::{EventSink, Totals},
    half::Half,
    rules::{Breach, RuleId},
};

impl Session {
    /// The memory that is held for messages on their way, in bytes: what is reserved for those that are being put together, the
    /// state of patterns over those that leave in parts, windows of compression, a frame that is ready, and what rules remember.
    pub fn memory_size(&self) -> u64 {
        let of_half = |half: &Half| {
            let stream =
                half.stream.as_ref().map_or(0, |_| half.engine.plan(half.direction).stream_size_max());
            let recompressor = half.recompressor.as_ref().map_or(0, |each| each.memory_size());
            let ready = half.ready.as_ref().map_or(0, |frame| frame.memory_size());
            half.assembler.memory_size() + stream + recompressor + ready
        };
        let ledger = self.ledger.as_ref().map_or(0, |ledger| ledger.memory_size());
        self.halves.iter().map(of_half).sum::<u64>() + ledger
    }

    /// Messages and bytes that were inspected since the beginning.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// When bytes came last.
    pub fn active_ns(&self) -> u64 {
        self.active_ns
    }

    /// Bytes of payload that were inspected in `direction` since the beginning.
    pub fn inspected_size(&self, direction: Direction) -> u64 {
        self.totals.bytes[direction.index()]
    }

    /// The next step in `direction` sends a frame, whatever its input.
    pub fn is_ready(&self, direction: Direction) -> bool {
        self.halves[direction.index()].ready.is_some()
    }

    /// How long bytes may wait for an endpoint that takes none of them, in nanoseconds.
    pub fn write_timeout_ns(&self) -> u64 {
        self.engine.write_timeout_ns
    }

    /// The endpoint `role` has taken nothing for too long: both legs are closed.
    ///
    /// The stalled endpoint is at fault, and for that there is no better code than 1008 (it gets it if it ever reads on). The
    /// other one is not, so 1008 would accuse the wrong side; nor has anything failed here (1011). What it should know is that
    /// its peer can't be reached any more, "going away": 1001 (RFC 6455 section 7.4.1).
    pub fn handle_stalled<S: EventSink>(&mut self, role: Role, context: &mut Context<'_, S>) {
        let (detail, reason) = match role {
            Role::Client => ("the client did not read what waited for it", "client does not read"),
            Role::Server => ("the server did not read what waited for it", "server does not read"),
        };
        let (code, rule) = (CloseCode::POLICY_VIOLATION, RuleId::breach(Breach::WriteTimeout));
        self.tell_fault(sends(other(role)), rule, code, detail, context);
        self.close_both(code, Breach::WriteTimeout.text(), reason, role, context.now_ns);
        if let Some(close) = &mut self.own_close[other(role) as usize] {
            close.code = CloseCode::GOING_AWAY;
        }
    }

    /// What this session holds for `direction` has grown where the process may hold no more: both legs are closed with 1013, which
    /// asks to come back later.
    pub fn handle_memory_max<S: EventSink>(&mut self, direction: Direction, context: &mut Context<'_, S>) {
        let (code, text) = (CloseCode::TRY_AGAIN_LATER, Breach::MemoryMax.text());
        self.tell_fault(direction, RuleId::breach(Breach::MemoryMax), code, text, context);
        self.close_both(code, text, text, sender(direction), context.now_ns);
    }
}
