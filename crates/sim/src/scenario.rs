//! What is played: a policy, and what each peer will send, all from the seed.

use wsi_policy::{
    Action, CloseCode, ContentFilter, Direction, Directions, FailureMode, Limits, Mode, Pattern, Policy,
};
use wsi_ws::{Opcode, Role};

use crate::{peer, random::Random};

/// What the rules name. Nothing that is random contains it.
pub const TOKEN: &[u8] = b"<<ATTACK>>";
/// The token as a JSON string may hide it.
pub const TOKEN_ESCAPED: &[u8] = br"\u003c\u003cATTACK>>";
/// Above 4 KiB, so that the budget of large messages plays too.
pub const MESSAGE_SIZE_MAX: usize = 6_000;
pub const FRAGMENTS_MAX: usize = 12;

/// One connection to play.
#[derive(Debug)]
pub struct Scenario {
    pub policy: Policy,
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
    },
    Control {
        opcode: Opcode,
        payload: Vec<u8>,
    },
    Close {
        code: u16,
    },
    /// Something that breaks the protocol, and what it breaks.
    Fault {
        bytes: Vec<u8>,
        code: u16,
    },
}

impl Scenario {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, 1);
        let policy = policy(&mut random);
        let sends = Direction::BOTH.map(|direction| script(direction, &mut random));
        Self { policy, sends }
    }
}

fn policy(random: &mut Random) -> Policy {
    let close = Action::Close(CloseCode::POLICY_VIOLATION);
    let filter = ContentFilter {
        name: "content-filter-1".into(),
        patterns: vec![Pattern::Literal(String::from_utf8_lossy(TOKEN).into_owned())],
        action: random.pick(&[close, close, Action::Drop, Action::Drop, Action::Alert]),
        directions: Directions::Both,
        message_size_max: Some(MESSAGE_SIZE_MAX as u64),
        ..peer::empty_filter()
    };
    Policy {
        name: "sim".into(),
        events: wsi_policy::EventKind::ALL.into_iter().collect(),
        // The clock of a run leaps, so that with a budget of nothing every large message is over it.
        timeout_ms: random.pick(&[50, 50, 0]),
        failure_mode: random.pick(&[FailureMode::Open, FailureMode::Closed]),
        mode: random.pick(&[Mode::Enforce, Mode::Enforce, Mode::Enforce, Mode::Detect]),
        limits: Limits {
            message_size_max: MESSAGE_SIZE_MAX as u64,
            fragments_max: FRAGMENTS_MAX as u32,
            message_timeout_ms: 5_000,
            idle_timeout_s: 60,
            ..Limits::default()
        },
        content_filters: vec![filter],
        ..Policy::default()
    }
}

fn script(direction: Direction, random: &mut Random) -> Vec<Sent> {
    let mut script: Vec<_> = (0..random.below(14)).map(|_| item(random)).collect();
    if random.one_in(8) {
        script.push(peer::fault(direction, random));
    } else if random.one_in(2) {
        script.push(Sent::Close { code: random.pick(&[1000, 1001, 3000, 4999]) });
    }
    script
}

fn item(random: &mut Random) -> Sent {
    if random.one_in(5) {
        let opcode = random.pick(&[Opcode::Ping, Opcode::Pong]);
        let mut payload = text(random, 100);
        if random.one_in(6) {
            payload.extend_from_slice(TOKEN);
        }
        return Sent::Control { opcode, payload };
    }
    let is_text = !random.one_in(3);
    let size = random.pick(&[0, 1, 20, 125, 126, 500, 5_000, 7_000]);
    let mut payload = if is_text { text(random, size) } else { random.bytes(size) };
    if random.one_in(5) {
        let at = random.below(payload.len() + 1);
        let at = (0..=at).rev().find(|at| !is_text || is_boundary(&payload, *at)).unwrap_or(0);
        let token = random.pick(&[TOKEN, TOKEN_ESCAPED]);
        payload.splice(at..at, token.iter().copied());
    }
    Sent::Message {
        opcode: if is_text { Opcode::Text } else { Opcode::Binary },
        payload,
        fragments: 1 + random.pick(&[0, 0, 0, 1, 2, 10, 20]),
        ping_between: random.one_in(4),
    }
}

/// Text with characters of every length.
fn text(random: &mut Random, size: usize) -> Vec<u8> {
    let mut text = String::new();
    while text.len() < size {
        text.push(random.pick(&['a', 'z', ' ', '"', '{', '\\', 'é', '€', '🦀', '\u{202e}']));
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
