//! One connection, both legs: bytes in, inspected bytes out.

mod bounds;
mod closing;
mod message;
mod reply;
mod roles;
mod stream;

use std::{net::IpAddr, num::NonZeroU64, sync::Arc};

use wsi_policy::{Direction, EventKind};
use wsi_ws::{CloseCode, RSV1, Role, deflate::Agreement};

use self::{
    closing::{Closing, OwnClose},
    message::{Judged, mask_key},
};
use crate::{
    engine::Engine,
    event::{Event, EventSink, Initiator, Totals},
    half::Half,
    ledger::Ledger,
    rules::Breach,
    transmit::{Run, Transmit},
    worker::Worker,
};

/// How long a peer may take to answer a close frame.
const CLOSE_TIMEOUT_NS: u64 = 5_000_000_000;
/// How long the memory of compression is kept for the next compressed message.
const DEFLATE_IDLE_NS: u64 = 60_000_000_000;
/// Frames, and parts of frames, of one step: small ones are many, and other connections wait meanwhile.
const FRAMES_PER_STEP_MAX: usize = 1024;

/// Compressed bytes that are inflated at once.
pub(crate) const INFLATE_BITE_SIZE: usize = 2 << 10;

/// An open connection. It opens no sockets and reads no clock; times are nanoseconds on the caller's monotone clock.
///
/// - [`Session::handle_input`] takes what one endpoint sent and says what may go to the other, step by step: call it until
///   a step consumed everything and wants nothing sent.
/// - [`Session::poll_close`] gives the close frame of our own that an endpoint is to get; ask it for both after every `handle_*`
///   call. No more input is relayed then.
/// - [`Session::poll_reply`] gives a message of our own for a sender whose messages were dropped.
/// - [`Session::deadline_ns`] says when [`Session::handle_timeout`] is due.
/// - When [`Session::is_over`], flush both legs, shut both down and call [`Session::end`].
#[derive(Debug)]
pub struct Session {
    engine: Arc<Engine>,
    /// What the endpoints agreed on.
    subprotocol: Option<Box<str>>,
    halves: [Half; 2],
    /// `None`: no rule remembers anything.
    ledger: Option<Box<Ledger>>,
    /// As [`Engine::client_key`] has it.
    client: NonZeroU64,
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

/// What one call of [`Session::handle_input`] did.
#[derive(Debug)]
pub struct Step {
    /// Bytes of the input that are done with, once `transmit` is sent.
    pub consumed: usize,
    /// Frames, and parts of frames, that were looked at.
    pub frames: usize,
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
        let client = engine.client_key(None);
        let ledger = Ledger::new(&engine, client, now_ns);
        Self {
            engine,
            subprotocol: None,
            halves,
            ledger,
            client,
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

    /// Whose connection it is, for limits that all connections of a client share. To be called before any input.
    pub fn belong_to(&mut self, client: IpAddr) {
        self.client = self.engine.client_key(Some(client));
        if let Some(ledger) = &mut self.ledger {
            ledger.client = self.client;
        }
    }

    /// The endpoints have agreed on a subprotocol, under which other rules may hold. To be called before any input.
    pub fn agree(&mut self, subprotocol: &str, now_ns: u64) {
        self.subprotocol = Some(subprotocol.into());
        let engine = Arc::clone(&self.engine);
        self.adopt(&engine, now_ns);
    }

    /// Whether it is judged by `engine` already.
    pub fn goes_by(&self, engine: &Arc<Engine>) -> bool {
        Arc::ptr_eq(engine.speaking(self.subprotocol.as_deref()), &self.engine)
    }

    /// Goes on under `engine`, which takes the place of the present one ([`Engine::compile_over`]): in each direction as soon as no
    /// message is open there. Buckets keep what they hold unless their rates are others. What was agreed on about
    /// compression stays.
    pub fn adopt(&mut self, engine: &Arc<Engine>, now_ns: u64) {
        let engine = engine.speaking(self.subprotocol.as_deref());
        self.engine = Arc::clone(engine);
        self.ledger = Ledger::adopted(self.ledger.take(), engine, self.client, now_ns);
        self.halves.iter_mut().for_each(|half| half.adopt(engine, now_ns));
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
            return Step { consumed: 0, frames: 0, transmit: Transmit::Owned(*frame) };
        }
        self.active_ns = context.now_ns;
        let mut run = Run::default();
        let (mut at, mut frames) = (0, 0);
        while self.reads(direction) {
            let end = self.bite_end(direction, at, input);
            let piece = match self.half(direction).decoder.decode(&mut input[at..end]) {
                Ok(Some(piece)) => piece,
                Ok(None) if end < input.len() => {
                    at = end;
                    continue;
                }
                Ok(None) => break,
                Err(fault) => {
                    self.fault(direction, fault, context);
                    break;
                }
            };
            let frame_at = at;
            at += piece.consumed;
            frames += 1;
            let judged = self.handle_piece(direction, piece, &input[frame_at..], context);
            let half = &mut self.halves[direction.index()];
            if !Arc::ptr_eq(&half.engine, &self.engine) {
                half.adopt(&self.engine, context.now_ns);
            }
            match judged {
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
                    return Step { consumed: at, frames, transmit: Transmit::Owned(*frame) };
                }
                Judged::Owned(frame) => {
                    self.half(direction).ready = Some(frame);
                    return Step { consumed: at, frames, transmit: run.into() };
                }
                // The sender may take it before the next one is owed.
                Judged::Owed => return Step { consumed: at, frames, transmit: run.into() },
                Judged::Stop => break,
            }
            if frames == FRAMES_PER_STEP_MAX {
                return Step { consumed: at, frames, transmit: run.into() };
            }
        }
        self.half(direction).watch_the_clock(context.now_ns);
        Step { consumed: input.len(), frames, transmit: run.into() }
    }

    /// Input in `direction` waits because the other endpoint does not keep up: no fault of the sender's, so the time of its
    /// message begins anew when reading goes on.
    pub fn pause(&mut self, direction: Direction) {
        self.half(direction).message_began_ns = None;
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
            Some(direction) => self.breach(direction, Breach::MessageTimeout, context),
            None => self.close_both(CloseCode::GOING_AWAY, "idle", "idle", Role::Client, now_ns),
        }
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

    /// How far to read at once: compressed bytes may become a thousand times as many, so they are inflated in small bites where
    /// what is held of a message is bounded.
    #[inline]
    fn bite_end(&self, direction: Direction, at: usize, input: &[u8]) -> usize {
        let half = &self.halves[direction.index()];
        let is_inflating = half.deflates()
            && (half.assembler.is_inflating() || input.get(at).is_some_and(|first| first & RSV1 != 0));
        if is_inflating { input.len().min(at + INFLATE_BITE_SIZE) } else { input.len() }
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
}
