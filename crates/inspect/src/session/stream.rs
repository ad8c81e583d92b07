//! Messages larger than `max-held-size`: they leave in fragments as they are inspected, and what is held of them is bounded.

use wsi_policy::Direction;
use wsi_ws::{Message, Opcode};

use super::{
    Context, Session,
    message::{Judged, mask_key},
};
use crate::{
    event::EventSink,
    half::StreamState,
    pipeline::{Subject, Surroundings, Verdict},
    stage::rate::Rated,
    transmit::OwnedFrame,
};

/// Smaller parts are not sent on their own: each costs a header, a send and a copy of what is held back.
const PART_SIZE_MIN: usize = 64 << 10;

impl Session {
    /// A part of a message has been added to what is held of it. If it has become too large to be held, the part is inspected,
    /// and leaves but for the bytes in which a match may have begun.
    pub(super) fn stream<S: EventSink>(
        &mut self,
        direction: Direction,
        context: &mut Context<'_, S>,
    ) -> Judged {
        let half = &mut self.halves[direction.index()];
        let plan = half.engine.plan(direction);
        let Some((opcode, held)) = half.assembler.open_message() else { return Judged::Nothing };
        if half.stream.is_none() && !plan.stream.takes(opcode, held.len()) {
            return Judged::Nothing;
        }
        let state = half.stream.get_or_insert_default();
        let was_compressed = half.assembler.is_inflating();
        let subject = Subject::new(direction, opcode, &held[state.inspected..]);
        let subject = Subject { was_compressed, ..subject };
        let mut around = Surroundings {
            engine: &half.engine,
            rated: Rated {
                buckets: &mut half.buckets,
                ledger: self.ledger.as_deref_mut(),
                now_ns: context.now_ns,
            },
            worker: context.worker,
            sink: context.sink,
        };
        let verdict = state.stream.inspect(subject, false, &mut around);
        let Verdict::Allow(permit) = verdict else {
            return self.refuse(direction, verdict, context);
        };
        let ready = held.len().saturating_sub(plan.stream.hold_back_size);
        let part_size = if ready < PART_SIZE_MIN { 0 } else { ready };
        state.inspected = held.len() - part_size;
        if part_size == 0 {
            return Judged::Nothing;
        }
        let opcode = state.next_opcode(opcode);
        let Some(part) = half.assembler.take_front(part_size, || context.worker.spare()) else {
            return Judged::Nothing;
        };
        let key = mask_key(direction, context.worker);
        Judged::Owned(Box::new(OwnedFrame::from_part(permit, opcode, false, part, key)))
    }

    /// The message that left in parts is complete: `message` is what was held back of it.
    pub(super) fn end_stream<S: EventSink>(
        &mut self,
        direction: Direction,
        mut state: StreamState,
        message: Message,
        context: &mut Context<'_, S>,
    ) -> Judged {
        let half = &mut self.halves[direction.index()];
        let subject = Subject::new(direction, message.opcode, &message.payload()[state.inspected..]);
        let subject = Subject { was_compressed: message.was_compressed, ..subject };
        let mut around = Surroundings {
            engine: &half.engine,
            rated: Rated {
                buckets: &mut half.buckets,
                ledger: self.ledger.as_deref_mut(),
                now_ns: context.now_ns,
            },
            worker: context.worker,
            sink: context.sink,
        };
        let verdict = state.stream.inspect(subject, true, &mut around);
        let whole = Subject { size: state.stream.size(), ..subject };
        self.record_message(whole, message.fragments, &verdict, context);
        match verdict {
            Verdict::Allow(permit) => {
                let opcode = state.next_opcode(message.opcode);
                let key = mask_key(direction, context.worker);
                let part = message.into_buffer();
                Judged::Owned(Box::new(OwnedFrame::from_part(permit, opcode, true, part, key)))
            }
            verdict => {
                context.worker.recycle(message.into_buffer());
                self.refuse(direction, verdict, context)
            }
        }
    }
}

impl StreamState {
    /// The first part carries the message's opcode, the others continue it (RFC 6455 section 5.4).
    fn next_opcode(&mut self, opcode: Opcode) -> Opcode {
        if std::mem::replace(&mut self.has_left, true) { Opcode::Continuation } else { opcode }
    }
}
