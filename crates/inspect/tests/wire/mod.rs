//! A session between two peers that are played: what each gets, and what is told.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::Arc;

use wsi_inspect::{Context, Engine, Event, EventSink, Initiator, Outcome, Role, Session, Transmit, Worker};
use wsi_policy::{Action, ContentFilter, Direction, Directions, Mode, Pattern, Policy};
use wsi_ws::{
    Assembled, Assembler, CloseCode, ClosePayload, Decoder, HEADER_SIZE_MAX, Header, Opcode, WireLimits, mask,
};

pub const CLOSE_1008: Action = Action::Close(CloseCode::POLICY_VIOLATION);

/// Each peer, and the direction that it receives.
const ENDS: [(Role, Direction); 2] =
    [(Role::Client, Direction::ToClient), (Role::Server, Direction::ToServer)];

/// Everything that both peers and the audit see of one connection.
pub struct Wire {
    pub session: Session,
    pub worker: Worker,
    pub told: Told,
    pub now_ns: u64,
    pub received: [Vec<u8>; 2],
    /// Both peers take what they are told of dropped messages.
    pub takes_replies: bool,
}

#[derive(Default)]
pub struct Told {
    engine: Option<Arc<Engine>>,
    pub verdicts: Vec<(String, Outcome, Mode)>,
    pub details: Vec<String>,
    pub ends: Vec<(Option<u16>, Initiator)>,
}

impl Told {
    pub fn of(engine: &Arc<Engine>) -> Self {
        Self { engine: Some(Arc::clone(engine)), ..Self::default() }
    }
}

impl EventSink for Told {
    fn policy_chosen(&mut self, _: usize) {}

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Verdict(verdict) => {
                let name = self.engine.as_ref().unwrap().rules().name(verdict.rule).to_owned();
                self.verdicts.push((name, verdict.outcome, verdict.mode));
                self.details.push(verdict.detail.to_owned());
            }
            Event::Close { code, initiator, .. } => {
                self.ends.push((code.map(CloseCode::as_u16), initiator));
            }
            _ => {}
        }
    }
}

impl Wire {
    pub fn new(policy: &Policy) -> Self {
        Self::under(Arc::new(Engine::compile(policy, 0).unwrap()))
    }

    pub fn under(engine: Arc<Engine>) -> Self {
        // A clock that leaps: whoever asks it within a message sees a millisecond pass.
        let asked = std::cell::Cell::new(0);
        let clock = move || {
            asked.set(asked.get() + 1_000_000);
            asked.get()
        };
        let worker = Worker::new([&*engine], [7; 32], Box::new(clock)).unwrap();
        let told = Told::of(&engine);
        let session = Session::new(engine, 0);
        Self { session, worker, told, now_ns: 0, received: Default::default(), takes_replies: true }
    }

    /// One read of what the sender of `direction` wrote.
    pub fn read(&mut self, direction: Direction, bytes: &[u8]) {
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
            self.take_replies();
            if at == input.len() && is_idle {
                break;
            }
        }
        self.settle();
    }

    pub fn take_replies(&mut self) {
        for (role, direction) in ENDS.into_iter().filter(|_| self.takes_replies) {
            while let Some(frame) = self.session.poll_reply(role, self.now_ns, &mut self.worker) {
                self.received[direction.index()].extend_from_slice(frame.bytes());
            }
        }
    }

    pub fn read_in_pieces(&mut self, direction: Direction, mut bytes: &[u8], sizes: &[usize]) {
        for size in sizes.iter().cycle() {
            let (piece, rest) = bytes.split_at((*size).clamp(1, bytes.len().max(1)).min(bytes.len()));
            self.read(direction, piece);
            bytes = rest;
            if bytes.is_empty() {
                return;
            }
        }
    }

    /// Another policy takes the place of this one.
    pub fn adopt(&mut self, engine: &Arc<Engine>) {
        self.worker.adopt(engine).unwrap();
        self.session.adopt(engine, self.now_ns);
        self.told.engine = Some(Arc::clone(engine));
    }

    pub fn time_passes(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        let mut context = Context { now_ns, worker: &mut self.worker, sink: &mut self.told };
        self.session.handle_timeout(&mut context);
        self.settle();
    }

    pub fn end(&mut self, role: Role) {
        let mut context = Context { now_ns: self.now_ns, worker: &mut self.worker, sink: &mut self.told };
        self.session.handle_end(role, &mut context);
        self.settle();
    }

    fn settle(&mut self) {
        for (role, direction) in ENDS {
            if let Some(frame) = self.session.poll_close(role, &mut self.worker) {
                self.received[direction.index()].extend_from_slice(frame.bytes());
            }
        }
    }

    /// What the receiver of `direction` makes of its bytes, by an independent reading.
    pub fn arrived(&self, direction: Direction) -> Vec<Got> {
        let sender = if direction == Direction::ToServer { Role::Client } else { Role::Server };
        let (mut decoder, mut assembler) = (Decoder::new(sender), Assembler::default());
        let limits = WireLimits {
            frame_size_max: u64::MAX,
            message_size_max: 1 << 30,
            fragments_max: u32::MAX,
            inflate_ratio_max: 100,
        };
        let mut bytes = self.received[direction.index()].clone();
        let mut input = &mut bytes[..];
        let mut got = Vec::new();
        while let Some(piece) = decoder.decode(input).unwrap() {
            let payload = input[piece.payload.clone()].to_vec();
            match assembler.accept(&piece, input, &limits, &mut Vec::new).unwrap() {
                Assembled::InPlace(opcode) => got.push(Got::Message(opcode, payload)),
                Assembled::Message(message) => {
                    got.push(Got::Message(message.opcode, message.payload().to_vec()));
                }
                Assembled::Pending => {}
                Assembled::ControlInPlace(Opcode::Close) => {
                    let code = ClosePayload::parse(&payload).unwrap().code;
                    got.push(Got::Close(code.map(CloseCode::as_u16)));
                }
                Assembled::ControlInPlace(opcode) => got.push(Got::Control(opcode, payload)),
                other => panic!("{other:?}"),
            }
            input = &mut input[piece.consumed..];
        }
        assert!(decoder.is_between_frames());
        got
    }

    pub fn rules(&self) -> Vec<&str> {
        self.told.verdicts.iter().map(|(rule, ..)| rule.as_str()).collect()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    Message(Opcode, Vec<u8>),
    Control(Opcode, Vec<u8>),
    Close(Option<u16>),
}

pub fn text(text: &str) -> Got {
    Got::Message(Opcode::Text, text.into())
}

pub fn frame(direction: Direction, fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let key = (direction == Direction::ToServer).then_some([0x11, 0x22, 0x33, 0x44]);
    let mut head = [0; HEADER_SIZE_MAX];
    let size = Header { fin, opcode, mask: key, payload_size: payload.len() as u64 }.encode(&mut head);
    let mut bytes = [&head[..size], payload].concat();
    if let Some(key) = key {
        mask::apply(&mut bytes[size..], key, 0);
    }
    bytes
}

pub fn message(direction: Direction, payload: &str) -> Vec<u8> {
    frame(direction, true, Opcode::Text, payload.as_bytes())
}

pub fn filter(action: Action) -> ContentFilter {
    ContentFilter {
        name: "content-filter-1".into(),
        patterns: vec![
            Pattern::Regex { expression: "exec\\(".into(), flags: String::new() },
            Pattern::Literal("<script".into()),
        ],
        rule_sets: Vec::new(),
        directions: Directions::Both,
        normalize: wsi_policy::Normalize::default(),
        action,
        redact_with: None,
        reply: None,
        message_size_max: Some(65_536),
    }
}

pub fn filtering(action: Action) -> Policy {
    Policy { content_filters: vec![filter(action)], ..policy() }
}

pub fn policy() -> Policy {
    Policy {
        name: "test".into(),
        timeout_ms: 50,
        events: wsi_policy::EventKind::ALL.into_iter().collect(),
        ..Policy::default()
    }
}

/// The MessagePack of a JSON text, of what has short forms.
pub fn messagepack(json: &str) -> Vec<u8> {
    fn write(value: &serde_json::Value, out: &mut Vec<u8>) {
        let text = |text: &str, out: &mut Vec<u8>| {
            out.push(0xa0 | text.len() as u8);
            out.extend_from_slice(text.as_bytes());
        };
        match value {
            serde_json::Value::Null => out.push(0xc0),
            serde_json::Value::Bool(flag) => out.push(0xc2 | u8::from(*flag)),
            serde_json::Value::Number(number) => {
                out.push(0xd3);
                out.extend_from_slice(&number.as_i64().unwrap().to_be_bytes());
            }
            serde_json::Value::String(string) => text(string, out),
            serde_json::Value::Array(elements) => {
                out.push(0x90 | elements.len() as u8);
                elements.iter().for_each(|each| write(each, out));
            }
            serde_json::Value::Object(members) => {
                out.push(0x80 | members.len() as u8);
                for (name, value) in members {
                    text(name, out);
                    write(value, out);
                }
            }
        }
    }
    let mut out = Vec::new();
    write(&serde_json::from_str(json).unwrap(), &mut out);
    out
}
