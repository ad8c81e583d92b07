//! Any bytes in any chunks from both peers: a session never panics, holds no more than its limits, and what leaves it are canonical
//! frames that a strict receiver accepts, without what the policy forbids.
#![no_main]

use std::{cell::RefCell, sync::Arc};

use libfuzzer_sys::fuzz_target;
use wsi_inspect::{Context, Engine, Event, EventSink, Legs, Session, Transmit, Worker};
use wsi_policy::{
    Action, Compression, ContentFilter, Direction, Directions, HandshakeRules, Limits, Mode, Pattern, Policy,
    Rate, RateLimit, Rates,
};
use wsi_ws::{
    Assembled, Assembler, CloseCode, ClosePayload, Decoder, Opcode, Role, WireLimits,
    deflate::{Agreement, Flow},
};

const TOKEN: &[u8] = b"<x>";
/// What the sender of a dropped message is told.
const REPLY: &str = "dropped, as a rule of this route does not allow it; dropped, dropped, dropped";
const MESSAGE_SIZE_MAX: u64 = 600;
const ENDS: [(Role, Direction); 2] =
    [(Role::Client, Direction::ToClient), (Role::Server, Direction::ToServer)];

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new());
}

// The first byte chooses the policy and the compression of the legs. Then follow chunks: a byte for direction and size, and as
// many bytes of the stream.
fuzz_target!(|input: &[u8]| {
    BENCH.with_borrow_mut(|bench| play(bench, input));
});

/// What is made once.
struct Bench {
    engines: Vec<Arc<Engine>>,
    worker: Worker,
}

impl Bench {
    fn new() -> Self {
        let policies = [
            policy(Action::Close(CloseCode::POLICY_VIOLATION), Mode::Enforce),
            policy(Action::Drop, Mode::Enforce),
            policy(Action::Drop, Mode::Detect),
            policy(Action::Redact, Mode::Enforce),
        ];
        let compile =
            |(index, policy)| Arc::new(Engine::compile(policy, index).expect("the policies here are right"));
        let engines: Vec<_> = policies.iter().enumerate().map(compile).collect();
        let worker = Worker::new(engines.iter().map(|engine| &**engine), [7; 32], Box::new(|| 0));
        Self { engines, worker: worker.expect("there is memory for scratch") }
    }
}

fn policy(action: Action, mode: Mode) -> Policy {
    Policy {
        name: "fuzz".into(),
        events: wsi_policy::EventKind::ALL.into_iter().collect(),
        timeout_ms: 50,
        mode,
        handshake: HandshakeRules { compression: Compression::Inspect, ..HandshakeRules::default() },
        limits: Limits { message_size_max: MESSAGE_SIZE_MAX, fragments_max: 6, ..Limits::default() },
        rate_limits: vec![RateLimit {
            name: "rate-limit-1".into(),
            rates: Rates { messages: Some(Rate { per_second: 1, burst: 9 }), ..Rates::default() },
            action: if action == Action::Redact { Action::Drop } else { action },
            reply: Some(REPLY.into()),
            ..RateLimit::default()
        }],
        content_filters: vec![ContentFilter {
            name: "content-filter-1".into(),
            patterns: vec![Pattern::Literal(String::from_utf8_lossy(TOKEN).into_owned())],
            rule_sets: Vec::new(),
            directions: Directions::Both,
            normalize: wsi_policy::Normalize::default(),
            action,
            redact_with: None,
            reply: Some(REPLY.into()),
            message_size_max: None,
        }],
        ..Policy::default()
    }
}

fn play(bench: &mut Bench, input: &[u8]) {
    let Some((&choice, mut rest)) = input.split_first() else { return };
    let engine = &bench.engines[usize::from(choice % 4)];
    let legs = legs(choice >> 2);
    let mut play = Play {
        session: Session::with_compression(Arc::clone(engine), legs, 0),
        receivers: Direction::BOTH.map(|direction| Receiver::new(direction, &legs)),
        forbids: choice % 4 != 2,
        told: Told::default(),
        now_ns: 0,
    };
    while let Some((&chunk, after)) = rest.split_first() {
        let (bytes, after) = after.split_at(after.len().min(usize::from(chunk >> 1) + 1));
        let direction = if chunk & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        play.receive(direction, bytes, &mut bench.worker);
        rest = after;
    }
    play.end(&mut bench.worker);
}

/// Four combinations of compression, with context takeover or without.
fn legs(choice: u8) -> Legs {
    let flow = |bit: u8| Flow { no_context_takeover: choice & bit != 0, window_bits: None };
    let agreement = Some(Agreement { by_client: flow(1), by_server: flow(2) });
    Legs { client: agreement.filter(|_| choice & 4 != 0), server: agreement.filter(|_| choice & 8 != 0) }
}

#[derive(Default)]
struct Told {
    ends: usize,
}

impl EventSink for Told {
    fn policy_chosen(&mut self, _: usize) {}

    fn event(&mut self, event: Event<'_>) {
        self.ends += usize::from(matches!(event, Event::Close { .. }));
    }
}

struct Play {
    session: Session,
    /// By [`Direction::index`].
    receivers: [Receiver; 2],
    forbids: bool,
    told: Told,
    now_ns: u64,
}

impl Play {
    fn receive(&mut self, direction: Direction, bytes: &[u8], worker: &mut Worker) {
        let (mut input, mut at) = (bytes.to_vec(), 0);
        // More steps than frames: a session that asks for more spins.
        for _ in 0..=2 * bytes.len() + 4 {
            let mut context = Context { now_ns: self.now_ns, worker, sink: &mut self.told };
            let step = self.session.handle_input(direction, &mut input[at..], &mut context);
            let mut sent = match step.transmit {
                Transmit::Nothing => None,
                Transmit::InPlace(range) => Some(input[at..][range].to_vec()),
                Transmit::Owned(frame) => Some(frame.bytes().to_vec()),
            };
            at += step.consumed;
            if let Some(sent) = &mut sent {
                self.receivers[direction.index()].receive(sent, self.forbids);
            }
            // Now and then a peer does not take what it is told.
            if self.now_ns % 30_000_000 != 0 {
                self.take_replies(worker);
            }
            if sent.is_none() && at == input.len() {
                return self.after();
            }
        }
        panic!("it does not come to an end");
    }

    fn after(&mut self) {
        let held = self.session.buffered_size();
        assert!(held <= 2 * (MESSAGE_SIZE_MAX as usize + wsi_ws::HEADER_SIZE_MAX), "{held} bytes are held");
        self.now_ns += 10_000_000;
    }

    fn take_replies(&mut self, worker: &mut Worker) {
        for (role, direction) in ENDS {
            while let Some(frame) = self.session.poll_reply(role, self.now_ns, worker) {
                self.receivers[direction.index()].receive(&mut frame.bytes().to_vec(), true);
            }
        }
    }

    fn take_closes(&mut self, worker: &mut Worker) {
        for (role, direction) in ENDS {
            if let Some(frame) = self.session.poll_close(role, worker) {
                self.receivers[direction.index()].receive(&mut frame.bytes().to_vec(), true);
            }
        }
    }

    /// Both peers go, and the session with them.
    fn end(mut self, worker: &mut Worker) {
        self.take_closes(worker);
        for (role, _) in ENDS {
            let mut context = Context { now_ns: self.now_ns, worker, sink: &mut self.told };
            self.session.handle_end(role, &mut context);
        }
        self.take_closes(worker);
        assert!(self.session.is_over());
        self.session.end(&mut self.told);
        assert_eq!(self.told.ends, 1);
    }
}

/// A peer that takes nothing that is not right.
struct Receiver {
    decoder: Decoder,
    assembler: Assembler,
    is_closed: bool,
}

impl Receiver {
    fn new(direction: Direction, legs: &Legs) -> Self {
        let (sender, flow) = match direction {
            Direction::ToServer => (Role::Client, legs.server.map(|leg| leg.by_client)),
            Direction::ToClient => (Role::Server, legs.client.map(|leg| leg.by_server)),
        };
        Self {
            decoder: flow.map_or_else(|| Decoder::new(sender), |_| Decoder::with_deflate(sender)),
            assembler: flow.map_or_else(Assembler::default, Assembler::with_deflate),
            is_closed: false,
        }
    }

    fn receive(&mut self, mut bytes: &mut [u8], forbids: bool) {
        // What we forward may be a fragment less than what came, and never more.
        let limits = WireLimits {
            frame_size_max: MESSAGE_SIZE_MAX,
            message_size_max: MESSAGE_SIZE_MAX,
            fragments_max: 6,
            inflate_ratio_max: 1000,
        };
        while let Some(piece) = self.decoder.decode(bytes).expect("a frame is right") {
            assert!(!self.is_closed, "something follows a close");
            let lies = bytes[piece.payload.clone()].to_vec();
            let assembled = self.assembler.accept(&piece, bytes, &limits, &mut Vec::new);
            match assembled.expect("a message is right") {
                Assembled::Pending => {}
                Assembled::InPlace(opcode) => check(opcode, &lies, forbids),
                Assembled::Message(message) => check(message.opcode, message.payload(), forbids),
                Assembled::ControlInPlace(opcode) => self.control(opcode, &lies, forbids),
                Assembled::Control { opcode, payload } => self.control(opcode, &payload, forbids),
            }
            bytes = &mut bytes[piece.consumed..];
        }
        assert!(self.decoder.is_between_frames(), "a frame leaves as a whole");
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8], forbids: bool) {
        check(opcode, payload, forbids);
        if opcode == Opcode::Close {
            self.is_closed = true;
            assert!(ClosePayload::parse(payload).is_ok());
        }
    }
}

fn check(opcode: Opcode, payload: &[u8], forbids: bool) {
    assert!(opcode != Opcode::Text || std::str::from_utf8(payload).is_ok());
    assert!(!forbids || !payload.windows(TOKEN.len()).any(|window| window == TOKEN), "it was to be stopped");
}
