//! Rules with a memory: sequences, orders and duplicates.
#![allow(clippy::unwrap_used)]

mod wire;

use std::{collections::HashMap, sync::Arc};

use proptest::prelude::*;
use wsi_inspect::{Engine, Outcome};
use wsi_policy::{
    Action, Compare, Direction, Directions, Discriminator, Duplicate, FailureMode, MessageFormat,
    MessageTypes, Mode, Order, Policy, Reading, Sequence, State, StateCheck, StateRule, Transition,
    UnknownTypes,
};
use wsi_ws::Opcode;

use self::wire::{CLOSE_1008, Got, Wire, filter, frame, message, messagepack, policy};

const TO_SERVER: Direction = Direction::ToServer;
const TO_CLIENT: Direction = Direction::ToClient;
const MS_NS: u64 = 1_000_000;

fn rule(name: &str, key: Option<&str>, check: StateCheck) -> StateRule {
    StateRule {
        name: name.into(),
        reading: Reading { format: MessageFormat::Json, messages: MessageTypes::Text },
        key: key.map(Into::into),
        keys_max: 3,
        directions: Directions::Both,
        check,
    }
}

fn sequence(step: Option<u64>, key: Option<&str>, on_gap: Action, on_repeat: Action) -> StateRule {
    let check = Sequence { field: "/seq".into(), step, on_gap, on_repeat };
    rule("sequence-1", key, StateCheck::Sequence(check))
}

fn duplicate(field: Option<&str>, repeats_max: u32, action: Action) -> StateRule {
    let compare = Compare::Similar;
    let check = Duplicate { field: field.map(Into::into), compare, within_ms: 1_000, repeats_max, action };
    rule("duplicate-1", None, StateCheck::Duplicate(check))
}

/// connected -login-> waiting -welcome (by the server)-> open, where chats may come.
fn login(unknown_types: UnknownTypes, action: Action) -> StateRule {
    let on = |kind: &str, directions, to| Transition { kind: kind.into(), directions, to };
    let state = |name: &str, transitions| State { name: name.into(), transitions };
    let states = vec![
        state("connected", vec![on("login", Directions::ToServer, 1)]),
        state("waiting", vec![on("welcome", Directions::ToClient, 2), on("denied", Directions::ToClient, 0)]),
        state("open", vec![on("chat", Directions::Both, 2), on("logout", Directions::ToServer, 0)]),
    ];
    let discriminator = Discriminator::Field("/type".into());
    rule("order-1", None, StateCheck::Order(Order { discriminator, states, unknown_types, action }))
}

fn under(states: impl IntoIterator<Item = StateRule>) -> Policy {
    Policy { states: states.into_iter().collect(), ..policy() }
}

fn passes(wire: &mut Wire, direction: Direction, payload: &str) -> bool {
    let count =
        |wire: &Wire| wire.arrived(direction).iter().filter(|got| matches!(got, Got::Message(..))).count();
    let before = count(wire);
    wire.read(direction, &message(direction, payload));
    count(wire) > before
}

fn seq(number: impl std::fmt::Display) -> String {
    format!(r#"{{"seq":{number}}}"#)
}

fn kind(kind: &str) -> String {
    format!(r#"{{"type":"{kind}"}}"#)
}

fn text(text: &str) -> String {
    serde_json::json!({ "text": text }).to_string()
}

#[test]
fn numbers_grow_by_the_step() {
    let mut wire = Wire::new(&under([sequence(Some(1), None, Action::Drop, Action::Drop)]));
    for (number, expected) in [
        ("7", true),
        ("8", true),
        ("8", false),
        ("7", false),
        ("10", false),
        ("9", true),
        ("\"10\"", true),
        ("11.0", true),
        ("-1", false),
        ("12", true),
    ] {
        assert_eq!(passes(&mut wire, TO_SERVER, &seq(number)), expected, "{number}");
    }
    assert!(passes(&mut wire, TO_CLIENT, &seq(3)), "the other direction has its own");
    assert!(
        passes(&mut wire, TO_SERVER, "{}") && passes(&mut wire, TO_SERVER, "[13]"),
        "they have no number"
    );
    for odd in ["\"x\"", "1.5", "null", "[13]", "{}"] {
        assert!(!passes(&mut wire, TO_SERVER, &seq(odd)), "{odd}");
    }
    let repeat = "\"/seq\" is not beyond the number before it";
    let gap = "\"/seq\" leaves a gap behind the number before it";
    assert_eq!(wire.told.details[..4], [repeat, repeat, gap, repeat]);
    assert!(wire.told.details[4..].iter().all(|told| told == "\"/seq\" is no whole number"));
    assert!(wire.rules().iter().all(|rule| *rule == "sequence-1"));
}

#[test]
fn without_a_step_numbers_only_grow() {
    let mut wire = Wire::new(&under([sequence(None, None, CLOSE_1008, Action::Drop)]));
    let big = u64::MAX;
    for (number, expected) in [(-9, true), (-9, false), (-8, true), (5, true), (4, false)] {
        assert_eq!(passes(&mut wire, TO_SERVER, &seq(number)), expected, "{number}");
    }
    assert!(passes(&mut wire, TO_SERVER, &seq(big)) && !passes(&mut wire, TO_SERVER, &seq(i64::MIN)));
    assert!(!passes(&mut wire, TO_SERVER, &seq(big)));
}

#[test]
fn each_key_has_its_sequence_and_few_are_remembered() {
    let mut wire = Wire::new(&under([sequence(Some(1), Some("/symbol"), CLOSE_1008, Action::Drop)]));
    let of = |symbol: &str, number: u32| format!(r#"{{"symbol":"{symbol}","seq":{number}}}"#);
    for symbol in ["a", "b", "c"] {
        assert!(passes(&mut wire, TO_SERVER, &of(symbol, 100)));
    }
    assert!(passes(&mut wire, TO_SERVER, &of("a", 101)));
    assert!(!passes(&mut wire, TO_SERVER, &of("b", 100)));
    assert!(passes(&mut wire, TO_SERVER, &of("d", 1)), "for which b is forgotten");
    assert!(!passes(&mut wire, TO_SERVER, &of("a", 100)));
    assert!(passes(&mut wire, TO_SERVER, &of("b", 7)));
    let size = wire.session.memory_size();
    for number in 0..2_000 {
        passes(&mut wire, TO_SERVER, &of(&number.to_string(), 1));
    }
    assert_eq!(wire.session.memory_size(), size);
    assert!(size > 0 && size <= wire.session.engine().ledger_size_max());
}

#[test]
fn an_alert_lets_the_sequence_go_on() {
    let mut wire = Wire::new(&under([sequence(Some(1), None, Action::Alert, Action::Alert)]));
    for (number, told) in [(1, 0), (5, 1), (6, 1), (2, 2), (7, 2)] {
        assert!(passes(&mut wire, TO_SERVER, &seq(number)));
        assert_eq!(wire.rules().len(), told, "{number}");
    }
}

#[test]
fn messages_keep_to_their_order() {
    let mut wire = Wire::new(&under([login(UnknownTypes::Reject, Action::Drop)]));
    for (direction, name, expected) in [
        (TO_SERVER, "chat", false),
        (TO_CLIENT, "welcome", false),
        (TO_CLIENT, "login", false),
        (TO_SERVER, "login", true),
        (TO_SERVER, "login", false),
        (TO_SERVER, "welcome", false),
        (TO_SERVER, "secret-type", false),
        (TO_CLIENT, "denied", true),
        (TO_SERVER, "login", true),
        (TO_CLIENT, "welcome", true),
        (TO_CLIENT, "chat", true),
        (TO_SERVER, "chat", true),
        (TO_CLIENT, "logout", false),
        (TO_SERVER, "logout", true),
        (TO_SERVER, "chat", false),
    ] {
        assert_eq!(passes(&mut wire, direction, &kind(name)), expected, "{direction:?} {name}");
    }
    assert!(!passes(&mut wire, TO_SERVER, "{}"));
    assert_eq!(wire.told.details[0], "\"chat\" may not come in the state \"connected\"");
    let unknown = "\"/type\" names no type that a state knows";
    assert!(wire.told.details.iter().any(|told| told == unknown));
    assert!(wire.told.details.iter().all(|told| !told.contains("secret")));
}

#[test]
fn types_that_no_state_knows_may_pass() {
    let mut wire = Wire::new(&under([login(UnknownTypes::Allow, CLOSE_1008)]));
    for payload in [&kind("other"), "{}", "7", &kind("login"), &kind("other")] {
        assert!(passes(&mut wire, TO_SERVER, payload), "{payload}");
    }
    assert!(!passes(&mut wire, TO_SERVER, &kind("chat")));
    assert_eq!(wire.arrived(TO_CLIENT), [Got::Close(Some(1008))]);
}

#[test]
fn who_is_not_held_to_the_order_leads_on_all_the_same() {
    let rule = StateRule { directions: Directions::ToServer, ..login(UnknownTypes::Reject, Action::Drop) };
    let mut wire = Wire::new(&under([rule]));
    for (direction, name, expected) in [
        (TO_CLIENT, "anything", true),
        (TO_CLIENT, "welcome", true),
        (TO_SERVER, "chat", false),
        (TO_SERVER, "login", true),
        (TO_SERVER, "chat", false),
        (TO_CLIENT, "welcome", true),
        (TO_SERVER, "chat", true),
    ] {
        assert_eq!(passes(&mut wire, direction, &kind(name)), expected, "{direction:?} {name}");
    }
    assert!(passes(&mut wire, TO_CLIENT, "no json"));
}

#[test]
fn an_order_for_each_key() {
    let rule = StateRule { key: Some("/id".into()), ..login(UnknownTypes::Reject, Action::Drop) };
    let mut wire = Wire::new(&under([rule]));
    let of = |id: u32, kind: &str| format!(r#"{{"id":{id},"type":"{kind}"}}"#);
    assert!(passes(&mut wire, TO_SERVER, &of(1, "login")));
    assert!(passes(&mut wire, TO_CLIENT, &of(1, "welcome")));
    assert!(!passes(&mut wire, TO_SERVER, &of(2, "chat")));
    assert!(passes(&mut wire, TO_SERVER, &of(2, "login")));
    assert!(passes(&mut wire, TO_SERVER, &of(1, "chat")));
    assert!(!passes(&mut wire, TO_SERVER, &kind("chat")), "without a key it is another stream");
}

#[test]
fn texts_are_not_sent_over_and_over() {
    let mut wire = Wire::new(&under([duplicate(Some("/text"), 0, Action::Drop)]));
    for (payload, expected) in [
        ("Buy gold now!", true),
        ("buy GOLD, now", false),
        ("b u y   g o l d\u{200b} nooooow!!!", false),
        ("b\u{443}\u{443} \u{262}old 4 now", true),
        ("b\u{3c5}y \u{ff27}old 4 n\u{43e}w 1234", false),
        ("buy gold tomorrow", true),
        ("ÄRGER", true),
        ("ärger", false),
        ("!!!", true),
        ("???", true),
        ("!!!", false),
    ] {
        assert_eq!(passes(&mut wire, TO_SERVER, &text(payload)), expected, "{payload}");
    }
    assert!(passes(&mut wire, TO_CLIENT, &text("ärger")), "the other direction has its own");
    assert!(passes(&mut wire, TO_SERVER, "{}") && passes(&mut wire, TO_SERVER, "{}"));
    assert_eq!(wire.told.details[0], "\"/text\" repeats what was sent within 1000 ms");
    wire.now_ns += 1_000 * MS_NS;
    assert!(passes(&mut wire, TO_SERVER, &text("ärger")));
    wire.now_ns += 999 * MS_NS;
    assert!(!passes(&mut wire, TO_SERVER, &text("ärger")));
}

#[test]
fn exact_texts_are_the_same_in_every_byte() {
    let mut rule = duplicate(Some("/text"), 0, Action::Drop);
    if let StateCheck::Duplicate(duplicate) = &mut rule.check {
        duplicate.compare = Compare::Exact;
    }
    let mut wire = Wire::new(&under([rule]));
    for (payload, expected) in [("Buy now", true), ("buy now", true), ("buy  now", true), ("Buy now", false)]
    {
        assert_eq!(passes(&mut wire, TO_SERVER, &text(payload)), expected, "{payload}");
    }
}

#[test]
fn some_repetitions_may_pass() {
    let mut wire = Wire::new(&under([duplicate(Some("/text"), 2, Action::Drop)]));
    let count = |wire: &mut Wire| (0..9).filter(|_| passes(wire, TO_SERVER, &text("ok"))).count();
    assert_eq!(count(&mut wire), 3);
    wire.now_ns += 1_000 * MS_NS;
    assert_eq!(count(&mut wire), 3);
    // Three texts are remembered: a fourth takes the place of the first.
    assert!(["a", "b", "c"].iter().all(|each| passes(&mut wire, TO_SERVER, &text(each))));
    assert_eq!(count(&mut wire), 3);
}

#[test]
fn whole_payloads_are_compared_where_no_field_is_named() {
    let mut rule = duplicate(None, 0, Action::Drop);
    rule.reading.messages = MessageTypes::Any;
    let mut wire = Wire::new(&under([rule]));
    assert!(
        passes(&mut wire, TO_SERVER, "no json at all") && !passes(&mut wire, TO_SERVER, "No Json at aaall")
    );
    let binary = frame(TO_SERVER, true, Opcode::Binary, b"\xff\x00\x01");
    wire.read(TO_SERVER, &binary.repeat(3));
    assert_eq!(wire.arrived(TO_SERVER).len(), 2);
    assert_eq!(wire.told.details.last().unwrap(), "the message repeats what was sent within 1000 ms");
}

#[test]
fn only_what_passes_is_remembered() {
    let rules = [
        sequence(Some(1), None, Action::Drop, Action::Drop),
        login(UnknownTypes::Allow, Action::Drop),
        duplicate(Some("/text"), 0, Action::Drop),
    ];
    let mut wire = Wire::new(&Policy { content_filters: vec![filter(Action::Drop)], ..under(rules) });
    let of = |seq: u32, kind: &str, text: &str| format!(r#"{{"seq":{seq},"type":"{kind}","text":"{text}"}}"#);
    assert!(passes(&mut wire, TO_SERVER, &of(1, "login", "hello")));
    // Another kind of rule stops it; then the last of these.
    assert!(!passes(&mut wire, TO_SERVER, &of(2, "x", "exec(")));
    assert!(!passes(&mut wire, TO_SERVER, &of(2, "x", "hello")));
    assert!(!passes(&mut wire, TO_SERVER, &of(2, "chat", "new")), "its type may not come");
    assert!(!passes(&mut wire, TO_SERVER, &of(3, "x", "new")), "2 has not passed");
    assert!(passes(&mut wire, TO_SERVER, &of(2, "x", "new")), "nothing of it was remembered");
    // What was judged and stopped is forgotten though later messages are none of the rules' business.
    assert!(!passes(&mut wire, TO_SERVER, &of(3, "x", "new")));
    wire.read(TO_SERVER, &frame(TO_SERVER, true, Opcode::Binary, b"other"));
    assert!(passes(&mut wire, TO_SERVER, &of(3, "x", "newer")));
}

#[test]
fn what_was_stopped_stays_forgotten_when_the_other_side_speaks() {
    let rule = sequence(Some(1), None, Action::Drop, Action::Drop);
    let rule = StateRule { directions: Directions::ToServer, ..rule };
    let mut wire = Wire::new(&under([rule]));
    assert!(passes(&mut wire, TO_SERVER, &seq(1)));
    assert!(!passes(&mut wire, TO_SERVER, &seq(5)));
    assert!(passes(&mut wire, TO_CLIENT, "no rule looks at this"));
    assert!(!passes(&mut wire, TO_SERVER, &seq(6)), "5 has not passed");
    assert!(passes(&mut wire, TO_SERVER, &seq(2)));
}

#[test]
fn a_message_that_passes_changed_is_remembered() {
    let rule = sequence(Some(1), None, Action::Drop, Action::Drop);
    let mut wire = Wire::new(&Policy { content_filters: vec![filter(Action::Redact)], ..under([rule]) });
    let hidden = |seq: u32| format!(r#"{{"seq":{seq},"text":"exec("}}"#);
    assert!(passes(&mut wire, TO_SERVER, &hidden(1)));
    assert!(!passes(&mut wire, TO_SERVER, &hidden(1)) && passes(&mut wire, TO_SERVER, &hidden(2)));
    assert!(!passes(&mut wire, TO_SERVER, &seq(2)) && passes(&mut wire, TO_SERVER, &seq(3)));
}

#[test]
fn detect_mode_tells_of_all_and_goes_on() {
    let rules = [
        sequence(Some(1), None, CLOSE_1008, CLOSE_1008),
        login(UnknownTypes::Reject, CLOSE_1008),
        duplicate(Some("/text"), 0, Action::Drop),
    ];
    let mut wire = Wire::new(&Policy { mode: Mode::Detect, ..under(rules) });
    let of = |seq: u32, kind: &str, text: &str| format!(r#"{{"seq":{seq},"type":"{kind}","text":"{text}"}}"#);
    let all = ["sequence-1", "order-1", "duplicate-1"];
    for (payload, told) in [
        (of(1, "login", "a"), &[][..]),
        (of(9, "chat", "A"), &all[..]),
        (of(10, "chat", "b"), &all[1..2]),
        (of(10, "chat", "b"), &all[..]),
        ("no json".to_owned(), &all[..]),
        (of(11, "x", "c"), &all[1..2]),
    ] {
        let before = wire.rules().len();
        assert!(passes(&mut wire, TO_SERVER, &payload), "{payload}");
        assert_eq!(&wire.rules()[before..], told, "{payload}");
    }
    assert!(wire.told.verdicts.iter().all(|(_, _, mode)| *mode == Mode::Detect));
}

#[test]
fn what_cannot_be_read_breaks_the_rule() {
    for payload in ["{", r#"{"seq":1,"seq":2}"#, "\u{feff}{}"] {
        let mut wire = Wire::new(&under([sequence(None, None, CLOSE_1008, Action::Drop)]));
        assert!(!passes(&mut wire, TO_SERVER, payload));
        assert_eq!(wire.rules(), ["sequence-1"], "{payload}");
        assert_eq!(wire.arrived(TO_SERVER), [Got::Close(Some(1008))]);
    }
    let mut wire = Wire::new(&under([sequence(None, None, CLOSE_1008, Action::Drop)]));
    wire.read(TO_SERVER, &frame(TO_SERVER, true, Opcode::Binary, b"{"));
    assert_eq!(wire.arrived(TO_SERVER).len(), 1, "not of the opcode");
}

#[test]
fn messagepack_has_states_too() {
    let mut rule = sequence(Some(2), Some("/symbol"), Action::Drop, Action::Drop);
    rule.reading = Reading { format: MessageFormat::MessagePack, messages: MessageTypes::Binary };
    let mut wire = Wire::new(&under([rule]));
    for (number, expected) in [(4, 1), (6, 2), (7, 2), (8, 3)] {
        let payload = messagepack(&format!(r#"{{"symbol":"a","seq":{number}}}"#));
        wire.read(TO_SERVER, &frame(TO_SERVER, true, Opcode::Binary, &payload));
        assert_eq!(wire.arrived(TO_SERVER).len(), expected, "{number}");
    }
}

#[test]
fn what_is_remembered_outlives_a_reload_unless_the_rule_differs() {
    let rules = |step| under([sequence(Some(step), None, Action::Drop, Action::Drop)]);
    let engine = Arc::new(Engine::compile(&rules(1), 0).unwrap());
    let mut wire = Wire::under(Arc::clone(&engine));
    assert!(passes(&mut wire, TO_SERVER, &seq(5)));
    let mut more = rules(1);
    more.states.insert(0, duplicate(None, 0, Action::Drop));
    wire.adopt(&Arc::new(Engine::compile_over(&more, &engine).unwrap()));
    assert!(!passes(&mut wire, TO_SERVER, &seq(5)) && passes(&mut wire, TO_SERVER, &seq(6)));
    wire.adopt(&Arc::new(Engine::compile_over(&rules(2), &engine).unwrap()));
    assert!(passes(&mut wire, TO_SERVER, &seq(1)), "another rule begins anew");
    assert!(!passes(&mut wire, TO_SERVER, &seq(2)) && passes(&mut wire, TO_SERVER, &seq(3)));
}

/// A message that is open when the policy is replaced ends under the old one, whatever the new one remembers.
#[test]
fn a_message_under_way_ends_under_its_rules() {
    let engine =
        Arc::new(Engine::compile(&under([sequence(Some(1), None, CLOSE_1008, CLOSE_1008)]), 0).unwrap());
    let mut wire = Wire::under(Arc::clone(&engine));
    assert!(passes(&mut wire, TO_SERVER, &seq(5)));
    wire.read(TO_SERVER, &frame(TO_SERVER, false, Opcode::Text, b"{\"seq\":"));
    wire.adopt(&Arc::new(Engine::compile_over(&policy(), &engine).unwrap()));
    wire.read(TO_SERVER, &frame(TO_SERVER, true, Opcode::Continuation, b"6}"));
    assert!(passes(&mut wire, TO_SERVER, &seq(1)), "there is no rule any more");
    assert_eq!(wire.rules(), [""; 0]);
}

#[test]
fn what_passes_uninspected_is_not_remembered() {
    let policy = Policy {
        failure_mode: FailureMode::Open,
        content_filters: vec![filter(Action::Drop)],
        ..under([sequence(Some(1), None, Action::Drop, Action::Drop)])
    };
    let mut wire = Wire::new(&policy);
    assert!(passes(&mut wire, TO_SERVER, &seq(1)));
    wire.worker.lose_scratch();
    assert!(passes(&mut wire, TO_SERVER, &seq(2)));
    wire.worker.adopt(&wire.session.engine().clone()).unwrap();
    assert!(!passes(&mut wire, TO_SERVER, &seq(3)) && passes(&mut wire, TO_SERVER, &seq(2)));
    let uninspected =
        wire.told.verdicts.iter().filter(|(_, outcome, _)| *outcome == Outcome::PassedUninspected);
    assert_eq!(uninspected.count(), 1);
}

proptest! {
    /// Streams of numbers against the plainest model of them.
    #[test]
    fn as_a_model_of_sequences(
        step in prop::option::of(1..3u64),
        // As many streams as are remembered.
        messages in prop::collection::vec((prop::sample::select(vec![(0u8, false), (1, false), (0, true)]), 0..8i64), 1..60),
    ) {
        let mut wire = Wire::new(&under([sequence(step, Some("/symbol"), Action::Drop, Action::Drop)]));
        let mut last: HashMap<(u8, bool), i64> = HashMap::new();
        for ((symbol, to_client), number) in messages {
            let direction = if to_client { TO_CLIENT } else { TO_SERVER };
            let expected = match (last.get(&(symbol, to_client)), step) {
                (None, _) => true,
                (Some(last), None) => number > *last,
                (Some(last), Some(step)) => number == *last + step as i64,
            };
            let payload = format!(r#"{{"symbol":{symbol},"seq":{number}}}"#);
            prop_assert_eq!(passes(&mut wire, direction, &payload), expected, "{}", payload);
            if expected {
                last.insert((symbol, to_client), number);
            }
        }
    }
}
