//! Sessions whose legs compress (RFC 7692), between two peers that use zlib.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress};
use proptest::prelude::*;
use wsi_inspect::{Context, Engine, Event, EventSink, Legs, Role, Session, Transmit, Worker};
use wsi_policy::{
    Action, Compression, ContentFilter, Direction, Directions, HandshakeRules, Limits, Normalize, Pattern,
    Policy, Rate, RateLimit, Rates,
};
use wsi_ws::{
    CloseCode, ClosePayload, Decoder, HEADER_SIZE_MAX, Header, Opcode, RSV1,
    deflate::{Agreement, Flow},
    mask,
};

const TAIL: &[u8] = &[0, 0, 0xff, 0xff];
const BOTH: [Direction; 2] = Direction::BOTH;
const DEFLATE: Option<Agreement> = Some(Agreement {
    by_client: Flow { no_context_takeover: false, window_bits: None },
    by_server: Flow { no_context_takeover: false, window_bits: None },
});
const COMPRESSED: Legs = Legs { client: DEFLATE, server: DEFLATE };

struct Wire {
    session: Session,
    worker: Worker,
    told: Told,
    now_ns: u64,
    legs: Legs,
    senders: [Compress; 2],
    received: [Vec<u8>; 2],
}

struct Told {
    engine: Arc<Engine>,
    rules: Vec<String>,
    sizes: Vec<usize>,
}

impl EventSink for Told {
    fn policy_chosen(&mut self, _: usize) {}

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Verdict(verdict) => self.rules.push(self.engine.rules().name(verdict.rule).to_owned()),
            Event::Message { size, .. } => self.sizes.push(size),
            _ => {}
        }
    }
}

impl Wire {
    fn new(policy: &Policy, legs: Legs) -> Self {
        let engine = Arc::new(Engine::compile(policy, 0).unwrap());
        let worker = Worker::new([&*engine], [7; 32], Box::new(|| 0)).unwrap();
        let told = Told { engine: Arc::clone(&engine), rules: Vec::new(), sizes: Vec::new() };
        let senders = BOTH.map(|direction| {
            let bits = flow(from(legs, direction), direction).and_then(|flow| flow.window_bits).unwrap_or(15);
            Compress::new_with_window_bits(Level::default(), false, bits)
        });
        let session = Session::with_compression(engine, legs, 0);
        Self { session, worker, told, now_ns: 0, legs, senders, received: Default::default() }
    }

    /// The sender of `direction` compresses `payload` as it agreed to.
    fn compress(&mut self, direction: Direction, payload: &[u8]) -> Vec<u8> {
        let sender = &mut self.senders[direction.index()];
        let mut out = Vec::with_capacity(payload.len() + 1024);
        sender.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
        assert!(out.ends_with(TAIL));
        out.truncate(out.len() - TAIL.len());
        if flow(from(self.legs, direction), direction).unwrap().no_context_takeover {
            sender.reset();
        }
        out
    }

    fn send(&mut self, direction: Direction, payload: &str) {
        let compressed = self.compress(direction, payload.as_bytes());
        self.read(direction, &fragments(direction, Opcode::Text, &compressed, &[]));
    }

    fn read(&mut self, direction: Direction, bytes: &[u8]) {
        let mut input = bytes.to_vec();
        let mut at = 0;
        loop {
            let mut context = Context { now_ns: self.now_ns, worker: &mut self.worker, sink: &mut self.told };
            let step = self.session.handle_input(direction, &mut input[at..], &mut context);
            let sent = match step.transmit {
                Transmit::Nothing => None,
                Transmit::InPlace(range) => Some(input[at..][range].to_vec()),
                Transmit::Owned(frame) => Some(frame.bytes().to_vec()),
            };
            at += step.consumed;
            let is_idle = sent.is_none();
            self.received[direction.index()].extend(sent.unwrap_or_default());
            if at == input.len() && is_idle {
                break;
            }
        }
        for (role, direction) in [(Role::Client, Direction::ToClient), (Role::Server, Direction::ToServer)] {
            if let Some(frame) = self.session.poll_close(role, &mut self.worker) {
                self.received[direction.index()].extend_from_slice(frame.bytes());
            }
        }
    }

    fn time_passes(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        let mut context = Context { now_ns, worker: &mut self.worker, sink: &mut self.told };
        self.session.handle_timeout(&mut context);
    }

    /// What the receiver of `direction` makes of its bytes, with zlib and the window that it agreed to.
    fn arrived(&self, direction: Direction) -> Vec<Got> {
        let flow = flow(to(self.legs, direction), direction);
        let mut zlib =
            flow.map(|flow| Decompress::new_with_window_bits(false, flow.window_bits.unwrap_or(15).max(9)));
        let sender = if direction == Direction::ToServer { Role::Client } else { Role::Server };
        let mut decoder = if flow.is_some() { Decoder::with_deflate(sender) } else { Decoder::new(sender) };
        let mut bytes = self.received[direction.index()].clone();
        let (mut input, mut got) = (&mut bytes[..], Vec::new());
        while let Some(piece) = decoder.decode(input).unwrap() {
            assert!(piece.is_whole_frame() && piece.header.fin);
            let payload = input[piece.payload.clone()].to_vec();
            got.push(match piece.header.opcode {
                Opcode::Close => {
                    Got::Close(ClosePayload::parse(&payload).unwrap().code.map(CloseCode::as_u16))
                }
                opcode if !piece.is_compressed => Got::Plain(opcode, payload),
                opcode => {
                    let zlib = zlib.as_mut().unwrap();
                    let mut out = Vec::with_capacity(1 << 20);
                    zlib.decompress_vec(&[&payload[..], TAIL].concat(), &mut out, FlushDecompress::Sync)
                        .unwrap();
                    if flow.unwrap().no_context_takeover {
                        zlib.reset(false);
                    }
                    Got::Compressed(opcode, out)
                }
            });
            input = &mut input[piece.consumed..];
        }
        got
    }

    fn texts(&self, direction: Direction) -> Vec<String> {
        let text = |got| match got {
            Got::Plain(Opcode::Text, payload) | Got::Compressed(Opcode::Text, payload) => {
                String::from_utf8(payload).unwrap()
            }
            other => panic!("{other:?}"),
        };
        self.arrived(direction).into_iter().map(text).collect()
    }
}

#[derive(Debug, PartialEq)]
enum Got {
    Plain(Opcode, Vec<u8>),
    Compressed(Opcode, Vec<u8>),
    Close(Option<u16>),
}

fn from(legs: Legs, direction: Direction) -> Option<Agreement> {
    if direction == Direction::ToServer { legs.client } else { legs.server }
}

fn to(legs: Legs, direction: Direction) -> Option<Agreement> {
    from(legs, direction.reverse())
}

fn flow(leg: Option<Agreement>, direction: Direction) -> Option<Flow> {
    leg.map(|leg| if direction == Direction::ToServer { leg.by_client } else { leg.by_server })
}

fn frame(direction: Direction, fin: bool, opcode: Opcode, bits: u8, payload: &[u8]) -> Vec<u8> {
    let key = (direction == Direction::ToServer).then_some([0x11, 0x22, 0x33, 0x44]);
    let mut head = [0; HEADER_SIZE_MAX];
    let size = Header { fin, opcode, mask: key, payload_size: payload.len() as u64 }.encode(&mut head);
    head[0] |= bits;
    let mut bytes = [&head[..size], payload].concat();
    if let Some(key) = key {
        mask::apply(&mut bytes[size..], key, 0);
    }
    bytes
}

/// A compressed message, cut at `cuts`.
fn fragments(direction: Direction, opcode: Opcode, payload: &[u8], cuts: &[usize]) -> Vec<u8> {
    let (mut bytes, mut at) = (Vec::new(), 0);
    for (index, end) in cuts.iter().copied().chain([payload.len()]).enumerate() {
        let (opcode, bits) = if index == 0 { (opcode, RSV1) } else { (Opcode::Continuation, 0) };
        bytes.extend(frame(
            direction,
            end == payload.len() && index == cuts.len(),
            opcode,
            bits,
            &payload[at..end],
        ));
        at = end;
    }
    bytes
}

fn policy(action: Action) -> Policy {
    Policy {
        name: "test".into(),
        events: wsi_policy::EventKind::ALL.into_iter().collect(),
        handshake: HandshakeRules { compression: Compression::Inspect, ..HandshakeRules::default() },
        content_filters: vec![ContentFilter {
            name: "content-filter-1".into(),
            patterns: vec![Pattern::Literal("<script".into())],
            rule_sets: Vec::new(),
            directions: Directions::Both,
            normalize: Normalize::default(),
            action,
            redact_with: None,
            reply: None,
            message_size_max: None,
        }],
        ..Policy::default()
    }
}

fn long(text: &str) -> String {
    format!("{text}: a message that is long enough to be worth compressing, again and again and again")
}

#[test]
fn messages_between_compressing_legs_stay_compressed() {
    for direction in BOTH {
        let mut wire = Wire::new(&policy(Action::Drop), COMPRESSED);
        let sent: Vec<_> = (0..50).map(|i| long(&i.to_string())).collect();
        for text in &sent {
            wire.send(direction, text);
        }
        assert_eq!(wire.texts(direction), sent);
        assert!(wire.arrived(direction).iter().all(|got| matches!(got, Got::Compressed(..))));
        assert_eq!(
            wire.told.sizes,
            sent.iter().map(String::len).collect::<Vec<_>>(),
            "sizes are inflated ones"
        );
        let on_wire = wire.received[direction.index()].len();
        assert!(on_wire < 50 * 40, "later messages refer to earlier ones: {on_wire} bytes");
    }
}

#[test]
fn a_dropped_message_breaks_no_window() {
    for direction in BOTH {
        let mut wire = Wire::new(&policy(Action::Drop), COMPRESSED);
        // The second message is nearly all of the third: the sender refers to what the receiver never gets.
        let secret = long("<script and something unusual: zyxwvutsrqponm");
        let like_it = secret.replace("<script", "no-such");
        for text in [&long("one"), &secret, &like_it, &secret, &long("last")] {
            wire.send(direction, text);
        }
        assert_eq!(wire.texts(direction), [long("one"), like_it, long("last")]);
        assert_eq!(wire.told.rules, ["content-filter-1/block-patterns-1"; 2]);
    }
}

#[test]
fn what_is_inflated_has_a_budget_of_its_own() {
    let limit = RateLimit {
        rates: Rates { inflated_bytes: Some(Rate { per_second: 1, burst: 1000 }), ..Rates::default() },
        action: Action::Drop,
        directions: Directions::Both,
        ..RateLimit::default()
    };
    let policy = Policy { rate_limits: vec![limit], ..policy(Action::Drop) };
    for direction in BOTH {
        let mut wire = Wire::new(&policy, COMPRESSED);
        // Ten times the budget, plain; then it inflates to more than there is; then to what there is.
        let plain = "plain ".repeat(2_000);
        wire.read(direction, &frame(direction, true, Opcode::Text, 0, plain.as_bytes()));
        for size in [600, 401, 400, 1] {
            wire.send(direction, &"x".repeat(size));
        }
        assert_eq!(wire.texts(direction), [plain, "x".repeat(600), "x".repeat(400)]);
        assert_eq!(wire.told.rules, ["rate-limit-1"; 2]);
    }
}

#[test]
fn a_message_that_is_only_a_reference_is_inspected() {
    let mut wire = Wire::new(&policy(Action::Close(CloseCode::POLICY_VIOLATION)), COMPRESSED);
    wire.send(Direction::ToServer, "<scr and then ipt>");
    wire.send(Direction::ToServer, "<script>");
    assert_eq!(wire.arrived(Direction::ToServer)[1], Got::Close(Some(1008)));
    assert_eq!(wire.arrived(Direction::ToClient), [Got::Close(Some(1008))]);
}

#[test]
fn a_signature_is_found_wherever_the_compressed_message_is_cut() {
    for direction in BOTH {
        let size = Wire::new(&policy(Action::Drop), COMPRESSED).compress(direction, b"abc <script def").len();
        for cut in 0..=size {
            let mut wire = Wire::new(&policy(Action::Drop), COMPRESSED);
            let compressed = wire.compress(direction, b"abc <script def");
            let bytes = fragments(direction, Opcode::Text, &compressed, &[0, cut]);
            for byte in bytes {
                wire.read(direction, &[byte]);
            }
            wire.send(direction, "next");
            assert_eq!(wire.texts(direction), ["next"], "cut at {cut}");
        }
    }
}

#[test]
fn legs_compress_apart() {
    let plain_server = Legs { client: DEFLATE, server: None };
    let plain_client = Legs { client: None, server: DEFLATE };
    for (legs, direction) in [(plain_server, Direction::ToServer), (plain_client, Direction::ToClient)] {
        // From the leg that compresses: inflated.
        let mut wire = Wire::new(&policy(Action::Drop), legs);
        wire.send(direction, &long("x"));
        assert_eq!(wire.arrived(direction), [Got::Plain(Opcode::Text, long("x").into())]);
        // From the leg that can't: compressed, but for what is small.
        let back = direction.reverse();
        for text in [&*long("y"), "short", "<script", &long("z")] {
            wire.read(back, &frame(back, true, Opcode::Text, 0, text.as_bytes()));
        }
        let expected = [
            Got::Compressed(Opcode::Text, long("y").into()),
            Got::Plain(Opcode::Text, b"short".into()),
            Got::Compressed(Opcode::Text, long("z").into()),
        ];
        assert_eq!(wire.arrived(back), expected);
    }
    // A sender that could compress and does not is followed.
    let mut wire = Wire::new(&policy(Action::Drop), COMPRESSED);
    wire.read(Direction::ToServer, &frame(Direction::ToServer, true, Opcode::Text, 0, long("x").as_bytes()));
    assert_eq!(wire.arrived(Direction::ToServer), [Got::Plain(Opcode::Text, long("x").into())]);
}

#[test]
fn a_receiver_with_a_window_of_256_bytes_gets_plain_messages() {
    let small = Agreement {
        by_client: Flow { no_context_takeover: false, window_bits: Some(8) },
        ..Agreement::default()
    };
    let mut wire = Wire::new(&policy(Action::Drop), Legs { client: DEFLATE, server: Some(small) });
    wire.send(Direction::ToServer, &long("x"));
    assert_eq!(wire.arrived(Direction::ToServer), [Got::Plain(Opcode::Text, long("x").into())]);
}

#[test]
fn legs_that_agreed_on_nothing_refuse_the_bit() {
    let mut wire = Wire::new(&policy(Action::Drop), Legs { client: None, server: DEFLATE });
    wire.read(Direction::ToServer, &frame(Direction::ToServer, true, Opcode::Text, RSV1, b"\x00"));
    assert_eq!(wire.told.rules, ["protocol/reserved-bits"]);
    assert_eq!(wire.arrived(Direction::ToClient), [Got::Close(Some(1002))]);
}

#[test]
fn bombs() {
    for (size, limits, rule, code) in [
        (1_000_000, Limits::default(), "limits/max-inflate-ratio", 1008),
        (60_000, Limits { message_size_max: 50_000, ..Limits::default() }, "limits/max-message-size", 1009),
        (
            1_000_000,
            Limits { inflate_ratio_max: 1032, message_size_max: 900_000, ..Limits::default() },
            "limits/max-message-size",
            1009,
        ),
    ] {
        for direction in BOTH {
            let mut wire = Wire::new(&Policy { limits, ..policy(Action::Drop) }, COMPRESSED);
            let bomb = wire.compress(direction, &vec![b'a'; size]);
            let bytes = fragments(direction, Opcode::Text, &bomb, &[bomb.len() / 2]);
            wire.read(direction, &bytes);
            assert_eq!(wire.told.rules, [rule]);
            assert_eq!(wire.arrived(direction), [Got::Close(Some(code))]);
            assert_eq!(wire.arrived(direction.reverse()), [Got::Close(Some(code))]);
        }
    }
}

#[test]
fn many_small_bombs_are_many_messages() {
    let mut wire = Wire::new(&policy(Action::Drop), COMPRESSED);
    for _ in 0..100 {
        let payload = wire.compress(Direction::ToServer, &[b'a'; 60_000]);
        wire.read(Direction::ToServer, &fragments(Direction::ToServer, Opcode::Text, &payload, &[]));
        assert!(wire.session.buffered_size() == 0);
    }
    assert_eq!(wire.told.sizes, [60_000; 100], "so that rates count them as they are");
}

#[test]
fn what_is_no_deflate_ends_the_connection() {
    let mut wire = Wire::new(&policy(Action::Drop), COMPRESSED);
    wire.read(Direction::ToServer, &fragments(Direction::ToServer, Opcode::Text, b"<script> hello", &[]));
    assert_eq!(wire.told.rules, ["protocol/invalid-deflate"]);
    assert_eq!(wire.arrived(Direction::ToServer), [Got::Close(Some(1007))]);
}

#[test]
fn memory_goes_when_nothing_is_compressed_and_nobody_notices() {
    for no_context_takeover in [false, true] {
        let flow = Flow { no_context_takeover, window_bits: None };
        let leg = Some(Agreement { by_client: flow, by_server: flow });
        let mut wire = Wire::new(&policy(Action::Drop), Legs { client: leg, server: leg });
        let idle_ns = wire.session.deadline_ns();
        for round in 1..4 {
            wire.send(Direction::ToServer, &long("x"));
            wire.send(Direction::ToClient, &long("y"));
            let deadline_ns = wire.session.deadline_ns();
            assert_eq!(deadline_ns, wire.now_ns + 60_000_000_000);
            wire.time_passes(deadline_ns);
            assert!(wire.session.deadline_ns() >= idle_ns, "once is enough");
            assert!(!wire.session.is_over());
            assert_eq!(wire.texts(Direction::ToServer), vec![long("x"); round]);
            assert_eq!(wire.texts(Direction::ToClient), vec![long("y"); round]);
        }
    }
}

#[test]
fn an_idle_connection_ends_though_it_once_compressed() {
    let mut wire = Wire::new(&policy(Action::Drop), COMPRESSED);
    wire.send(Direction::ToServer, &long("x"));
    wire.time_passes(wire.session.deadline_ns());
    wire.time_passes(wire.session.deadline_ns());
    assert!(wire.session.is_over());
}

fn flows() -> impl Strategy<Value = Flow> {
    (any::<bool>(), prop::option::of(9..=15u8))
        .prop_map(|(no_context_takeover, window_bits)| Flow { no_context_takeover, window_bits })
}

fn legs() -> impl Strategy<Value = Option<Agreement>> {
    prop::option::of((flows(), flows()).prop_map(|(by_client, by_server)| Agreement { by_client, by_server }))
}

proptest! {
    #[test]
    fn all_that_is_allowed_arrives_and_nothing_else(
        client in legs(),
        server in legs(),
        messages in prop::collection::vec((any::<bool>(), any::<bool>(), 0..4usize, "[ab<]{0,300}"), 1..20),
    ) {
        let legs = Legs { client, server };
        let mut wire = Wire::new(&policy(Action::Drop), legs);
        let mut expected = [vec![], vec![]];
        for (to_server, compresses, bad, text) in messages {
            let direction = if to_server { Direction::ToServer } else { Direction::ToClient };
            let text = if bad == 0 { format!("{text}<script{text}") } else { text };
            if compresses && !text.is_empty() && from(legs, direction).is_some() {
                wire.send(direction, &text);
            } else {
                wire.read(direction, &frame(direction, true, Opcode::Text, 0, text.as_bytes()));
            }
            if bad != 0 {
                expected[direction.index()].push(text);
            }
        }
        for direction in BOTH {
            prop_assert_eq!(&wire.texts(direction), &expected[direction.index()]);
        }
    }
}
