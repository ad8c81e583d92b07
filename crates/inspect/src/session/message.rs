//! A frame's way through the session: put together, inspected, and made ready to leave.

use std::ops::Range;

use wsi_policy::{Direction, EventKind};
use wsi_ws::{Assembled, CloseCode, ClosePayload, HEADER_SIZE_MAX, Header, Message, Opcode, Piece};

use super::{
    Context, Session,
    roles::{initiator, sender},
};
use crate::{
    event::{Event, EventSink},
    half::Half,
    pipeline::{self, Permit, Subject, Verdict},
    rules::Breach,
    stage::rate::Rated,
    transmit::OwnedFrame,
    worker::Worker,
};

/// What is to happen with a frame that has been judged.
pub(super) enum Judged {
    Nothing,
    InPlace(Permit, Header, Range<usize>),
    Owned(Box<OwnedFrame>),
    /// Nothing, and its sender is owed an answer.
    Owed,
    Stop,
}

impl Session {
    /// `input` begins with the frame or the part of it that `piece` describes.
    #[inline]
    pub(super) fn handle_piece<S: EventSink>(
        &mut self,
        direction: Direction,
        piece: Piece,
        input: &[u8],
        context: &mut Context<'_, S>,
    ) -> Judged {
        let worker = &mut *context.worker;
        let half = &mut self.halves[direction.index()];
        let limits = half.engine.plan(direction).wire;
        let assembled = match half.assembler.accept(&piece, input, &limits, &mut || worker.spare()) {
            Ok(assembled) => assembled,
            Err(fault) => {
                self.fault(direction, fault, context);
                return Judged::Stop;
            }
        };
        if assembled != Assembled::Pending && !half.assembler.is_open() {
            half.message_began_ns = None;
        }
        let frame = 0..piece.payload.end;
        match assembled {
            Assembled::Pending => self.stream(direction, context),
            Assembled::InPlace(opcode) => {
                let subject = Subject::new(direction, opcode, &input[piece.payload.clone()]);
                match self.inspect_message(subject, 1, context) {
                    Verdict::Allow(permit) => {
                        match self.recompress(
                            direction,
                            subject.payload,
                            false,
                            context.now_ns,
                            context.worker,
                        ) {
                            Some(buffer) => compressed(permit, direction, opcode, buffer, context.worker),
                            None => Judged::InPlace(permit, piece.header, frame),
                        }
                    }
                    Verdict::Replace(permit, buffer) => {
                        self.replaced(direction, opcode, permit, buffer, false, context)
                    }
                    verdict => self.refuse(direction, verdict, context),
                }
            }
            Assembled::Message(message) => self.handle_message(direction, message, context),
            Assembled::ControlInPlace(opcode) => {
                match self.inspect_control(direction, opcode, &input[piece.payload.clone()], context) {
                    Verdict::Allow(permit) => Judged::InPlace(permit, piece.header, frame),
                    Verdict::Replace(permit, buffer) => {
                        replaced_control(permit, direction, opcode, buffer, context.worker)
                    }
                    verdict => self.refuse(direction, verdict, context),
                }
            }
            Assembled::Control { opcode, payload } => {
                match self.inspect_control(direction, opcode, &payload, context) {
                    Verdict::Allow(permit) => {
                        let key = mask_key(direction, context.worker);
                        Judged::Owned(Box::new(OwnedFrame::from_control(permit, opcode, &payload, key)))
                    }
                    Verdict::Replace(permit, buffer) => {
                        replaced_control(permit, direction, opcode, buffer, context.worker)
                    }
                    verdict => self.refuse(direction, verdict, context),
                }
            }
        }
    }

    fn handle_message<S: EventSink>(
        &mut self,
        direction: Direction,
        message: Message,
        context: &mut Context<'_, S>,
    ) -> Judged {
        let was_compressed = message.was_compressed;
        if was_compressed {
            self.deflated_ns = Some(context.now_ns);
        }
        if let Some(stream) = self.half(direction).stream.take() {
            return self.end_stream(direction, *stream, message, context);
        }
        let subject = Subject::new(direction, message.opcode, message.payload());
        let subject = Subject { was_compressed, ..subject };
        match self.inspect_message(subject, message.fragments, context) {
            Verdict::Allow(permit) => {
                let (payload, now_ns) = (message.payload(), context.now_ns);
                let buffer = self.recompress(direction, payload, was_compressed, now_ns, context.worker);
                if let Some(buffer) = buffer {
                    let opcode = message.opcode;
                    context.worker.recycle(message.into_buffer());
                    return compressed(permit, direction, opcode, buffer, context.worker);
                }
                let key = mask_key(direction, context.worker);
                Judged::Owned(Box::new(OwnedFrame::from_message(permit, message, key)))
            }
            Verdict::Replace(permit, buffer) => {
                let opcode = message.opcode;
                context.worker.recycle(message.into_buffer());
                self.replaced(direction, opcode, permit, buffer, was_compressed, context)
            }
            verdict => {
                context.worker.recycle(message.into_buffer());
                self.refuse(direction, verdict, context)
            }
        }
    }

    /// Makes a message ready to leave that is not what came.
    fn replaced<S: EventSink>(
        &mut self,
        direction: Direction,
        opcode: Opcode,
        permit: Permit,
        buffer: Vec<u8>,
        was_compressed: bool,
        context: &mut Context<'_, S>,
    ) -> Judged {
        let (payload, now_ns) = (&buffer[HEADER_SIZE_MAX..], context.now_ns);
        match self.recompress(direction, payload, was_compressed, now_ns, context.worker) {
            Some(smaller) => {
                context.worker.recycle(buffer);
                compressed(permit, direction, opcode, smaller, context.worker)
            }
            None => {
                let key = mask_key(direction, context.worker);
                Judged::Owned(Box::new(OwnedFrame::from_buffer(permit, opcode, buffer, key)))
            }
        }
    }

    /// The compressed payload behind room for a header, if the message is to leave so.
    #[inline]
    pub(super) fn recompress(
        &mut self,
        direction: Direction,
        payload: &[u8],
        was_compressed: bool,
        now_ns: u64,
        worker: &mut Worker,
    ) -> Option<Vec<u8>> {
        let recompressor = self.halves[direction.index()].recompressor.as_mut()?;
        let buffer = recompressor.compress(payload, was_compressed, || worker.spare());
        if buffer.is_some() {
            self.deflated_ns = Some(now_ns);
        } else if recompressor.is_held() {
            self.deflated_ns.get_or_insert(now_ns);
        }
        buffer
    }

    #[inline]
    fn inspect_message<S: EventSink>(
        &mut self,
        subject: Subject<'_>,
        fragments: u32,
        context: &mut Context<'_, S>,
    ) -> Verdict {
        let Half { engine, buckets, .. } = &mut self.halves[subject.direction.index()];
        let mut rated = Rated { buckets, ledger: self.ledger.as_deref_mut(), now_ns: context.now_ns };
        let verdict = pipeline::inspect_message(engine, subject, &mut rated, context.worker, context.sink);
        self.record_message(subject, fragments, &verdict, context);
        verdict
    }

    /// Counts and tells a message that has been inspected to its end.
    #[inline]
    pub(super) fn record_message<S: EventSink>(
        &mut self,
        subject: Subject<'_>,
        fragments: u32,
        verdict: &Verdict,
        context: &mut Context<'_, S>,
    ) {
        let Subject { direction, opcode, size, .. } = subject;
        self.totals.messages[direction.index()] += 1;
        self.totals.bytes[direction.index()] += size as u64;
        if let Some(stats) = context.worker.stats_mut(&self.engine) {
            stats.record_message(direction, size);
        }
        if self.engine.tells(EventKind::Message)
            && matches!(verdict, Verdict::Allow(_) | Verdict::Replace(..))
        {
            context.sink.event(Event::Message { direction, opcode, size, fragments });
        }
    }

    fn inspect_control<S: EventSink>(
        &mut self,
        direction: Direction,
        opcode: Opcode,
        payload: &[u8],
        context: &mut Context<'_, S>,
    ) -> Verdict {
        if let Some(stats) = context.worker.stats_mut(&self.engine) {
            stats.control_frames[direction.index()] += 1;
        }
        // A close comes once.
        let Half { engine, control, .. } = self.half(direction);
        if opcode != Opcode::Close && !control.take(&engine.control_rate, 1, context.now_ns) {
            self.breach(direction, Breach::ControlRate, context);
            return Verdict::Drop(None);
        }
        let content = match opcode {
            Opcode::Close => match ClosePayload::parse(payload) {
                Ok(_) => payload.get(2..).unwrap_or_default(),
                Err(fault) => {
                    self.fault(direction, fault, context);
                    return Verdict::Drop(None);
                }
            },
            _ => payload,
        };
        let subject = Subject::new(direction, opcode, content);
        let Half { engine, buckets, .. } = &mut self.halves[direction.index()];
        let mut rated = Rated { buckets, ledger: self.ledger.as_deref_mut(), now_ns: context.now_ns };
        let verdict = pipeline::inspect_control(engine, subject, &mut rated, context.worker, context.sink);
        match (verdict, opcode) {
            // A close can't be withheld without leaving the other side hanging: its reason condemns the connection.
            (Verdict::Drop(_), Opcode::Close) => Verdict::Close(CloseCode::POLICY_VIOLATION),
            (verdict @ (Verdict::Allow(_) | Verdict::Replace(..)), Opcode::Close) => {
                let code = ClosePayload::parse(payload).ok().and_then(|close| close.code);
                self.begin_closing(code, initiator(direction), context.now_ns);
                self.half(direction).is_closed = true;
                match (verdict, payload.get(..2)) {
                    // Its reason alone was inspected.
                    (Verdict::Replace(permit, mut buffer), Some(code)) => {
                        buffer.splice(HEADER_SIZE_MAX..HEADER_SIZE_MAX, code.iter().copied());
                        Verdict::Replace(permit, buffer)
                    }
                    (verdict, _) => verdict,
                }
            }
            (verdict @ (Verdict::Allow(_) | Verdict::Replace(..)), _) => {
                self.tell_control(direction, opcode, payload.len(), context);
                verdict
            }
            (verdict, _) => verdict,
        }
    }

    fn tell_control<S: EventSink>(
        &mut self,
        direction: Direction,
        opcode: Opcode,
        size: usize,
        context: &mut Context<'_, S>,
    ) {
        match opcode {
            Opcode::Ping if self.engine.tells(EventKind::Ping) => {
                context.sink.event(Event::Ping { direction, size })
            }
            Opcode::Pong if self.engine.tells(EventKind::Pong) => {
                context.sink.event(Event::Pong { direction, size })
            }
            _ => {}
        }
    }

    pub(super) fn refuse<S: EventSink>(
        &mut self,
        direction: Direction,
        verdict: Verdict,
        context: &mut Context<'_, S>,
    ) -> Judged {
        match verdict {
            Verdict::Close(code) => {
                let reasons = ("message violates the policy", "the other side's message violates the policy");
                self.close_both(code, reasons.0, reasons.1, sender(direction), context.now_ns);
                Judged::Stop
            }
            Verdict::Drop(Some(reply)) => self.owe_reply(direction, reply, context.worker),
            _ => Judged::Nothing,
        }
    }
}

fn replaced_control(
    permit: Permit,
    direction: Direction,
    opcode: Opcode,
    buffer: Vec<u8>,
    worker: &mut Worker,
) -> Judged {
    let key = mask_key(direction, worker);
    Judged::Owned(Box::new(OwnedFrame::from_buffer(permit, opcode, buffer, key)))
}

fn compressed(
    permit: Permit,
    direction: Direction,
    opcode: Opcode,
    buffer: Vec<u8>,
    worker: &mut Worker,
) -> Judged {
    let key = mask_key(direction, worker);
    Judged::Owned(Box::new(OwnedFrame::from_compressed(permit, opcode, buffer, key)))
}

/// Frames towards the server are masked with a key of our own (RFC 6455 section 5.3).
#[inline]
pub(super) fn mask_key(direction: Direction, worker: &mut Worker) -> Option<[u8; 4]> {
    (direction == Direction::ToServer).then(|| worker.mask_key())
}
