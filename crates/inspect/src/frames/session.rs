//! An open connection of which a proxy tells the frames.

use std::{net::IpAddr, num::NonZeroU64, sync::Arc};

use wsi_policy::{Action, Direction, EventKind, Mode};
use wsi_ratelimit::Bucket;
use wsi_ws::{
    Assembled, Assembler, CloseCode, ClosePayload, Header, Message, Opcode, Piece, ProtocolError,
    frame::CONTROL_PAYLOAD_SIZE_MAX,
};

use super::{
    Anomaly,
    half::{FrameHalf, Rest},
    late::TooLateToDrop,
};
use crate::{
    engine::Engine,
    event::{Event, EventSink, Initiator, Outcome, Totals, VerdictEvent},
    ledger::Ledger,
    pipeline::{self, Permit, Subject, Verdict},
    rules::{Breach, RuleId},
    session::Context,
    stage::{self, rate::Rated},
};

/// How long a client that was told to go may go on sending before the connection is closed the hard way.
pub const GRACE_NS: u64 = 5_000_000_000;

/// The beginning of a message is scanned anew with every fragment up to this size, in bytes, and then whenever it has grown
/// by a quarter: so the work for a message stays in proportion to its size and to the number of its frames.
const RESCAN_SIZE: usize = 64 << 10;

/// A frame, complete and unmasked.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub direction: Direction,
    pub fin: bool,
    /// `None`: a reserved one.
    pub opcode: Option<Opcode>,
    pub payload: &'a [u8],
}

/// What is to be done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameVerdict {
    Allow,
    /// It is withheld, and the connection goes on.
    Drop,
    Close {
        code: CloseCode,
        /// At most 123 bytes.
        reason: &'static str,
    },
}

/// Follows one connection by its frames, in the order in which they travel in each direction.
#[derive(Debug)]
pub struct FrameSession {
    engine: Arc<Engine>,
    /// What the endpoints agreed on.
    subprotocol: Option<Box<str>>,
    halves: [FrameHalf; 2],
    ledger: Option<Box<Ledger>>,
    /// As [`Engine::client_key`] has it.
    client: NonZeroU64,
    totals: Totals,
    ending: Option<Ending>,
    /// Who sent the first close frame, and its code.
    closed_by: Option<(Initiator, Option<CloseCode>)>,
    has_told_end: bool,
}

/// The policy or the protocol has ended the connection.
#[derive(Clone, Copy, Debug)]
struct Ending {
    code: CloseCode,
    reason: &'static str,
    since_ns: u64,
    state: EndState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndState {
    /// The client is to get a close frame in place of the server's next frame.
    OwesClose,
    /// The client has got its close frame.
    Told,
    /// Whose frames these are is not known: everything is answered with close.
    Condemned,
}

impl FrameSession {
    pub fn new(engine: Arc<Engine>, now_ns: u64) -> Self {
        let halves = Direction::BOTH.map(|direction| FrameHalf::new(&engine, direction, now_ns));
        let client = engine.client_key(None);
        let ledger = Ledger::new(&engine, client, now_ns);
        Self {
            engine,
            subprotocol: None,
            halves,
            ledger,
            client,
            totals: Totals::default(),
            ending: None,
            closed_by: None,
            has_told_end: false,
        }
    }

    /// A connection whose beginning was not seen, under a policy that lets pass what can't be inspected: the rest of a message
    /// that is open passes with a counter, and all after it is inspected.
    pub fn in_the_middle(engine: Arc<Engine>, now_ns: u64) -> Self {
        let mut session = Self::new(engine, now_ns);
        session.halves.iter_mut().for_each(|half| half.rest = Rest::Missed);
        session
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Bytes held of messages that are not complete, and of what rules have come to remember.
    pub fn buffered_size(&self) -> usize {
        let ledger = self.ledger.as_ref().map_or(0, |ledger| ledger.memory_size());
        self.halves.iter().map(|half| half.assembler.buffered_size()).sum::<usize>() + ledger as usize
    }

    /// Whose connection it is, for limits that all connections of a client share. To be called before any frame.
    pub fn belong_to(&mut self, client: IpAddr) {
        self.client = self.engine.client_key(Some(client));
        if let Some(ledger) = &mut self.ledger {
            ledger.client = self.client;
        }
    }

    /// Both endpoints have sent a close frame.
    pub fn is_over(&self) -> bool {
        self.halves.iter().all(|half| half.is_closed)
    }

    /// The endpoints have agreed on a subprotocol, under which other rules may hold.
    pub fn agree(&mut self, subprotocol: &str) {
        self.engine = Arc::clone(self.engine.speaking(Some(subprotocol)));
        self.subprotocol = Some(subprotocol.into());
    }

    /// Goes on under `engine`, which takes the place of the present one, as soon as no message is open. Buckets keep what they
    /// hold unless their rates are others.
    pub fn adopt(&mut self, engine: &Arc<Engine>, now_ns: u64) {
        let engine = engine.speaking(self.subprotocol.as_deref());
        let is_between =
            self.halves.iter().all(|half| half.rest == Rest::Inspected && !half.assembler.is_open());
        if Arc::ptr_eq(&self.engine, engine) || !is_between {
            return;
        }
        for (half, direction) in self.halves.iter_mut().zip(Direction::BOTH) {
            let (before, after) = (self.engine.plan(direction), engine.plan(direction));
            if !stage::rate::are_alike(before, after) {
                half.buckets = stage::rate::buckets(after, now_ns);
            }
            if self.engine.control_rate != engine.control_rate {
                half.control = Bucket::full(&engine.control_rate, now_ns);
            }
        }
        self.ledger = Ledger::adopted(self.ledger.take(), engine, self.client, now_ns);
        self.engine = Arc::clone(engine);
    }

    /// Judges the next frame of its direction.
    #[inline]
    pub fn handle_frame<S: EventSink>(
        &mut self,
        frame: Frame<'_>,
        context: &mut Context<'_, S>,
    ) -> FrameVerdict {
        if let Some(ending) = self.ending {
            return self.after_the_end(ending, frame, context);
        }
        let half = &mut self.halves[frame.direction.index()];
        // What follows a close is not read (RFC 6455 section 5.5.1).
        if half.is_closed {
            return FrameVerdict::Drop;
        }
        let is_late = half.assembler.is_open()
            && context.now_ns >= half.message_began_ns.saturating_add(self.engine.message_timeout_ns);
        if is_late {
            return self.breach(frame.direction, Breach::MessageTimeout, context);
        }
        match frame.opcode {
            None => self.fault(frame.direction, ProtocolError::ReservedOpcode, context),
            Some(opcode) if opcode.is_control() => self.handle_control(frame, opcode, context),
            Some(opcode) => self.handle_data(frame, opcode, context),
        }
    }

    /// The connection can't be followed any more: from now on everything is answered with close.
    pub fn condemn<S: EventSink>(
        &mut self,
        anomaly: Anomaly,
        direction: Direction,
        context: &mut Context<'_, S>,
    ) -> FrameVerdict {
        let code = match anomaly {
            Anomaly::TooOld => CloseCode::GOING_AWAY,
            Anomaly::Late | Anomaly::MemoryFull => CloseCode::INTERNAL_ERROR,
            _ => CloseCode::POLICY_VIOLATION,
        };
        if self.ending.is_none_or(|ending| ending.state != EndState::Condemned) {
            self.tell_fault(direction, RuleId::anomaly(anomaly), code, anomaly.text(), context);
        }
        self.end_with(code, anomaly.text(), EndState::Condemned, context);
        FrameVerdict::Close { code, reason: anomaly.text() }
    }

    /// Frames in `direction` were not seen, and the policy lets pass what can't be inspected: they are taken to be the rest of
    /// one message, or whole ones.
    pub fn skip<S: EventSink>(&mut self, direction: Direction, context: &mut Context<'_, S>) {
        let half = &mut self.halves[direction.index()];
        half.assembler = Assembler::default();
        half.rest = Rest::Missed;
        if let Some(stats) = context.worker.stats_mut(&self.engine) {
            stats.passed_uninspected += 1;
        }
    }

    /// Tells that the connection has ended, if that was not told.
    pub fn end<S: EventSink>(&mut self, sink: &mut S) {
        let (initiator, code) = match (self.ending, self.closed_by) {
            (Some(ending), _) => (Initiator::Inspector, Some(ending.code)),
            (None, Some(closed)) => closed,
            (None, None) => (Initiator::Inspector, None),
        };
        if !self.has_told_end && self.engine.tells(EventKind::Close) {
            sink.event(Event::Close { code, initiator, totals: self.totals });
        }
        self.has_told_end = true;
    }

    fn handle_data<S: EventSink>(
        &mut self,
        frame: Frame<'_>,
        opcode: Opcode,
        context: &mut Context<'_, S>,
    ) -> FrameVerdict {
        let Frame { direction, fin, payload, .. } = frame;
        let limits = self.engine.plan(direction).wire;
        let half = &mut self.halves[direction.index()];
        if let Some(verdict) = half.continue_rest(opcode, fin) {
            if verdict == FrameVerdict::Allow
                && let Some(stats) = context.worker.stats_mut(&self.engine)
            {
                stats.passed_uninspected += 1;
            }
            return verdict;
        }
        if opcode != Opcode::Continuation {
            if half.rest == Rest::Dropped {
                return self.fault(direction, ProtocolError::NestedMessage, context);
            }
            half.rest = Rest::Inspected;
            half.scanned = 0;
            half.message_began_ns = context.now_ns;
        }
        let worker = &mut *context.worker;
        let piece = whole_frame(fin, opcode, payload);
        match half.assembler.accept(&piece, payload, &limits, &mut || worker.spare()) {
            Err(fault) => self.fault(direction, fault, context),
            Ok(Assembled::InPlace(opcode)) => {
                let subject = Subject::new(direction, opcode, payload).fixed();
                let verdict = self.inspect_message(subject, 1, context);
                self.carry_out(direction, verdict, context)
            }
            Ok(Assembled::Message(message)) => self.handle_message(direction, message, context),
            Ok(_) => self.handle_begun(direction, context),
        }
    }

    fn handle_message<S: EventSink>(
        &mut self,
        direction: Direction,
        message: Message,
        context: &mut Context<'_, S>,
    ) -> FrameVerdict {
        let subject = Subject::new(direction, message.opcode, message.payload()).fixed();
        let fragments = message.fragments;
        let verdict = match self.inspect_message(subject, fragments, context) {
            Verdict::Drop(_) if fragments > 1 => Verdict::Close(CloseCode::POLICY_VIOLATION),
            verdict => verdict,
        };
        context.worker.recycle(message.into_buffer());
        self.carry_out(direction, verdict, context)
    }

    /// A fragment has come, and more are to follow: it leaves now or never.
    fn handle_begun<S: EventSink>(
        &mut self,
        direction: Direction,
        context: &mut Context<'_, S>,
    ) -> FrameVerdict {
        let half = &mut self.halves[direction.index()];
        let fragments = half.assembler.open_fragments();
        let Some((opcode, payload)) = half.assembler.open_message() else {
            return FrameVerdict::Allow;
        };
        // Detect mode lets everything pass, and tells when the message is complete.
        let is_due = payload.len() <= RESCAN_SIZE || payload.len() >= half.scanned + half.scanned / 4;
        if self.engine.mode == Mode::Detect || !is_due || payload.len() == half.scanned {
            return FrameVerdict::Allow;
        }
        half.scanned = payload.len();
        let subject = Subject::new(direction, opcode, payload).fixed();
        let rated = &mut Rated {
            buckets: &mut half.buckets,
            ledger: self.ledger.as_deref_mut(),
            now_ns: context.now_ns,
        };
        let (worker, sink) = (&mut *context.worker, &mut *context.sink);
        match pipeline::inspect_begun(&self.engine, subject, fragments, rated, worker, sink) {
            None => FrameVerdict::Allow,
            Some(Verdict::Drop(_)) => {
                half.assembler = Assembler::default();
                half.rest = Rest::Dropped;
                FrameVerdict::Drop
            }
            Some(verdict) => self.carry_out(direction, verdict, context),
        }
    }

    #[inline]
    fn inspect_message<S: EventSink>(
        &mut self,
        subject: Subject<'_>,
        fragments: u32,
        context: &mut Context<'_, S>,
    ) -> Verdict {
        let Subject { direction, opcode, payload, .. } = subject;
        let rated = &mut Rated {
            buckets: &mut self.halves[direction.index()].buckets,
            ledger: self.ledger.as_deref_mut(),
            now_ns: context.now_ns,
        };
        let (engine, worker) = (&*self.engine, &mut *context.worker);
        let verdict = if fragments > 1 {
            let sink = &mut TooLateToDrop(context.sink);
            pipeline::inspect_message(engine, subject, rated, worker, sink)
        } else {
            pipeline::inspect_message(engine, subject, rated, worker, context.sink)
        };
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

    fn handle_control<S: EventSink>(
        &mut self,
        frame: Frame<'_>,
        opcode: Opcode,
        context: &mut Context<'_, S>,
    ) -> FrameVerdict {
        let Frame { direction, payload, .. } = frame;
        if let Some(stats) = context.worker.stats_mut(&self.engine) {
            stats.control_frames[direction.index()] += 1;
        }
        if let Some(fault) = control_fault(frame, opcode) {
            return self.fault(direction, fault, context);
        }
        let control = &mut self.halves[direction.index()].control;
        // A close comes once.
        if opcode != Opcode::Close && !control.take(&self.engine.control_rate, 1, context.now_ns) {
            return self.breach(direction, Breach::ControlRate, context);
        }
        let content = if opcode == Opcode::Close { payload.get(2..).unwrap_or_default() } else { payload };
        let subject = Subject::new(direction, opcode, content).fixed();
        let rated = &mut Rated {
            buckets: &mut self.halves[direction.index()].buckets,
            ledger: self.ledger.as_deref_mut(),
            now_ns: context.now_ns,
        };
        let verdict = pipeline::inspect_control(&self.engine, subject, rated, context.worker, context.sink);
        if matches!(verdict, Verdict::Allow(_)) {
            self.tell_control(direction, opcode, payload, context);
        }
        self.carry_out(direction, verdict, context)
    }

    fn tell_control<S: EventSink>(
        &mut self,
        direction: Direction,
        opcode: Opcode,
        payload: &[u8],
        context: &mut Context<'_, S>,
    ) {
        let size = payload.len();
        match opcode {
            Opcode::Ping if self.engine.tells(EventKind::Ping) => {
                context.sink.event(Event::Ping { direction, size })
            }
            Opcode::Pong if self.engine.tells(EventKind::Pong) => {
                context.sink.event(Event::Pong { direction, size })
            }
            Opcode::Close => {
                let code = ClosePayload::parse(payload).ok().and_then(|close| close.code);
                self.halves[direction.index()].is_closed = true;
                self.closed_by.get_or_insert((sender(direction), code));
                if self.is_over() {
                    self.end(context.sink);
                }
            }
            _ => {}
        }
    }

    fn carry_out<S: EventSink>(
        &mut self,
        direction: Direction,
        verdict: Verdict,
        context: &mut Context<'_, S>,
    ) -> FrameVerdict {
        match verdict {
            Verdict::Allow(permit) => allowed(permit),
            // A proxy sends nothing of ours, be it an answer or a message that was changed.
            Verdict::Drop(_) | Verdict::Replace(..) => FrameVerdict::Drop,
            Verdict::Close(code) => self.close(direction, code, "message violates the policy", context),
        }
    }

    /// A broken protocol ends the connection in every mode: what follows can't be understood, so it can't be inspected.
    fn fault<S: EventSink>(
        &mut self,
        direction: Direction,
        fault: ProtocolError,
        context: &mut Context<'_, S>,
    ) -> FrameVerdict {
        let rule = match (fault, self.engine.plan(direction).size) {
            (ProtocolError::MessageTooBig, Some((_, rule))) => rule,
            _ => RuleId::protocol(fault),
        };
        let code = fault.close_code();
        self.tell_fault(direction, rule, code, &fault.to_string(), context);
        self.close(direction, code, "frame violates the protocol", context)
    }

    fn breach<S: EventSink>(
        &mut self,
        direction: Direction,
        breach: Breach,
        context: &mut Context<'_, S>,
    ) -> FrameVerdict {
        let code = CloseCode::POLICY_VIOLATION;
        self.tell_fault(direction, RuleId::breach(breach), code, breach.text(), context);
        self.close(direction, code, breach.text(), context)
    }

    fn tell_fault<S: EventSink>(
        &self,
        direction: Direction,
        rule: RuleId,
        code: CloseCode,
        detail: &str,
        context: &mut Context<'_, S>,
    ) {
        if let Some(stats) = context.worker.stats_mut(&self.engine) {
            stats.record_verdict(direction, rule);
        }
        context.sink.event(Event::Verdict(VerdictEvent {
            direction: Some(direction),
            opcode: None,
            size: self.halves[direction.index()].assembler.buffered_size(),
            rule,
            outcome: Outcome::Message(Action::Close(code)),
            mode: Mode::Enforce,
            detail,
            payload: &[],
            at: None,
        }));
    }

    /// Ends the connection because of a frame in `direction`; the module says why the two directions differ.
    fn close<S: EventSink>(
        &mut self,
        direction: Direction,
        code: CloseCode,
        reason: &'static str,
        context: &mut Context<'_, S>,
    ) -> FrameVerdict {
        let (state, verdict) = match direction {
            // A server that has said goodbye sends nothing more in whose place a close could be put.
            Direction::ToServer if self.halves[Direction::ToClient.index()].is_closed => {
                (EndState::Told, FrameVerdict::Close { code, reason })
            }
            Direction::ToServer => (EndState::OwesClose, FrameVerdict::Drop),
            Direction::ToClient => (EndState::Told, FrameVerdict::Close { code, reason }),
        };
        self.end_with(code, reason, state, context);
        verdict
    }

    fn end_with<S: EventSink>(
        &mut self,
        code: CloseCode,
        reason: &'static str,
        state: EndState,
        context: &mut Context<'_, S>,
    ) {
        self.ending = Some(Ending { code, reason, since_ns: context.now_ns, state });
        self.halves.iter_mut().for_each(|half| half.assembler = Assembler::default());
        self.ledger = None;
        self.end(context.sink);
    }

    fn after_the_end<S: EventSink>(
        &mut self,
        ending: Ending,
        frame: Frame<'_>,
        context: &mut Context<'_, S>,
    ) -> FrameVerdict {
        let Ending { code, reason, since_ns, state } = ending;
        let close = FrameVerdict::Close { code, reason };
        match (state, frame.direction) {
            (EndState::Condemned, _) => close,
            (EndState::OwesClose, Direction::ToClient) => {
                self.ending = Some(Ending { state: EndState::Told, ..ending });
                close
            }
            (EndState::Told, Direction::ToClient) => FrameVerdict::Drop,
            // Four bytes at most could hide in a code: it must be one that may be sent, without a reason.
            (_, Direction::ToServer) if is_bare_close(frame) && !self.halves[0].is_closed => {
                self.halves[0].is_closed = true;
                FrameVerdict::Allow
            }
            (_, Direction::ToServer) if context.now_ns >= since_ns.saturating_add(GRACE_NS) => close,
            (_, Direction::ToServer) => FrameVerdict::Drop,
        }
    }
}

/// Takes the proof away, as what builds outgoing bytes does.
fn allowed(_: Permit) -> FrameVerdict {
    FrameVerdict::Allow
}

/// The frame as the assembler knows it: all there, in one piece.
fn whole_frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Piece {
    let size = payload.len();
    Piece {
        header: Header { fin, opcode, mask: None, payload_size: size as u64 },
        payload: 0..size,
        is_compressed: false,
        is_first: true,
        is_last: true,
        header_size: Some(0),
        consumed: size,
    }
}

/// The MUSTs of RFC 6455 section 5.5 that a parsed frame can still break.
fn control_fault(frame: Frame<'_>, opcode: Opcode) -> Option<ProtocolError> {
    if !frame.fin {
        return Some(ProtocolError::ControlFragmented);
    }
    if frame.payload.len() > CONTROL_PAYLOAD_SIZE_MAX {
        return Some(ProtocolError::ControlTooLong);
    }
    if opcode == Opcode::Close { ClosePayload::parse(frame.payload).err() } else { None }
}

fn is_bare_close(frame: Frame<'_>) -> bool {
    frame.opcode == Some(Opcode::Close)
        && frame.fin
        && frame.payload.len() <= 2
        && ClosePayload::parse(frame.payload).is_ok()
}

const fn sender(direction: Direction) -> Initiator {
    match direction {
        Direction::ToServer => Initiator::Client,
        Direction::ToClient => Initiator::Server,
    }
}
