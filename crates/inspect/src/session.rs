//! One connection, both legs: bytes in, inspected bytes out.

use std::{ops::Range, sync::Arc};

use wsi_policy::{Action, Direction, EventKind, Mode};
use wsi_ws::{
    Assembled, CloseCode, ClosePayload, Header, Message, Opcode, Piece, ProtocolError, Role,
    deflate::Agreement,
};

use crate::{
    engine::Engine,
    event::{Event, EventSink, Initiator, Outcome, Totals, VerdictEvent},
    half::Half,
    pipeline::{self, Subject},
    rules::RuleId,
    transmit::{OwnedFrame, Run, Transmit},
    verdict::{Permit, Verdict},
    worker::Worker,
};

/// How long a peer may take to answer a close frame.
const CLOSE_TIMEOUT_NS: u64 = 5_000_000_000;
/// How long the memory of compression is kept for the next compressed message.
const DEFLATE_IDLE_NS: u64 = 60_000_000_000;

/// An open connection. It opens no sockets and reads no clock; times are nanoseconds on the caller's monotone clock.
///
/// - [`Session::handle_input`] takes what one endpoint sent and says what may go to the other, step by step: call it until
///   a step consumed everything and wants nothing sent.
/// - [`Session::poll_close`] gives the close frame of our own that an endpoint is to get; ask it for both after every `handle_*`
///   call. No more input is relayed then.
/// - [`Session::deadline_ns`] says when [`Session::handle_timeout`] is due.
/// - When [`Session::is_over`], flush both legs, shut both down and call [`Session::end`].
#[derive(Debug)]
pub struct Session {
    engine: Arc<Engine>,
    halves: [Half; 2],
    active_ns: u64,
    /// When a compressed message came or left last, while there is memory to give back.
    deflated_ns: Option<u64>,
    totals: Totals,
    /// Set by the first close frame, fault or end, whoever caused it.
    closing: Option<Closing>,
    /// Close frames of our own that are still to be sent, by the role of the endpoint that gets them.
    own_close: [Option<OwnClose>; 2],
}

/// What was agreed on about compression, leg by leg (RFC 7692). `None`: the leg speaks plain frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Legs {
    pub client: Option<Agreement>,
    pub server: Option<Agreement>,
}

#[derive(Clone, Copy, Debug)]
struct Closing {
    code: Option<CloseCode>,
    initiator: Initiator,
    since_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct OwnClose {
    code: CloseCode,
    reason: &'static str,
}

/// What one call of [`Session::handle_input`] did.
#[derive(Debug)]
pub struct Step {
    /// Bytes of the input that are done with, once `transmit` is sent.
    pub consumed: usize,
    /// For the other endpoint.
    pub transmit: Transmit,
}

/// Everything of the caller's that a session borrows for one call.
#[derive(Debug)]
pub struct Context<'a, S: EventSink> {
    pub now_ns: u64,
    pub worker: &'a mut Worker,
    pub sink: &'a mut S,
}

/// What is to happen with a frame that has been judged.
enum Judged {
    Nothing,
    InPlace(Permit, Header, Range<usize>),
    Owned(Box<OwnedFrame>),
    Stop,
}

impl Session {
    /// A session whose legs both speak plain frames.
    pub fn new(engine: Arc<Engine>, now_ns: u64) -> Self {
        Self::with_compression(engine, Legs::default(), now_ns)
    }

    pub fn with_compression(engine: Arc<Engine>, legs: Legs, now_ns: u64) -> Self {
        let halves = Direction::BOTH.map(|direction| {
            // Towards the server we compress as its client, and towards the client as its server.
            let (from, to) = match direction {
                Direction::ToServer => {
                    (legs.client.map(|leg| leg.by_client), legs.server.map(|leg| leg.by_client))
                }
                Direction::ToClient => {
                    (legs.server.map(|leg| leg.by_server), legs.client.map(|leg| leg.by_server))
                }
            };
            Half::new(direction, from, to, &engine, now_ns)
        });
        Self {
            engine,
            halves,
            active_ns: now_ns,
            deflated_ns: None,
            totals: Totals::default(),
            closing: None,
            own_close: [None; 2],
        }
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Bytes held of messages that are not complete.
    pub fn buffered_size(&self) -> usize {
        self.halves.iter().map(|half| half.assembler.buffered_size()).sum()
    }

    /// Takes bytes that travel in `direction`, unmasking and re-framing them where they lie.
    #[inline]
    pub fn handle_input<S: EventSink>(
        &mut self,
        direction: Direction,
        input: &mut [u8],
        context: &mut Context<'_, S>,
    ) -> Step {
        if let Some(frame) = self.half(direction).ready.take() {
            return Step { consumed: 0, transmit: Transmit::Owned(*frame) };
        }
        self.active_ns = context.now_ns;
        let mut run = Run::default();
        let mut at = 0;
        while self.reads(direction) {
            let piece = match self.half(direction).decoder.decode(&mut input[at..]) {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(fault) => {
                    self.fault(direction, fault, context);
                    break;
                }
            };
            let frame_at = at;
            at += piece.consumed;
            match self.handle_piece(direction, piece, &input[frame_at..], context) {
                Judged::Nothing => {}
                Judged::InPlace(permit, header, frame) => {
                    let header_size = frame.len() - header.payload_size as usize;
                    run.push(
                        permit,
                        input,
                        frame_at,
                        header_size,
                        header,
                        mask_key(direction, context.worker),
                    );
                }
                Judged::Owned(frame) if run.is_empty() => {
                    return Step { consumed: at, transmit: Transmit::Owned(*frame) };
                }
                Judged::Owned(frame) => {
                    self.half(direction).ready = Some(frame);
                    return Step { consumed: at, transmit: run.into() };
                }
                Judged::Stop => break,
            }
        }
        self.half(direction).watch_the_clock(context.now_ns);
        Step { consumed: input.len(), transmit: run.into() }
    }

    /// Input in `direction` waits because the other endpoint does not keep up: no fault of the sender's, so the time of its
    /// message begins anew when reading goes on.
    pub fn pause(&mut self, direction: Direction) {
        self.half(direction).message_began_ns = None;
    }

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

    /// When [`Session::handle_timeout`] is to be called at the latest.
    pub fn deadline_ns(&self) -> u64 {
        if let Some(closing) = self.closing {
            return closing.since_ns.saturating_add(CLOSE_TIMEOUT_NS);
        }
        let idle_ns = self.active_ns.saturating_add(self.engine.idle_timeout_ns);
        let release_ns = self.deflated_ns.map(|since_ns| since_ns.saturating_add(DEFLATE_IDLE_NS));
        let message_ns = self.halves.iter().filter_map(|half| half.message_began_ns);
        message_ns
            .map(|began_ns| began_ns.saturating_add(self.engine.message_timeout_ns))
            .chain(release_ns)
            .fold(idle_ns, u64::min)
    }

    /// Carries out what is due at `context.now_ns`; early calls do nothing.
    pub fn handle_timeout<S: EventSink>(&mut self, context: &mut Context<'_, S>) {
        let now_ns = context.now_ns;
        if now_ns < self.deadline_ns() {
            return;
        }
        if self.closing.is_some() {
            self.halves.iter_mut().for_each(|half| half.is_closed = true);
            return;
        }
        if self.deflated_ns.is_some_and(|since_ns| now_ns >= since_ns.saturating_add(DEFLATE_IDLE_NS)) {
            self.release();
            return self.handle_timeout(context);
        }
        let timeout_ns = self.engine.message_timeout_ns;
        let is_late = |half: &&Half| {
            half.message_began_ns.is_some_and(|began| now_ns >= began.saturating_add(timeout_ns))
        };
        match self.halves.iter().find(is_late).map(|half| half.direction) {
            Some(direction) => self.message_timeout(direction, context),
            None => self.close_both(CloseCode::GOING_AWAY, "idle", "idle", Role::Client, now_ns),
        }
    }

    /// The frame of our own that ends the leg of `role`, once. It comes after everything that was allowed before.
    pub fn poll_close(&mut self, role: Role, worker: &mut Worker) -> Option<OwnedFrame> {
        let close = self.own_close[role as usize].take()?;
        let key = (role == Role::Server).then(|| worker.mask_key());
        Some(OwnedFrame::own_close(close.code, close.reason, key))
    }

    /// Somebody has begun to end the connection.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Nothing more will be relayed in either direction.
    pub fn is_over(&self) -> bool {
        self.halves.iter().all(|half| half.is_closed && half.ready.is_none())
    }

    /// Tells that the connection has ended; call it once, at the very end.
    pub fn end<S: EventSink>(&mut self, sink: &mut S) {
        if self.engine.tells(EventKind::Close) {
            let (code, initiator) = match self.closing {
                Some(closing) => (closing.code, closing.initiator),
                None => (None, Initiator::Inspector),
            };
            sink.event(Event::Close { code, initiator, totals: self.totals });
        }
    }

    /// Gives back the memory of compression, but for windows that the next message may refer to.
    fn release(&mut self) {
        self.deflated_ns = None;
        for half in &mut self.halves {
            half.assembler.release();
            if let Some(recompressor) = &mut half.recompressor {
                recompressor.release();
            }
        }
    }

    fn half(&mut self, direction: Direction) -> &mut Half {
        &mut self.halves[direction.index()]
    }

    fn reads(&self, direction: Direction) -> bool {
        !self.halves[direction.index()].is_closed
    }

    fn is_inspector_closing(&self) -> bool {
        self.closing.is_some_and(|closing| closing.initiator == Initiator::Inspector)
    }

    /// `input` begins with the frame or the part of it that `piece` describes.
    #[inline]
    fn handle_piece<S: EventSink>(
        &mut self,
        direction: Direction,
        piece: Piece,
        input: &[u8],
        context: &mut Context<'_, S>,
    ) -> Judged {
        let limits = self.engine.plan(direction).wire;
        let worker = &mut *context.worker;
        let half = &mut self.halves[direction.index()];
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
            Assembled::Pending => Judged::Nothing,
            Assembled::InPlace(opcode) => {
                let subject = Subject { direction, opcode, payload: &input[piece.payload.clone()] };
                match self.inspect_message(subject, 1, context) {
                    Verdict::Allow(permit) => {
                        match self.recompress(direction, subject.payload, false, context) {
                            Some(buffer) => compressed(permit, direction, opcode, buffer, context.worker),
                            None => Judged::InPlace(permit, piece.header, frame),
                        }
                    }
                    verdict => self.refuse(direction, verdict, context.now_ns),
                }
            }
            Assembled::Message(message) => self.handle_message(direction, message, context),
            Assembled::ControlInPlace(opcode) => {
                match self.inspect_control(direction, opcode, &input[piece.payload.clone()], context) {
                    Verdict::Allow(permit) => Judged::InPlace(permit, piece.header, frame),
                    verdict => self.refuse(direction, verdict, context.now_ns),
                }
            }
            Assembled::Control { opcode, payload } => {
                match self.inspect_control(direction, opcode, &payload, context) {
                    Verdict::Allow(permit) => {
                        let key = mask_key(direction, context.worker);
                        Judged::Owned(Box::new(OwnedFrame::from_control(permit, opcode, &payload, key)))
                    }
                    verdict => self.refuse(direction, verdict, context.now_ns),
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
        let subject = Subject { direction, opcode: message.opcode, payload: message.payload() };
        let was_compressed = message.was_compressed;
        if was_compressed {
            self.deflated_ns = Some(context.now_ns);
        }
        match self.inspect_message(subject, message.fragments, context) {
            Verdict::Allow(permit) => {
                let buffer = self.recompress(direction, message.payload(), was_compressed, context);
                if let Some(buffer) = buffer {
                    let opcode = message.opcode;
                    context.worker.recycle(message.into_buffer());
                    return compressed(permit, direction, opcode, buffer, context.worker);
                }
                let key = mask_key(direction, context.worker);
                Judged::Owned(Box::new(OwnedFrame::from_message(permit, message, key)))
            }
            verdict => {
                context.worker.recycle(message.into_buffer());
                self.refuse(direction, verdict, context.now_ns)
            }
        }
    }

    /// The compressed payload behind room for a header, if the message is to leave so.
    #[inline]
    fn recompress<S: EventSink>(
        &mut self,
        direction: Direction,
        payload: &[u8],
        was_compressed: bool,
        context: &mut Context<'_, S>,
    ) -> Option<Vec<u8>> {
        let recompressor = self.halves[direction.index()].recompressor.as_mut()?;
        let worker = &mut *context.worker;
        let buffer = recompressor.compress(payload, was_compressed, || worker.spare());
        if buffer.is_some() {
            self.deflated_ns = Some(context.now_ns);
        } else if recompressor.is_held() {
            self.deflated_ns.get_or_insert(context.now_ns);
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
        let Subject { direction, opcode, payload } = subject;
        let buckets = &mut self.halves[direction.index()].buckets;
        let verdict = pipeline::inspect_message(
            &self.engine,
            subject,
            buckets,
            context.now_ns,
            context.worker,
            context.sink,
        );
        self.totals.messages[direction.index()] += 1;
        self.totals.bytes[direction.index()] += payload.len() as u64;
        if let Some(stats) = context.worker.stats_mut(&self.engine) {
            stats.record_message(direction, payload.len());
        }
        if self.engine.tells(EventKind::Message) && matches!(verdict, Verdict::Allow(_)) {
            context.sink.event(Event::Message { direction, opcode, size: payload.len(), fragments });
        }
        verdict
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
        let content = match opcode {
            Opcode::Close => match ClosePayload::parse(payload) {
                Ok(_) => payload.get(2..).unwrap_or_default(),
                Err(fault) => {
                    self.fault(direction, fault, context);
                    return Verdict::Drop;
                }
            },
            _ => payload,
        };
        let subject = Subject { direction, opcode, payload: content };
        let verdict = pipeline::inspect_control(&self.engine, subject, context.worker, context.sink);
        match (verdict, opcode) {
            // A close can't be withheld without leaving the other side hanging: its reason condemns the connection.
            (Verdict::Drop, Opcode::Close) => Verdict::Close(CloseCode::POLICY_VIOLATION),
            (Verdict::Allow(permit), Opcode::Close) => {
                let code = ClosePayload::parse(payload).ok().and_then(|close| close.code);
                self.begin_closing(code, initiator(direction), context.now_ns);
                self.half(direction).is_closed = true;
                Verdict::Allow(permit)
            }
            (Verdict::Allow(permit), _) => {
                self.tell_control(direction, opcode, payload.len(), context);
                Verdict::Allow(permit)
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

    fn refuse(&mut self, direction: Direction, verdict: Verdict, now_ns: u64) -> Judged {
        match verdict {
            Verdict::Close(code) => {
                let reasons = ("message violates the policy", "the other side's message violates the policy");
                self.close_both(code, reasons.0, reasons.1, sender(direction), now_ns);
                Judged::Stop
            }
            _ => Judged::Nothing,
        }
    }

    /// A broken protocol ends the connection in every mode: what follows can't be understood, so it can't be inspected.
    fn fault<S: EventSink>(
        &mut self,
        direction: Direction,
        fault: ProtocolError,
        context: &mut Context<'_, S>,
    ) {
        let plan = self.engine.plan(direction);
        let rule = match (fault, plan.size) {
            (ProtocolError::MessageTooBig, Some((_, rule))) => rule,
            _ => RuleId::protocol(fault),
        };
        let code = fault.close_code();
        self.tell_fault(direction, rule, code, &fault.to_string(), context);
        let reasons = ("frame violates the protocol", "the other side's frame violates the protocol");
        self.close_both(code, reasons.0, reasons.1, sender(direction), context.now_ns);
    }

    fn message_timeout<S: EventSink>(&mut self, direction: Direction, context: &mut Context<'_, S>) {
        let code = CloseCode::POLICY_VIOLATION;
        self.tell_fault(
            direction,
            RuleId::message_timeout(),
            code,
            "the message was not finished in time",
            context,
        );
        let reason = "message not finished in time";
        self.close_both(code, reason, reason, sender(direction), context.now_ns);
    }

    fn tell_fault<S: EventSink>(
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
    fn close_both(
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

    fn begin_closing(&mut self, code: Option<CloseCode>, initiator: Initiator, now_ns: u64) {
        self.closing.get_or_insert(Closing { code, initiator, since_ns: now_ns });
    }
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
fn mask_key(direction: Direction, worker: &mut Worker) -> Option<[u8; 4]> {
    (direction == Direction::ToServer).then(|| worker.mask_key())
}

const fn sender(direction: Direction) -> Role {
    match direction {
        Direction::ToServer => Role::Client,
        Direction::ToClient => Role::Server,
    }
}

const fn sends(role: Role) -> Direction {
    match role {
        Role::Client => Direction::ToServer,
        Role::Server => Direction::ToClient,
    }
}

const fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

const fn initiator(direction: Direction) -> Initiator {
    match direction {
        Direction::ToServer => Initiator::Client,
        Direction::ToClient => Initiator::Server,
    }
}
