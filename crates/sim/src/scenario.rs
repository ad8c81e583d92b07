//! What is played: a policy, how the legs compress, and what each peer will send, all from the seed.

use wsi_inspect::Legs;
use wsi_policy::{Action, Direction, Policy};
use wsi_ws::{
    Opcode, Role,
    deflate::{Agreement, Flow},
};

use crate::{
    document::{Document, Format, Value, Voice, Words},
    fault,
    random::Random,
    rules,
};

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
/// No Protobuf message begins with it.
const NO_FIELD: u8 = 0x07;
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
    /// What the rules that look into messages read.
    pub format: Option<Format>,
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
        /// What its receiver finds in it; `None`: it is none of the documents that the rules look at, or can't be read as one.
        document: Option<Document>,
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
        let format = random.pick(&[
            None,
            None,
            Some(Format::Json),
            Some(Format::Json),
            Some(Format::MessagePack),
            Some(Format::Protobuf),
        ]);
        let policy = rules::policy(format, &mut random);
        let legs = Legs { client: agreement(&mut random), server: agreement(&mut random) };
        let (is_unsteady, is_slow) = (random.one_in(2), random.one_in(3));
        let habits = Habits {
            format,
            is_calm: format.is_some() && !random.one_in(3),
            packs: !policy.validations.is_empty() || format == Some(Format::MessagePack),
            // How much of what stands around an escape belongs to it, a plain oracle can't say.
            escapes: policy.content_filters.iter().all(|filter| filter.action != Action::Redact),
            // A message in which the rules put a token has nothing else to be found.
            deepens: policy.rewrites.iter().all(|rewrite| rewrite.change != rules::set_token()),
        };
        let sends = Direction::BOTH.map(|direction| script(direction, &legs, habits, &mut random));
        Self { format, policy, legs, is_unsteady, is_slow, sends }
    }
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
    /// What the rules want to read.
    format: Option<Format>,
    /// Binary messages are MessagePack, or are meant to be.
    packs: bool,
    /// Tokens come escaped, too.
    escapes: bool,
    /// What is encoded too many times over comes.
    deepens: bool,
    /// Little but documents of a usual size comes: other things end a connection before much has been said on it.
    is_calm: bool,
}

fn script(direction: Direction, legs: &Legs, habits: Habits, random: &mut Random) -> Vec<Sent> {
    let compresses = flow_from(legs, direction).is_some();
    let mut voice = habits.format.map(Voice::new);
    let mut script: Vec<_> = if random.one_in(30) {
        // What adds up over many messages shows only then.
        let size = random.pick(&[200, 1_000, 5_000]);
        (0..100).map(|_| noise(size, compresses, habits, random)).collect()
    } else {
        // What is remembered shows only later.
        let count = if voice.is_some() { 10 + random.below(30) } else { random.below(14) };
        (0..count).map(|_| item(compresses, habits, voice.as_mut(), random)).collect()
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
fn noise(size: usize, is_compressed: bool, habits: Habits, random: &mut Random) -> Sent {
    let mut payload = random.bytes(size);
    let document = habits.packed(&mut payload, random);
    let opcode = Opcode::Binary;
    Sent::Message { opcode, payload, document, fragments: 1, ping_between: false, is_compressed }
}

impl Habits {
    /// Makes it binary data of MessagePack, or what can't be read; gives what its receiver finds in it.
    fn packed(self, payload: &mut Vec<u8>, random: &mut Random) -> Option<Document> {
        if self.format == Some(Format::Protobuf) {
            payload.insert(0, NO_FIELD);
            return None;
        }
        if !self.packs {
            return None;
        }
        if random.one_in(4) {
            payload.insert(0, UNDECODABLE);
            return None;
        }
        let value = Value::Bytes(payload.clone());
        let size = (payload.len() as u32).to_be_bytes();
        payload.splice(0..0, [0xc6].into_iter().chain(size));
        Some(Document { format: Format::MessagePack, value, blank: "" })
    }
}

fn item(compresses: bool, habits: Habits, voice: Option<&mut Voice>, random: &mut Random) -> Sent {
    if random.one_in(if habits.is_calm { 30 } else { 5 }) {
        let opcode = random.pick(&[Opcode::Ping, Opcode::Pong]);
        let mut payload = text(random, 100);
        if random.one_in(6) {
            payload.extend_from_slice(TOKEN);
        }
        return Sent::Control { opcode, payload };
    }
    let voice = voice.filter(|_| habits.is_calm || !random.one_in(4));
    let (opcode, payload, document) = match voice {
        Some(voice) => {
            let opcode = if voice.format == Format::Json { Opcode::Text } else { Opcode::Binary };
            if random.one_in(25) {
                (opcode, voice.document(Words::default(), random).broken(random), None)
            } else {
                let document = spoken(voice, habits, random);
                (opcode, document.written(), Some(document))
            }
        }
        None => plain(habits, random),
    };
    let fragments = if habits.is_calm { [0, 0, 0, 1, 2] } else { [0, 1, 2, 10, 20] };
    let fragments = 1 + random.pick(&fragments);
    let is_compressed = random.one_in(2) && compresses;
    // Which fragment inflates beyond the limit only the inflater knows: what is before it would be a guess.
    let is_guess = is_compressed && payload.len() >= MESSAGE_SIZE_MAX;
    Sent::Message {
        opcode,
        payload,
        document,
        fragments: if is_guess { fragments.min(FRAGMENTS_MAX) } else { fragments },
        ping_between: random.one_in(4) && !is_guess,
        is_compressed,
    }
}

/// A document, mostly a small one.
fn spoken(voice: &mut Voice, habits: Habits, random: &mut Random) -> Document {
    let mut words = Words::default();
    if random.one_in(if habits.is_calm { 20 } else { 8 }) {
        let is_deep = habits.deepens && random.one_in(3);
        let token = String::from_utf8_lossy(if is_deep { DEEP } else { TOKEN }).into_owned();
        let place = if random.one_in(3) { &mut words.account } else { &mut words.text };
        let text = format!("it is {token} here");
        // What is encoded too often in itself is only told from other texts unescaped.
        let is_escaped = habits.escapes && !is_deep && random.one_in(2);
        *place = Some(if is_escaped { Value::Escaped(text) } else { Value::Text(text) });
    }
    if random.one_in(8) {
        let largest = if habits.is_calm { 5_500 } else { 7_000 };
        let size = random.pick(&[1, 100, 4_000, 5_000, 5_700, 5_750, 5_800, 5_850, largest]);
        words.filler = String::from_utf8_lossy(&text(random, size)).into_owned();
    }
    voice.document(words, random)
}

/// A message without meaning.
fn plain(habits: Habits, random: &mut Random) -> (Opcode, Vec<u8>, Option<Document>) {
    let is_text = !random.one_in(3);
    let size =
        random.pick(&[0, 1, 20, 125, 126, 500, 5_000, 5_000, MESSAGE_SIZE_MAX, 7_000, HELD_SIZE_MAX, 9_000]);
    let mut payload = if is_text { text(random, size) } else { random.bytes(size) };
    if is_text && (!habits.escapes || habits.format == Some(Format::Json)) {
        // Not the beginning of a document, as of one that nests too deep to be redacted.
        payload.insert(0, b'a');
    }
    if random.one_in(5) {
        let at = random.below(payload.len() + 1);
        let at = (0..=at).rev().find(|at| !is_text || is_boundary(&payload, *at)).unwrap_or(0);
        let escaped = if habits.escapes { TOKEN_ESCAPED } else { TOKEN };
        let deep = if habits.deepens { DEEP } else { TOKEN };
        let token = random.pick(&[TOKEN, TOKEN, escaped, escaped, deep, deep]);
        payload.splice(at..at, token.iter().copied());
    }
    let document = if is_text { None } else { habits.packed(&mut payload, random) };
    (if is_text { Opcode::Text } else { Opcode::Binary }, payload, document)
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
