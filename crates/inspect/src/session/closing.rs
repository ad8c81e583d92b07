//! How a session ends: faults, timeouts, ends of an endpoint, and the close frames of our own.

use wsi_policy::{Action, Direction, Mode};
use wsi_ws::{CloseCode, ProtocolError, Role};

use super::{
    Context, Session,
    roles::{other, sender, sends},
};
use crate::{
    event::{Event, EventSink, Initiator, Outcome, VerdictEvent},
    rules::{Breach, RuleId},
    transmit::OwnedFrame,
    worker::Worker,
};

#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    pub code: Option<CloseCode>,
    pub initiator: Initiator,
    pub since_ns: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct OwnClose {
    pub code: CloseCode,
    pub reason: &'static str,
}

impl Session {
    /// The endpoint `role` sends nothing more: its side of the connection has ended.
    pub fn handle_end<S: EventSink>(&mut self, role: Role, context: &mut Context<'_, S>) {
        let direction = sends(role);
        if self.half(direction).is_closed || self.is_inspector_closing() {
            return;
        }
        self.half(direction).is_closed = true;
        let (initiator, code, reason) = match role {
            Role::Client => (Initiator::Client, CloseCode::GOING_AWAY, "client is gone"),
            Role::Server => (Initiator::Server, CloseCode::INTERNAL_ERROR, "server is gone"),
        };
        // A close that the other side has begun is not answered any more; otherwise it is told.
        if self.closing.is_none() {
            self.own_close[other(role) as usize] = Some(OwnClose { code, reason });
        }
        self.begin_closing(None, initiator, context.now_ns);
        self.half(direction.reverse()).is_closed = true;
    }

    /// Closes both legs with 1001 because the process ends.
    pub fn drain(&mut self, now_ns: u64) {
        self.close_both(CloseCode::GOING_AWAY, "going away", "going away", Role::Client, now_ns);
    }

    /// The frame of our own that ends the leg of `role`, once. It comes after everything that was allowed before.
    pub fn poll_close(&mut self, role: Role, worker: &mut Worker) -> Option<OwnedFrame> {
        let close = self.own_close[role as usize].take()?;
        let key = (role == Role::Server).then(|| worker.mask_key());
        Some(OwnedFrame::own_close(close.code, close.reason, key))
    }

    /// A broken protocol ends the connection in every mode: what follows can't be understood, so it can't be inspected.
    pub(super) fn fault<S: EventSink>(
        &mut self,
        direction: Direction,
        fault: ProtocolError,
        context: &mut Context<'_, S>,
    ) {
        let plan = self.half(direction).engine.plan(direction);
        let rule = match (fault, plan.size) {
            (ProtocolError::MessageTooBig, Some((_, rule))) => rule,
            _ => RuleId::protocol(fault),
        };
        let code = fault.close_code();
        self.tell_fault(direction, rule, code, &fault.to_string(), context);
        let reasons = ("frame violates the protocol", "the other side's frame violates the protocol");
        self.close_both(code, reasons.0, reasons.1, sender(direction), context.now_ns);
    }

    /// A limit that holds in every mode: what is held must be bounded.
    pub(super) fn breach<S: EventSink>(
        &mut self,
        direction: Direction,
        breach: Breach,
        context: &mut Context<'_, S>,
    ) {
        let code = CloseCode::POLICY_VIOLATION;
        self.tell_fault(direction, RuleId::breach(breach), code, breach.text(), context);
        self.close_both(code, breach.text(), breach.text(), sender(direction), context.now_ns);
    }

    pub(super) fn tell_fault<S: EventSink>(
        &mut self,
        direction: Direction,
        rule: RuleId,
        code: CloseCode,
        detail: &str,
        context: &mut Context<'_, S>,
    ) {
        let size = self.half(direction).assembler.buffered_size();
        if let Some(stats) = context.worker.stats_mut(&self.engine) {
            stats.record_verdict(direction, rule);
        }
        context.sink.event(Event::Verdict(VerdictEvent {
            direction: Some(direction),
            opcode: None,
            size,
            rule,
            outcome: Outcome::Message(Action::Close(code)),
            mode: Mode::Enforce,
            detail,
            payload: &[],
            at: None,
        }));
    }

    /// Ends both legs with `code`; the `culprit` gets the first reason, the other endpoint the second.
    pub(super) fn close_both(
        &mut self,
        code: CloseCode,
        reason: &'static str,
        reason_other: &'static str,
        culprit: Role,
        now_ns: u64,
    ) {
        // An endpoint whose close has been passed on, or that has been sent one, gets no second close frame.
        for role in [Role::Client, Role::Server] {
            let was_sent = self.halves[sends(other(role)).index()].is_closed;
            if !was_sent {
                let reason = if role == culprit { reason } else { reason_other };
                self.own_close[role as usize] = Some(OwnClose { code, reason });
            }
        }
        self.closing = Some(Closing { code: Some(code), initiator: Initiator::Inspector, since_ns: now_ns });
        self.halves.iter_mut().for_each(|half| half.is_closed = true);
    }

    pub(super) fn begin_closing(&mut self, code: Option<CloseCode>, initiator: Initiator, now_ns: u64) {
        self.closing.get_or_insert(Closing { code, initiator, since_ns: now_ns });
    }
}
