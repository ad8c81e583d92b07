//! A session between two peers, without sockets: what arrives, what is told, and how it ends.
#![allow(clippy::unwrap_used)]

mod wire;

use std::sync::Arc;

use proptest::prelude::*;
use wsi_inspect::{Engine, Initiator, Role};
use wsi_policy::{
    Action, Direction, Directions, FailureMode, Limits, MessageTypes, Mode, Normalize, Policy, Rate,
    RateLimit, Rates, SchemaType, Validation,
};
use wsi_ws::{CloseCode, Opcode};

use wire::{CLOSE_1008, Got, Wire, filter, filtering, frame, message, policy, text};

const BOTH: [Direction; 2] = Direction::BOTH;

#[test]
fn what_is_allowed_arrives_in_order_and_freshly_masked() {
    for direction in BOTH {
        let mut wire = Wire::new(&filtering(CLOSE_1008));
        let sent = [message(direction, "one"), message(direction, ""), message(direction, "three")].concat();
        wire.read(direction, &sent);
        assert_eq!(wire.arrived(direction), [text("one"), text(""), text("three")]);
        let is_same = wire.received[direction.index()] == sent;
        assert_eq!(is_same, direction == Direction::ToClient, "a mask is fresh, a server's frame as it came");
    }
}

#[test]
fn good_messages_before_a_bad_one_arrive_and_none_after() {
    for direction in BOTH {
        let mut wire = Wire::new(&filtering(CLOSE_1008));
        let sent = ["good", "exec(1)", "late"].map(|payload| message(direction, payload)).concat();
        wire.read(direction, &sent);
        wire.read(direction, &message(direction, "later"));
        assert_eq!(wire.arrived(direction), [text("good"), Got::Close(Some(1008))]);
        assert_eq!(wire.arrived(direction.reverse()), [Got::Close(Some(1008))]);
        assert_eq!(wire.rules(), ["content-filter-1/block-patterns-1"]);
        assert!(wire.session.is_over());
    }
}

#[test]
fn a_dropped_message_leaves_its_neighbours_alone() {
    for direction in BOTH {
        let mut wire = Wire::new(&filtering(Action::Drop));
        let sent = ["a", "exec(", "b", "<script", "c"].map(|payload| message(direction, payload)).concat();
        wire.read(direction, &sent);
        assert_eq!(wire.arrived(direction), [text("a"), text("b"), text("c")]);
        assert_eq!(wire.rules().len(), 2);
        assert!(!wire.session.is_over());
    }
}

#[test]
fn a_signature_is_found_however_it_is_cut() {
    for direction in BOTH {
        for cut in 0..8 {
            let (a, b) = "x exec(".split_at(cut.min(7));
            let mut wire = Wire::new(&filtering(Action::Drop));
            wire.read(direction, &frame(direction, false, Opcode::Text, a.as_bytes()));
            wire.read(direction, &frame(direction, true, Opcode::Ping, b"alive"));
            wire.read(direction, &frame(direction, false, Opcode::Continuation, b""));
            wire.read(direction, &frame(direction, true, Opcode::Continuation, b.as_bytes()));
            wire.read(direction, &message(direction, "next"));
            let ping = Got::Control(Opcode::Ping, b"alive".into());
            assert_eq!(wire.arrived(direction), [ping, text("next")], "the whole message is gone");
        }
    }
}

#[test]
fn escapes_are_undone_before_matching() {
    for payload in [
        r#"{"a":"\u003cscript>"}"#,
        r#"{"\u003Cscript":1}"#,
        r#"{"a":"{\"b\":\"\\u003cscript\"}"}"#,
        r#"not json \u0065xec("#,
    ] {
        let mut wire = Wire::new(&filtering(CLOSE_1008));
        wire.read(Direction::ToServer, &message(Direction::ToServer, payload));
        assert_eq!(wire.rules().len(), 1, "{payload}");
        let mut filter = filter(CLOSE_1008);
        filter.normalize = Normalize::NONE;
        let mut wire = Wire::new(&Policy { content_filters: vec![filter], ..policy() });
        wire.read(Direction::ToServer, &message(Direction::ToServer, payload));
        assert_eq!(wire.arrived(Direction::ToServer), [text(payload)], "normalize \"none\"");
    }
}

#[test]
fn control_payloads_and_close_reasons_are_scanned() {
    for direction in BOTH {
        for opcode in [Opcode::Ping, Opcode::Pong, Opcode::Close] {
            let payload = if opcode == Opcode::Close { &b"\x03\xe8exec("[..] } else { b"exec(" };
            let mut wire = Wire::new(&filtering(Action::Drop));
            wire.read(direction, &frame(direction, true, opcode, payload));
            assert_eq!(wire.rules(), ["content-filter-1/block-patterns-1"]);
            let expected = if opcode == Opcode::Close { vec![Got::Close(Some(1008))] } else { vec![] };
            assert_eq!(wire.arrived(direction), expected);
        }
    }
}

#[test]
fn detect_mode_tells_and_carries_nothing_out() {
    let big = "x".repeat(65_537);
    for payload in ["exec(", &big] {
        let mut wire = Wire::new(&Policy { mode: Mode::Detect, ..filtering(CLOSE_1008) });
        wire.read(Direction::ToServer, &message(Direction::ToServer, payload));
        assert_eq!(wire.arrived(Direction::ToServer), [text(payload)]);
        assert_eq!(wire.told.verdicts.len(), 1);
        assert_eq!(wire.told.verdicts[0].2, Mode::Detect);
    }
    // What can't be understood can't be inspected: the protocol holds in every mode.
    let mut wire = Wire::new(&Policy { mode: Mode::Detect, ..policy() });
    wire.read(Direction::ToServer, &frame(Direction::ToServer, true, Opcode::Text, b"\xff"));
    assert_eq!(wire.arrived(Direction::ToClient), [Got::Close(Some(1007))]);
}

#[test]
fn the_size_rule_is_told_by_its_own_name() {
    let mut wire = Wire::new(&filtering(CLOSE_1008));
    // The header alone is enough.
    wire.read(Direction::ToServer, &message(Direction::ToServer, &"x".repeat(65_537))[..14]);
    assert_eq!(wire.arrived(Direction::ToClient), [Got::Close(Some(1009))]);
    assert_eq!(wire.rules(), ["content-filter-1/max-message-size"]);

    let limits = Limits { frame_size_max: Some(10), ..Limits::default() };
    let mut wire = Wire::new(&Policy { limits, ..policy() });
    wire.read(Direction::ToServer, &message(Direction::ToServer, "eleven bytes"));
    assert_eq!(wire.rules(), ["limits/max-frame-size"]);
}

#[test]
fn close_codes_pass_through_and_nothing_follows_them() {
    for direction in BOTH {
        for code in [None, Some(1000u16), Some(1001), Some(3000), Some(4999)] {
            let body = code.map_or(Vec::new(), |code| [&code.to_be_bytes()[..], b"bye"].concat());
            let close = |direction| frame(direction, true, Opcode::Close, &body);
            let mut wire = Wire::new(&policy());
            wire.read(direction, &[close(direction), message(direction, "after")].concat());
            assert!(!wire.session.is_over());
            wire.read(direction.reverse(), &close(direction.reverse()));
            assert_eq!(wire.arrived(direction), [Got::Close(code)]);
            assert_eq!(wire.arrived(direction.reverse()), [Got::Close(code)]);
            assert!(wire.session.is_over());
            wire.session.end(&mut wire.told);
            let initiator =
                if direction == Direction::ToServer { Initiator::Client } else { Initiator::Server };
            assert_eq!(wire.told.ends, [(code, initiator)]);
        }
    }
}

#[test]
fn a_peer_that_vanishes_is_told_to_the_other() {
    let mut wire = Wire::new(&policy());
    wire.end(Role::Client);
    assert_eq!(wire.arrived(Direction::ToServer), [Got::Close(Some(1001))]);
    let mut wire = Wire::new(&policy());
    wire.end(Role::Server);
    assert_eq!(wire.arrived(Direction::ToClient), [Got::Close(Some(1011))]);
    assert!(wire.session.is_over());
}

#[test]
fn time_limits() {
    const SECOND: u64 = 1_000_000_000;
    let limits = Limits { message_timeout_ms: 3_000, idle_timeout_s: 10, ..Limits::default() };
    let mut wire = Wire::new(&Policy { limits, ..policy() });
    assert_eq!(wire.session.deadline_ns(), 10 * SECOND);
    wire.now_ns = 5 * SECOND;
    wire.read(Direction::ToServer, &frame(Direction::ToServer, false, Opcode::Text, b"begin"));
    assert_eq!(wire.session.deadline_ns(), 8 * SECOND);
    wire.now_ns = 7 * SECOND;
    wire.read(Direction::ToServer, &frame(Direction::ToServer, false, Opcode::Continuation, b"more"));
    wire.time_passes(8 * SECOND - 1);
    assert!(!wire.session.is_over(), "not early");
    wire.time_passes(8 * SECOND);
    assert_eq!(wire.arrived(Direction::ToClient), [Got::Close(Some(1008))]);
    assert_eq!(wire.rules(), ["limits/message-timeout-ms"]);

    // A header that does not end is a message that does not end, also right behind one that did.
    let mut wire = Wire::new(&Policy { limits, ..policy() });
    wire.now_ns = SECOND;
    let sent = message(Direction::ToServer, "whole");
    wire.read(Direction::ToServer, &[&sent[..], &sent[..1]].concat());
    assert_eq!(wire.session.deadline_ns(), 4 * SECOND);
    wire.now_ns = 2 * SECOND;
    wire.read(Direction::ToServer, &sent[1..]);
    assert_eq!(wire.session.deadline_ns(), 12 * SECOND);

    let mut wire = Wire::new(&Policy { limits, ..policy() });
    wire.time_passes(10 * SECOND);
    assert_eq!(wire.arrived(Direction::ToServer), [Got::Close(Some(1001))]);
    assert_eq!(wire.rules(), [] as [&str; 0]);
}

#[test]
fn rate_limits_count_messages_not_fragments_and_each_direction_alone() {
    let limit = RateLimit {
        name: "rate-limit-1".into(),
        rates: Rates { messages: Some(Rate { per_second: 1, burst: 3 }), ..Rates::default() },
        action: Action::Drop,
        ..RateLimit::default()
    };
    let mut wire = Wire::new(&Policy { rate_limits: vec![limit], ..policy() });
    for _ in 0..10 {
        wire.read(Direction::ToClient, &message(Direction::ToClient, "push"));
    }
    wire.read(Direction::ToServer, &frame(Direction::ToServer, false, Opcode::Text, b"1"));
    for _ in 0..20 {
        wire.read(Direction::ToServer, &frame(Direction::ToServer, false, Opcode::Continuation, b"1"));
    }
    wire.read(Direction::ToServer, &frame(Direction::ToServer, true, Opcode::Continuation, b"1"));
    for payload in ["2", "3", "4"] {
        wire.read(Direction::ToServer, &message(Direction::ToServer, payload));
    }
    wire.now_ns += 1_000_000_000;
    wire.read(Direction::ToServer, &message(Direction::ToServer, "5"));
    let arrived = wire.arrived(Direction::ToServer);
    assert_eq!(arrived, [text(&"1".repeat(22)), text("2"), text("3"), text("5")]);
    assert_eq!(wire.arrived(Direction::ToClient).len(), 10);
    assert_eq!(wire.rules(), ["rate-limit-1"]);
}

#[test]
fn a_flood_of_pings_is_no_keep_alive() {
    let limits = Limits { control_frames_per_second: 2, ..Limits::default() };
    let mut wire = Wire::new(&Policy { limits, ..Policy::default() });
    let pings = |count| frame(Direction::ToServer, true, Opcode::Ping, b"?").repeat(count);
    wire.read(Direction::ToServer, &pings(4));
    wire.read(Direction::ToClient, &frame(Direction::ToClient, true, Opcode::Pong, b"?").repeat(4));
    wire.now_ns = 1_000_000_000;
    wire.read(Direction::ToServer, &pings(2));
    assert_eq!(wire.rules(), [""; 0]);
    assert_eq!(wire.arrived(Direction::ToServer).len(), 6);
    wire.read(Direction::ToServer, &pings(1));
    assert_eq!(wire.rules(), ["limits/control-frames-per-second"]);
    assert_eq!(wire.arrived(Direction::ToServer).last(), Some(&Got::Close(Some(1008))));
}

fn validating(action: Action) -> (Policy, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.json");
    std::fs::write(&path, r#"{"type":"object","required":["type"]}"#).unwrap();
    let validation = Validation {
        name: "validation-1".into(),
        schema_type: SchemaType::Json,
        schema_path: Some(path),
        registry: None,
        directions: Directions::Both,
        messages: MessageTypes::Text,
        subprotocols: None,
        action,
        reply: None,
    };
    (Policy { validations: vec![validation], ..policy() }, folder)
}

#[test]
fn schemas_judge_whole_messages() {
    let close = Action::Close(CloseCode::INVALID_PAYLOAD);
    let (policy, _folder) = validating(close);
    let direction = Direction::ToServer;
    let mut wire = Wire::new(&policy);
    for (i, part) in [r#"{"ty"#, r#"pe":"#, "1}"].iter().enumerate() {
        let opcode = if i == 0 { Opcode::Text } else { Opcode::Continuation };
        wire.read(direction, &frame(direction, i == 2, opcode, part.as_bytes()));
    }
    wire.read(direction, &frame(direction, true, Opcode::Binary, b"not looked at"));
    assert_eq!(wire.arrived(direction).len(), 2);
    for bad in [r#"{"type":1,"type":2}"#, "{}", "", r#"{"type":1} {"type":1}"#, &"[".repeat(100_000)] {
        let policy =
            Policy { limits: Limits { message_size_max: 1 << 20, ..policy.limits }, ..policy.clone() };
        let mut wire = Wire::new(&policy);
        wire.read(direction, &message(direction, bad));
        assert_eq!(wire.arrived(direction), [Got::Close(Some(1007))], "{:.20}", bad);
        assert_eq!(wire.rules(), ["validation-1"]);
    }
}

#[test]
fn a_schema_that_only_alerts_lets_pass() {
    let (policy, _folder) = validating(Action::Alert);
    let mut wire = Wire::new(&policy);
    wire.read(Direction::ToServer, &message(Direction::ToServer, "[]"));
    assert_eq!(wire.arrived(Direction::ToServer), [text("[]")]);
    assert_eq!(wire.rules(), ["validation-1"]);
}

/// The clock of these tests leaps a millisecond whenever it is asked, so that a large message is over budget at once.
#[test]
fn over_budget_is_a_verdict_of_its_own() {
    let payload = "x".repeat(10_000);
    for (failure_mode, passes) in [(FailureMode::Open, true), (FailureMode::Closed, false)] {
        let mut wire = Wire::new(&Policy { timeout_ms: 0, failure_mode, ..filtering(CLOSE_1008) });
        wire.read(Direction::ToServer, &message(Direction::ToServer, &payload));
        let expected = if passes { text(&payload) } else { Got::Close(Some(1011)) };
        assert_eq!(wire.arrived(Direction::ToServer), [expected]);
        assert_eq!(wire.rules(), ["could-not-inspect/over-budget"]);
        assert_eq!(wire.worker.stats()[0].passed_uninspected, u64::from(passes));
    }
}

#[derive(Clone, Debug)]
struct Script {
    payloads: Vec<(bool, Vec<u8>, u8)>,
}

fn script() -> impl Strategy<Value = Script> {
    let word = prop_oneof![
        Just(b"exec(".to_vec()),
        Just(br"\u003cscript".to_vec()),
        prop::collection::vec(any::<u8>(), 0..40),
        "[a-z \"{}:]{0,60}".prop_map(String::into_bytes),
        (120..140usize).prop_map(|size| vec![b'y'; size]),
    ];
    prop::collection::vec((any::<bool>(), word, 1..4u8), 0..8).prop_map(|payloads| Script { payloads })
}

fn script_bytes(direction: Direction, script: &Script) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (is_text, payload, fragments) in &script.payloads {
        let opcode = if *is_text { Opcode::Text } else { Opcode::Binary };
        let size = payload.len().div_ceil(usize::from(*fragments)).max(1);
        let mut parts: Vec<_> = payload.chunks(size).collect();
        if parts.is_empty() {
            parts.push(b"");
        }
        for (i, part) in parts.iter().enumerate() {
            let opcode = if i == 0 { opcode } else { Opcode::Continuation };
            bytes.extend(frame(direction, i + 1 == parts.len(), opcode, part));
        }
    }
    bytes
}

/// The plain way: what should arrive of a script when a bad message is dropped, up to text that is no UTF-8.
fn oracle(script: &Script) -> Vec<Got> {
    let mut expected = Vec::new();
    for (is_text, payload, _) in &script.payloads {
        if *is_text && std::str::from_utf8(payload).is_err() {
            expected.push(Got::Close(Some(1007)));
            break;
        }
        let contains = |needle: &[u8]| payload.windows(needle.len()).any(|window| window == needle);
        if !contains(b"exec(") && !contains(b"<script") && !contains(br"\u003cscript") {
            let opcode = if *is_text { Opcode::Text } else { Opcode::Binary };
            expected.push(Got::Message(opcode, payload.clone()));
        }
    }
    expected
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_split_arrives_as_the_oracle_says(
        script in script(),
        to_server: bool,
        sizes in prop::collection::vec(1..200usize, 1..5),
    ) {
        let direction = if to_server { Direction::ToServer } else { Direction::ToClient };
        let mut wire = Wire::new(&filtering(Action::Drop));
        wire.read_in_pieces(direction, &script_bytes(direction, &script), &sizes);
        prop_assert_eq!(wire.arrived(direction), oracle(&script));
    }

    #[test]
    fn any_bytes_end_in_order(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        to_server: bool,
        sizes in prop::collection::vec(1..100usize, 1..5),
    ) {
        let direction = if to_server { Direction::ToServer } else { Direction::ToClient };
        let mut whole = Wire::new(&filtering(CLOSE_1008));
        whole.read(direction, &bytes);
        let mut pieces = Wire::new(&filtering(CLOSE_1008));
        pieces.read_in_pieces(direction, &bytes, &sizes);
        prop_assert_eq!(whole.arrived(direction), pieces.arrived(direction));
        prop_assert_eq!(whole.arrived(direction.reverse()), pieces.arrived(direction.reverse()));
        prop_assert_eq!(whole.rules(), pieces.rules());
    }
}

#[test]
fn what_patterns_want_decoded_and_cannot_be_is_not_inspected() {
    let folder = tempfile::tempdir().unwrap();
    let schema_path = folder.path().join("any.json");
    std::fs::write(&schema_path, "{}").unwrap();
    let validation = Validation {
        name: "validation-1".into(),
        schema_type: SchemaType::MessagePack,
        schema_path: Some(schema_path),
        registry: None,
        subprotocols: None,
        directions: Directions::Both,
        messages: MessageTypes::Binary,
        action: Action::Alert,
        reply: None,
    };
    for (failure_mode, passes) in [(FailureMode::Open, true), (FailureMode::Closed, false)] {
        let policy = Policy { failure_mode, validations: vec![validation.clone()], ..filtering(CLOSE_1008) };
        let mut wire = Wire::new(&policy);
        let direction = Direction::ToServer;
        wire.read(direction, &frame(direction, true, Opcode::Binary, b"\xa2ok"));
        assert_eq!(wire.rules(), [""; 0]);
        // A text of five bytes of which four come.
        wire.read(direction, &frame(direction, true, Opcode::Binary, b"\xa5what"));
        assert_eq!(wire.rules(), ["could-not-inspect/undecodable"]);
        let last = wire.arrived(direction).pop();
        assert_eq!(last == Some(Got::Close(Some(1011))), !passes, "{last:?}");
        assert_eq!(wire.session.is_over(), !passes);
    }
}

#[test]
fn another_policy_holds_from_the_next_message_on() {
    let direction = Direction::ToServer;
    let before = Engine::compile(&filtering(CLOSE_1008), 0).unwrap();
    let lenient = Engine::compile_over(&policy(), &before).unwrap();
    let strict = Arc::new(Engine::compile_over(&filtering(CLOSE_1008), &lenient).unwrap());

    let mut wire = Wire::new(&policy());
    wire.read(direction, &message(direction, "exec(1)"));
    wire.read(direction, &frame(direction, false, Opcode::Text, b"ex"));
    wire.adopt(&strict);
    // Its first part came under the earlier policy, and so the whole message.
    wire.read(direction, &frame(direction, true, Opcode::Continuation, b"ec(2)"));
    // Nothing was open here.
    wire.read(direction.reverse(), &message(direction.reverse(), "exec(3)"));
    wire.read(direction, &message(direction, "exec(4)"));
    assert_eq!(wire.arrived(direction), [text("exec(1)"), text("exec(2)"), Got::Close(Some(1008))]);
    assert_eq!(wire.arrived(direction.reverse()), [Got::Close(Some(1008))]);
    assert_eq!(wire.rules(), ["content-filter-1/block-patterns-1"]);
}

#[test]
fn a_policy_that_changes_within_one_read_changes_between_messages() {
    let direction = Direction::ToServer;
    let strict = Arc::new(Engine::compile(&filtering(CLOSE_1008), 0).unwrap());
    for cut in 1..30 {
        let mut wire = Wire::new(&policy());
        let sent = ["exec(1)", "exec(2)"].map(|payload| message(direction, payload)).concat();
        let (first, rest) = sent.split_at(cut.min(sent.len()));
        wire.read(direction, first);
        wire.adopt(&strict);
        wire.read(direction, rest);
        let is_over = wire.session.is_over();
        assert_eq!(is_over, cut <= sent.len() / 2, "cut at {cut} of {}", sent.len());
    }
}
