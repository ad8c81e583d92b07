//! What is played: a policy, how the legs compress, and what each peer will send, all from the seed.

use wsi_inspect::Legs;
use wsi_policy::{
    Action, CloseCode, ContentFilter, Direction, Directions, EventKind, FailureMode, Limits, MessageTypes,
    Mode, Normalize, Pattern, Policy, Rate, RateLimit, Rates, SchemaType, Validation,
};
use wsi_ws::{
    Opcode, Role,
    deflate::{Agreement, Flow},
};

use crate::{fault, random::Random};

/// What the rules name. Nothing that is random contains it.
pub const TOKEN: &[u8] = b"<<ATTACK>>";
/// The token as a JSON string may hide it.
pub const TOKEN_ESCAPED: &[u8] = br"\u003c\u003cATTACK>>";
/// More times over encoded than [`Limits::NORMALIZE_DEPTH_MAX_DEFAULT`].
pub const DEEP: &[u8] = b"%25252525252541";
/// A character without width.
pub const UNSEEN: char = '\u{202e}';
/// No MessagePack begins with it.
pub const UNDECODABLE: u8 = 0xc1;
/// What the sender of a dropped message is told; long enough to be worth compressing.
pub const REPLY: &str =
    r#"{"error":"your message was dropped","because":"a rule of this route does not allow your message"}"#;
/// The filter's limit; above 4 KiB, so that the budget of large messages plays too.
pub const MESSAGE_SIZE_MAX: usize = 6_000;
/// What may be held where the filter does not say less.
pub const HELD_SIZE_MAX: usize = 8_000;
pub const FRAGMENTS_MAX: usize = 12;
pub const MESSAGE_TIMEOUT_MS: u64 = 5_000;

/// One connection to play.
#[derive(Debug)]
pub struct Scenario {
    pub policy: Policy,
    pub legs: Legs,
    /// Whether inspection itself fails now and then.
    pub is_unsteady: bool,
    /// Whether the peers leave long pauses between messages.
    pub is_slow: bool,
    /// By [`Direction::index`].
    pub sends: [Vec<Sent>; 2],
}

/// What a peer sends, in order.
#[derive(Clone, Debug)]
pub enum Sent {
    Message {
        opcode: Opcode,
        payload: Vec<u8>,
        fragments: usize,
        ping_between: bool,
        /// Only where the sender's leg agreed on it.
        is_compressed: bool,
    },
    Control {
        opcode: Opcode,
        payload: Vec<u8>,
    },
    Close {
        code: u16,
        reason: &'static str,
    },
    /// Something that breaks the protocol, and what it breaks; without a rule, the limit of size.
    Fault {
        bytes: Vec<u8>,
        rule: Option<&'static str>,
        code: u16,
    },
}

impl Scenario {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, 1);
        let policy = policy(&mut random);
        let legs = Legs { client: agreement(&mut random), server: agreement(&mut random) };
        let (is_unsteady, is_slow) = (random.one_in(2), random.one_in(3));
        let habits = Habits {
            packs: !policy.validations.is_empty(),
            // How much of what stands around an escape belongs to it, a plain oracle can't say.
            escapes: policy.content_filters.iter().all(|filter| filter.action != Action::Redact),
        };
        let sends = Direction::BOTH.map(|direction| script(direction, &legs, habits, &mut random));
        Self { policy, legs, is_unsteady, is_slow, sends }
    }
}

fn policy(random: &mut Random) -> Policy {
    let close = Action::Close(CloseCode::POLICY_VIOLATION);
    let both = Directions::Both;
    let filter = ContentFilter {
        name: "content-filter-1".into(),
        patterns: vec![Pattern::Literal(String::from_utf8_lossy(TOKEN).into_owned())],
        rule_sets: Vec::new(),
        directions: random.pick(&[both, both, both, Directions::ToServer, Directions::ToClient]),
        normalize: Normalize::default(),
        action: random.pick(&[
            close,
            close,
            Action::Drop,
            Action::Drop,
            Action::Alert,
            Action::Redact,
            Action::Redact,
        ]),
        redact_with: None,
        reply: reply(random),
        message_size_max: Some(MESSAGE_SIZE_MAX as u64),
    };
    Policy {
        name: "sim".into(),
        events: EventKind::ALL.into_iter().collect(),
        timeout_ms: 50,
        failure_mode: random.pick(&[FailureMode::Open, FailureMode::Closed]),
        mode: random.pick(&[Mode::Enforce, Mode::Enforce, Mode::Enforce, Mode::Detect]),
        limits: Limits {
            message_size_max: HELD_SIZE_MAX as u64,
            fragments_max: FRAGMENTS_MAX as u32,
            message_timeout_ms: MESSAGE_TIMEOUT_MS,
            idle_timeout_s: random.pick(&[60, 200, 200]),
            control_frames_per_second: random.pick(&[100, 100, 1]),
            ..Limits::default()
        },
        content_filters: vec![filter],
        rate_limits: rate_limit(random).into_iter().collect(),
        validations: if random.one_in(3) { vec![validation()] } else { Vec::new() },
        ..Policy::default()
    }
}

/// One that asks for nothing and only alerts: what it adds is that binary messages are decoded.
fn validation() -> Validation {
    Validation {
        name: "validation-1".into(),
        schema_type: SchemaType::MessagePack,
        schema_path: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/anything.json").into()),
        registry: None,
        subprotocols: None,
        directions: Directions::Both,
        messages: MessageTypes::Binary,
        action: Action::Alert,
        reply: None,
    }
}

/// None, or one of messages, of bytes or of both.
fn rate_limit(random: &mut Random) -> Option<RateLimit> {
    if random.one_in(2) {
        return None;
    }
    let messages = Rate { per_second: random.pick(&[1, 50]), burst: random.pick(&[2, 5]) };
    let bytes = Rate { per_second: random.pick(&[10, 5_000]), burst: random.pick(&[1_000, 9_000]) };
    let (messages, bytes) =
        random.pick(&[(Some(messages), None), (None, Some(bytes)), (Some(messages), Some(bytes))]);
    Some(RateLimit {
        name: "rate-limit-1".into(),
        rates: Rates { messages, bytes, inflated_bytes: None },
        directions: random.pick(&[Directions::Both, Directions::ToServer, Directions::ToClient]),
        action: random.pick(&[Action::Drop, Action::Close(CloseCode::POLICY_VIOLATION)]),
        reply: reply(random),
        ..RateLimit::default()
    })
}

fn reply(random: &mut Random) -> Option<String> {
    random.one_in(2).then(|| REPLY.to_owned())
}

fn agreement(random: &mut Random) -> Option<Agreement> {
    let mut flow = || Flow {
        no_context_takeover: random.one_in(2),
        window_bits: random.pick(&[None, None, Some(8), Some(9), Some(12), Some(15)]),
    };
    let agreement = Agreement { by_client: flow(), by_server: flow() };
    random.one_in(2).then_some(agreement)
}

/// How the sender of `direction` compresses.
pub fn flow_from(legs: &Legs, direction: Direction) -> Option<Flow> {
    match direction {
        Direction::ToServer => legs.client.map(|leg| leg.by_client),
        Direction::ToClient => legs.server.map(|leg| leg.by_server),
    }
}

/// How its receiver wants it.
pub fn flow_to(legs: &Legs, direction: Direction) -> Option<Flow> {
    match direction {
        Direction::ToServer => legs.server.map(|leg| leg.by_client),
        Direction::ToClient => legs.client.map(|leg| leg.by_server),
    }
}

/// How peers write.
#[derive(Clone, Copy)]
struct Habits {
    /// Binary messages are MessagePack, or are meant to be.
    packs: bool,
    /// Tokens come escaped, too.
    escapes: bool,
}

fn script(direction: Direction, legs: &Legs, habits: Habits, random: &mut Random) -> Vec<Sent> {
    let compresses = flow_from(legs, direction).is_some();
    let mut script: Vec<_> = if random.one_in(30) {
        // What adds up over many messages shows only then.
        let size = random.pick(&[200, 1_000, 5_000]);
        (0..100).map(|_| noise(size, compresses, habits.packs, random)).collect()
    } else {
        (0..random.below(14)).map(|_| item(compresses, habits, random)).collect()
    };
    if random.one_in(6) {
        script.push(fault::fault(direction, compresses, random));
    } else if random.one_in(2) {
        let reason = random.pick(&["bye", "", "bye <<ATTACK>>", "bye"]);
        script.push(Sent::Close { code: random.pick(&[1000, 1001, 3000, 4999]), reason });
    }
    script
}

/// A message that no compressor makes smaller.
fn noise(size: usize, is_compressed: bool, packs: bool, random: &mut Random) -> Sent {
    let mut payload = random.bytes(size);
    if packs {
        pack(&mut payload, random);
    }
    Sent::Message { opcode: Opcode::Binary, payload, fragments: 1, ping_between: false, is_compressed }
}

/// Makes it binary data of MessagePack, or none at all.
fn pack(payload: &mut Vec<u8>, random: &mut Random) {
    if random.one_in(4) {
        payload.insert(0, UNDECODABLE);
        return;
    }
    let size = (payload.len() as u32).to_be_bytes();
    payload.splice(0..0, [0xc6].into_iter().chain(size));
}

fn item(compresses: bool, Habits { packs, escapes }: Habits, random: &mut Random) -> Sent {
    if random.one_in(5) {
        let opcode = random.pick(&[Opcode::Ping, Opcode::Pong]);
        let mut payload = text(random, 100);
        if random.one_in(6) {
            payload.extend_from_slice(TOKEN);
        }
        return Sent::Control { opcode, payload };
    }
    let is_text = !random.one_in(3);
    let size =
        random.pick(&[0, 1, 20, 125, 126, 500, 5_000, 5_000, MESSAGE_SIZE_MAX, 7_000, HELD_SIZE_MAX, 9_000]);
    let mut payload = if is_text { text(random, size) } else { random.bytes(size) };
    if is_text && !escapes {
        // Not the beginning of a document that nests too deep to be redacted.
        payload.insert(0, b'a');
    }
    if random.one_in(5) {
        let at = random.below(payload.len() + 1);
        let at = (0..=at).rev().find(|at| !is_text || is_boundary(&payload, *at)).unwrap_or(0);
        let escaped = if escapes { TOKEN_ESCAPED } else { TOKEN };
        let token = random.pick(&[TOKEN, TOKEN, escaped, escaped, DEEP, DEEP]);
        payload.splice(at..at, token.iter().copied());
    }
    if packs && !is_text {
        pack(&mut payload, random);
    }
    let fragments = 1 + random.pick(&[0, 0, 0, 1, 2, 10, 20]);
    let is_compressed = random.one_in(2) && compresses;
    // Which fragment inflates beyond the limit only the inflater knows: what is before it would be a guess.
    let is_guess = is_compressed && size >= MESSAGE_SIZE_MAX;
    Sent::Message {
        opcode: if is_text { Opcode::Text } else { Opcode::Binary },
        payload,
        fragments: if is_guess { fragments.min(FRAGMENTS_MAX) } else { fragments },
        ping_between: random.one_in(4) && !is_guess,
        is_compressed,
    }
}

/// Text with characters of every length.
fn text(random: &mut Random, size: usize) -> Vec<u8> {
    let mut text = String::new();
    while text.len() < size {
        text.push(random.pick(&['a', 'z', ' ', '"', '{', '\\', 'é', '€', '🦀', UNSEEN]));
    }
    while text.len() > size {
        text.pop();
    }
    text.into_bytes()
}

fn is_boundary(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(|byte| byte & 0xc0 != 0x80)
}

/// Which peer sends in a direction.
pub fn sender(direction: Direction) -> Role {
    match direction {
        Direction::ToServer => Role::Client,
        Direction::ToClient => Role::Server,
    }
}
