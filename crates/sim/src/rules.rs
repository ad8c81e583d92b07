//! Policies from a seed.

use wsi_policy::{
    Action, Change, CloseCode, Compare, ContentFilter, Directions, Discriminator, Duplicate, EventKind,
    FailureMode, HashKey, Limits, Literal, MessageFormat, MessageTypes, Mode, Normalize, Order, Pattern,
    Policy, Rate, RateLimit, Rates, Reading, Rewrite, RewriteFormat, SchemaType, Sequence, State, StateCheck,
    StateRule, Transition, UnknownFields, UnknownTypes, Validation,
};

use crate::{
    document::Format,
    random::Random,
    scenario::{FRAGMENTS_MAX, HELD_SIZE_MAX, MESSAGE_SIZE_MAX, MESSAGE_TIMEOUT_MS, REPLY, TOKEN},
};

const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/sim.proto");
const PROTO_TYPE: &str = "sim.Message";
const HASH_KEY: &[u8] = b"sixteen bytes at least";

/// The policy of a connection whose rules read messages as `format`.
pub fn policy(format: Option<Format>, random: &mut Random) -> Policy {
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
        rate_limits: rate_limit(random)
            .filter(|_| format.is_none() || random.one_in(3))
            .into_iter()
            .collect(),
        // It would take binary messages of another format for none.
        validations: if random.one_in(3) && format != Some(Format::Protobuf) {
            vec![validation()]
        } else {
            Vec::new()
        },
        states: format.map_or_else(Vec::new, |format| states(format, random)),
        rewrites: format.map_or_else(Vec::new, |format| rewrites(format, random)),
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

/// Each of the rules with a memory, or some of them.
fn states(format: Format, random: &mut Random) -> Vec<StateRule> {
    let mut rules = Vec::new();
    for (name, check) in [
        ("sequence-1", StateCheck::Sequence(sequence(random))),
        ("order-1", StateCheck::Order(order(random))),
        ("duplicate-1", StateCheck::Duplicate(duplicate(random))),
    ] {
        let rule = StateRule {
            name: name.into(),
            reading: Reading { format: message_format(format), messages: messages(format) },
            key: random.one_in(2).then(|| "/stream".to_owned()),
            keys_max: random.pick(&[1, 2, 10, 1_024]),
            directions: directions(random),
            check,
        };
        if random.one_in(2) {
            rules.push(rule);
        }
    }
    rules
}

fn sequence(random: &mut Random) -> Sequence {
    Sequence {
        field: "/seq".into(),
        step: random.pick(&[None, Some(1), Some(2)]),
        on_gap: action(random),
        on_repeat: action(random),
    }
}

fn order(random: &mut Random) -> Order {
    let on = |kind: &str, to, directions| Transition { kind: kind.into(), directions, to };
    let both = Directions::Both;
    let (first, second) = (
        vec![on("login", 1, random.pick(&[both, Directions::ToServer]))],
        vec![
            on("order", 1, both),
            on("fill", 1, random.pick(&[both, Directions::ToClient])),
            on("logout", 0, both),
        ],
    );
    Order {
        discriminator: Discriminator::Field("/type".into()),
        states: vec![
            State { name: "outside".into(), transitions: first },
            State { name: "inside".into(), transitions: second },
        ],
        unknown_types: random.pick(&[UnknownTypes::Reject, UnknownTypes::Allow]),
        action: action(random),
    }
}

fn duplicate(random: &mut Random) -> Duplicate {
    Duplicate {
        field: random.pick(&[Some("/text"), Some("/text"), None]).map(str::to_owned),
        compare: random.pick(&[Compare::Exact, Compare::Similar]),
        within_ms: random.pick(&[1, 10, 200, 10_000]),
        repeats_max: random.pick(&[0, 0, 1, 2]),
        action: action(random),
    }
}

/// None, or up to two places that are changed.
fn rewrites(format: Format, random: &mut Random) -> Vec<Rewrite> {
    let count = random.pick(&[0, 0, 1, 2]);
    let rewrite = |number| {
        let text = |text: &str| Change::Set(Literal::Text(text.into()));
        let (at, change) = match random.below(12) {
            0 => ("/user", Change::Remove),
            1 => ("/items", Change::Remove),
            place => {
                let at = ["/account", "/user/id", "/items/*/tag", "/text", "/account"][place % 5];
                let change = match random.below(12) {
                    0..3 => Change::Remove,
                    3..5 => text("gone \"for\" good"),
                    5 => set_token(),
                    6 => Change::Mask { keep_last: 0 },
                    7..9 => Change::Mask { keep_last: 3 },
                    _ => Change::Hash(HashKey::new(HASH_KEY)),
                };
                (at, change)
            }
        };
        let format_of = match format {
            Format::Json => RewriteFormat::Json,
            Format::MessagePack => RewriteFormat::MessagePack,
            Format::Protobuf => {
                RewriteFormat::Protobuf { schema_path: PROTO.into(), message: PROTO_TYPE.into() }
            }
        };
        Rewrite {
            name: format!("rewrite-{number}"),
            format: format_of,
            at: at.into(),
            change,
            directions: directions(random),
            messages: messages(format),
        }
    };
    (1..=count).map(rewrite).collect()
}

/// A change that makes what the filter looks for.
pub fn set_token() -> Change {
    Change::Set(Literal::Text(String::from_utf8_lossy(TOKEN).into_owned()))
}

fn message_format(format: Format) -> MessageFormat {
    match format {
        Format::Json => MessageFormat::Json,
        Format::MessagePack => MessageFormat::MessagePack,
        Format::Protobuf => MessageFormat::Protobuf {
            path: PROTO.into(),
            message: PROTO_TYPE.into(),
            unknown_fields: UnknownFields::Reject,
        },
    }
}

fn messages(format: Format) -> MessageTypes {
    if format == Format::Json { MessageTypes::Text } else { MessageTypes::Binary }
}

fn directions(random: &mut Random) -> Directions {
    random.pick(&[Directions::Both, Directions::ToServer, Directions::ToClient])
}

/// Mostly one that lets the connection live.
fn action(random: &mut Random) -> Action {
    let close = Action::Close(CloseCode::POLICY_VIOLATION);
    random.pick(&[Action::Drop, Action::Drop, Action::Drop, Action::Alert, Action::Alert, close])
}
