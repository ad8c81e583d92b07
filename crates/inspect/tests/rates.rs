//! Rates by the type of a message, by its size and by its client, and the budget of violations.
#![allow(clippy::unwrap_used)]

mod wire;

use std::{net::IpAddr, sync::Arc};

use proptest::prelude::*;
use wsi_inspect::{Engine, Outcome};
use wsi_policy::{
    Action, Cost, Direction, Directions, Discriminator, MessageFormat, MessageTypes, Mode, Per, Policy, Rate,
    RateLimit, Rates, Reading, TypeRate, TypeRates, Violations,
};
use wsi_ws::Opcode;

use self::wire::{CLOSE_1008, Got, Wire, filtering, frame, message, messagepack, policy, text};

const SECOND_NS: u64 = 1_000_000_000;
const TO_SERVER: Direction = Direction::ToServer;

fn messages(burst: u64) -> Rates {
    Rates { messages: Some(Rate { per_second: 1, burst }), ..Rates::default() }
}

/// `default` for types that are not named, and rates and costs for those that are.
fn by_type(default: u64, types_max: u32, named: &[(&str, Rates, u64)]) -> RateLimit {
    let types = named.iter().map(|(name, rates, cost)| TypeRate {
        name: (*name).to_owned(),
        cost: *cost,
        rates: *rates,
    });
    RateLimit {
        rates: messages(default),
        per: Per::MessageType { types_max },
        types: Some(TypeRates {
            reading: Reading { format: MessageFormat::Json, messages: MessageTypes::Text },
            discriminator: Discriminator::Field("/type".into()),
            types: types.collect(),
        }),
        action: Action::Drop,
        ..RateLimit::default()
    }
}

fn limited(limits: impl IntoIterator<Item = RateLimit>) -> Policy {
    let numbered = (1..).zip(limits);
    let rate_limits =
        numbered.map(|(number, limit)| RateLimit { name: format!("rate-limit-{number}"), ..limit });
    Policy { rate_limits: rate_limits.collect(), ..policy() }
}

/// How many of `count` messages pass.
fn passed(wire: &mut Wire, direction: Direction, payload: &str, count: usize) -> usize {
    let before = wire.arrived(direction).len();
    wire.read(direction, &message(direction, payload).repeat(count));
    wire.arrived(direction).len() - before
}

fn of_type(kind: &str) -> String {
    format!(r#"{{"type":"{kind}"}}"#)
}

#[test]
fn each_type_has_a_bucket() {
    let named = [("order", messages(2), 1), ("cancel", Rates::default(), 1)];
    let mut wire = Wire::new(&limited([by_type(5, 64, &named)]));
    assert_eq!(passed(&mut wire, TO_SERVER, &of_type("order"), 9), 2);
    assert_eq!(passed(&mut wire, TO_SERVER, r#"{"x":0,"type":"\u006frder"}"#, 9), 0, "the same type");
    assert_eq!(passed(&mut wire, TO_SERVER, &of_type("cancel"), 9), 5, "the rate of the limit");
    assert_eq!(passed(&mut wire, TO_SERVER, &of_type("other"), 9), 5);
    assert_eq!(passed(&mut wire, TO_SERVER, r#"{"type":7}"#, 3), 3);
    assert_eq!(passed(&mut wire, TO_SERVER, r#"{"type":7.0}"#, 3), 2, "the same type");
    wire.now_ns = SECOND_NS;
    assert_eq!(passed(&mut wire, TO_SERVER, &of_type("order"), 9), 1);
    assert!(
        wire.told.details.iter().all(|told| told == "more messages a second of this type than the limit")
    );
    assert_eq!(passed(&mut wire, Direction::ToClient, &of_type("order"), 9), 9);
}

#[test]
fn what_names_no_type_shares_a_bucket() {
    let mut wire = Wire::new(&limited([by_type(6, 64, &[("order", messages(1), 1)])]));
    for payload in ["no json", "{}", r#"{"type":[]}"#, r#"{"type":"a","type":"b"}"#, "{\"type\":\"order\"}x"]
    {
        assert_eq!(passed(&mut wire, TO_SERVER, payload, 1), 1, "{payload}");
    }
    let binary = frame(TO_SERVER, true, Opcode::Binary, of_type("order").as_bytes());
    wire.read(TO_SERVER, &binary.repeat(2));
    assert_eq!(wire.rules(), ["rate-limit-1"], "no text, so it has no type");
    assert_eq!(passed(&mut wire, TO_SERVER, &of_type("order"), 1), 1);
}

#[test]
fn invented_types_get_no_more_budget_than_there_is() {
    for (types_max, expected) in [(0, 2), (1, 4), (3, 8), (64, 130)] {
        let mut wire = Wire::new(&limited([by_type(2, types_max, &[("order", messages(3), 1)])]));
        let invented = (0..500).map(|number| of_type(&format!("t{number}")));
        let total: usize = invented.map(|kind| passed(&mut wire, TO_SERVER, &kind, 3)).sum();
        assert_eq!(total, expected, "{types_max}");
        assert_eq!(passed(&mut wire, TO_SERVER, &of_type("order"), 9), 3, "its own, whatever was invented");
        let engine = wire.session.engine();
        assert!(wire.session.memory_size() <= engine.ledger_size_max(), "{types_max}");
    }
}

#[test]
fn types_are_found_in_messagepack() {
    let mut limit = by_type(5, 64, &[("order", messages(2), 1)]);
    limit.types.as_mut().unwrap().reading =
        Reading { format: MessageFormat::MessagePack, messages: MessageTypes::Binary };
    // Patterns want the texts of what is decoded; what can't be is no fault of the message's here.
    let mut wire = Wire::new(&Policy { rate_limits: vec![limit], ..filtering(CLOSE_1008) });
    let order = frame(TO_SERVER, true, Opcode::Binary, &messagepack(&of_type("order")));
    wire.read(TO_SERVER, &order.repeat(4));
    wire.read(TO_SERVER, &frame(TO_SERVER, true, Opcode::Binary, b"\xc1").repeat(6));
    assert_eq!(wire.arrived(TO_SERVER).len(), 2 + 5);
    assert_eq!(wire.rules(), ["rate-limit-1"; 3]);
}

#[test]
fn what_a_message_costs() {
    let cost = |cost, named: &[_]| RateLimit { per: Per::Connection, cost, ..by_type(10, 64, named) };
    let mut wire = Wire::new(&limited([cost(Cost::Message, &[("search", Rates::default(), 4)])]));
    assert_eq!(passed(&mut wire, TO_SERVER, &of_type("search"), 2), 2);
    assert_eq!(passed(&mut wire, TO_SERVER, &of_type("other"), 9), 2, "of one bucket");

    let mut wire = Wire::new(&limited([cost(Cost::Size(10), &[("big", Rates::default(), 2)])]));
    assert_eq!(passed(&mut wire, TO_SERVER, "0123456789", 1), 1);
    assert_eq!(passed(&mut wire, TO_SERVER, "0123456789+", 1), 1);
    assert_eq!(passed(&mut wire, TO_SERVER, "", 1), 1);
    assert_eq!(passed(&mut wire, TO_SERVER, &of_type("big"), 2), 1, "four tokens: 2 for its size, twice");
    assert_eq!(passed(&mut wire, TO_SERVER, "", 9), 2);
}

#[test]
fn a_message_takes_from_all_buckets_or_from_none() {
    let bytes = Rates { bytes: Some(Rate { per_second: 1, burst: 40 }), ..Rates::default() };
    let plain = RateLimit { rates: bytes, action: Action::Drop, ..RateLimit::default() };
    for limits in [[plain.clone(), by_type(2, 4, &[])], [by_type(2, 4, &[]), plain]] {
        let mut wire = Wire::new(&limited(limits));
        let (small, large) = (of_type("a"), r#"{"type":"a","x":"0123456789012345678901234"}"#);
        assert_eq!(passed(&mut wire, TO_SERVER, large, 5), 0, "more than 40 bytes");
        assert_eq!(passed(&mut wire, TO_SERVER, &small, 5), 2, "two are left: nothing was taken before");
        assert_eq!(passed(&mut wire, TO_SERVER, &of_type("b"), 1), 1, "and the bytes of two");
        assert_eq!(passed(&mut wire, TO_SERVER, &of_type("b"), 1), 0);
    }
}

fn of_clients(burst: u64, directions: Directions) -> RateLimit {
    RateLimit {
        rates: messages(burst),
        per: Per::Client { clients_max: 1024 },
        directions,
        action: Action::Drop,
        ..RateLimit::default()
    }
}

fn of_client(engine: &Arc<Engine>, client: Option<&str>) -> Wire {
    let mut wire = Wire::under(Arc::clone(engine));
    if let Some(client) = client {
        wire.session.belong_to(client.parse::<IpAddr>().unwrap());
    }
    wire
}

#[test]
fn all_connections_of_a_client_share_a_bucket() {
    let engine = Arc::new(Engine::compile(&limited([of_clients(5, Directions::Both)]), 0).unwrap());
    let take = |client, direction, count| passed(&mut of_client(&engine, client), direction, "x", count);
    assert_eq!(take(Some("192.0.2.1"), TO_SERVER, 3), 3);
    assert_eq!(take(Some("::ffff:192.0.2.1"), TO_SERVER, 3), 2, "the same address");
    assert_eq!(take(Some("192.0.2.1"), Direction::ToClient, 9), 5, "each direction has its own");
    assert_eq!(take(Some("192.0.2.2"), TO_SERVER, 9), 5);
    assert_eq!(take(Some("2001:db8::1"), TO_SERVER, 3), 3);
    assert_eq!(take(Some("2001:db8::ffff:0:0:2"), TO_SERVER, 9), 2, "one network");
    assert_eq!(take(Some("2001:db8:0:1::1"), TO_SERVER, 9), 5);
    assert_eq!(take(None, TO_SERVER, 3), 3);
    assert_eq!(take(None, TO_SERVER, 9), 2, "those that are not known are one");
}

#[test]
fn a_client_keeps_its_bucket_when_the_policy_is_replaced() {
    let engine = Arc::new(Engine::compile(&limited([of_clients(5, Directions::ToServer)]), 0).unwrap());
    let mut wire = of_client(&engine, Some("192.0.2.1"));
    assert_eq!(passed(&mut wire, TO_SERVER, "x", 3), 3);
    let same =
        Arc::new(Engine::compile_over(&limited([of_clients(5, Directions::ToServer)]), &engine).unwrap());
    wire.adopt(&same);
    assert_eq!(passed(&mut wire, TO_SERVER, "x", 9), 2);
    assert_eq!(passed(&mut of_client(&same, Some("192.0.2.1")), TO_SERVER, "x", 9), 0);
    let other =
        Arc::new(Engine::compile_over(&limited([of_clients(4, Directions::ToServer)]), &same).unwrap());
    wire.adopt(&other);
    assert_eq!(passed(&mut wire, TO_SERVER, "x", 9), 4, "another limit begins anew");
    assert_eq!(
        passed(&mut of_client(&other, Some("192.0.2.1")), TO_SERVER, "x", 9),
        0,
        "for the same client"
    );
}

#[test]
fn a_type_keeps_its_bucket_when_the_policy_is_replaced() {
    let limits = |burst| limited([by_type(burst, 64, &[])]);
    let engine = Arc::new(Engine::compile(&limits(5), 0).unwrap());
    let mut wire = Wire::under(Arc::clone(&engine));
    assert_eq!(passed(&mut wire, TO_SERVER, &of_type("a"), 3), 3);
    wire.adopt(&Arc::new(Engine::compile_over(&limits(5), &engine).unwrap()));
    assert_eq!(passed(&mut wire, TO_SERVER, &of_type("a"), 9), 2);
    wire.adopt(&Arc::new(Engine::compile_over(&limits(4), &engine).unwrap()));
    assert_eq!(passed(&mut wire, TO_SERVER, &of_type("a"), 9), 4);
    wire.adopt(&Arc::new(Engine::compile_over(&limited([]), &engine).unwrap()));
    assert_eq!(passed(&mut wire, TO_SERVER, &of_type("a"), 9), 9);
}

/// A policy without memory is followed by one with: the client is known all the same.
#[test]
fn a_client_is_known_to_a_later_policy() {
    let engine = Arc::new(Engine::compile(&policy(), 0).unwrap());
    let mut wires = ["192.0.2.1", "192.0.2.2"].map(|client| of_client(&engine, Some(client)));
    let later = Engine::compile_over(&limited([of_clients(5, Directions::ToServer)]), &engine).unwrap();
    let later = Arc::new(later);
    for wire in &mut wires {
        wire.adopt(&later);
        assert_eq!(passed(wire, TO_SERVER, "x", 9), 5);
    }
}

const BAD: &str = "exec(";

fn budget(max: u32, directions: Directions, action: Action) -> Policy {
    Policy { violations: Some(Violations { max, within_s: 60, directions }), ..filtering(action) }
}

#[test]
fn one_violation_too_many_closes() {
    for action in [Action::Drop, Action::Alert] {
        let mut wire = Wire::new(&budget(3, Directions::Both, action));
        wire.read(TO_SERVER, &message(TO_SERVER, BAD).repeat(2));
        wire.read(TO_SERVER, &frame(TO_SERVER, true, Opcode::Ping, BAD.as_bytes()));
        assert_eq!(wire.rules(), ["content-filter-1/block-patterns-1"; 3]);
        wire.read(Direction::ToClient, &message(Direction::ToClient, BAD).repeat(3));
        assert!(!matches!(wire.arrived(TO_SERVER).last(), Some(Got::Close(_))));
        wire.read(TO_SERVER, &message(TO_SERVER, "fine"));
        wire.read(TO_SERVER, &message(TO_SERVER, BAD));
        assert_eq!(wire.rules()[6..], ["content-filter-1/block-patterns-1", "violations"], "{action:?}");
        assert_eq!(wire.arrived(TO_SERVER).last(), Some(&Got::Close(Some(1008))));
        assert_eq!(wire.arrived(Direction::ToClient).last(), Some(&Got::Close(Some(1008))));
        let told = "more than 3 messages were dropped or alerted on within 60 s";
        assert_eq!(wire.told.details.last().unwrap(), told);
    }
}

#[test]
fn old_violations_are_forgotten() {
    let mut wire = Wire::new(&budget(2, Directions::Both, Action::Drop));
    for seconds in [0, 20, 61, 81, 121, 142] {
        wire.now_ns = seconds * SECOND_NS;
        wire.read(TO_SERVER, &message(TO_SERVER, BAD));
    }
    assert_eq!(wire.rules().len(), 6, "never three within a minute");
    wire.now_ns = 143 * SECOND_NS;
    wire.read(TO_SERVER, &message(TO_SERVER, BAD));
    assert_eq!(wire.rules().last(), Some(&"violations"));
}

#[test]
fn a_budget_of_one_direction_leaves_the_other_alone() {
    let mut wire = Wire::new(&budget(1, Directions::ToServer, Action::Drop));
    wire.read(Direction::ToClient, &message(Direction::ToClient, BAD).repeat(20));
    assert_eq!(wire.rules(), ["content-filter-1/block-patterns-1"; 20]);
    wire.read(TO_SERVER, &message(TO_SERVER, BAD).repeat(2));
    assert_eq!(wire.rules().last(), Some(&"violations"));
}

#[test]
fn detect_mode_tells_of_the_budget_and_goes_on() {
    let mut wire = Wire::new(&Policy { mode: Mode::Detect, ..budget(2, Directions::Both, Action::Drop) });
    wire.read(TO_SERVER, &message(TO_SERVER, BAD).repeat(6));
    assert_eq!(wire.arrived(TO_SERVER), vec![text(BAD); 6]);
    let told = wire.rules().iter().filter(|rule| **rule == "violations").count();
    assert_eq!(told, 2, "once for each three");
    assert!(wire.told.verdicts.iter().all(|(_, outcome, mode)| {
        *mode == Mode::Detect && matches!(outcome, Outcome::Message(Action::Drop | Action::Close(_)))
    }));
}

#[test]
fn a_message_that_leaves_in_parts_counts() {
    let limits = wsi_policy::Limits { held_size_max: 1 << 10, ..Default::default() };
    let rates = Rates { bytes: Some(Rate { per_second: 1, burst: 200_000 }), ..Rates::default() };
    let limit = RateLimit { rates, per: Per::Client { clients_max: 8 }, ..RateLimit::default() };
    let mut policy = budget(1, Directions::Both, Action::Alert);
    policy.content_filters[0].message_size_max = None;
    let mut wire = Wire::new(&Policy { limits, rate_limits: vec![limit], ..policy });
    let large = message(TO_SERVER, &format!("{BAD}{}", "x".repeat(90_000)));
    wire.read_in_pieces(TO_SERVER, &large, &[4_000]);
    wire.read_in_pieces(TO_SERVER, &message(TO_SERVER, &"x".repeat(90_000)), &[4_000]);
    assert_eq!(wire.rules(), ["content-filter-1/block-patterns-1"]);
    assert_eq!(wire.arrived(TO_SERVER).len(), 2);
    wire.read_in_pieces(TO_SERVER, &large, &[4_000]);
    assert_eq!(wire.rules().last(), Some(&"rate-limit-1"));
    assert_eq!(wire.arrived(TO_SERVER).last(), Some(&Got::Close(Some(1008))));
}

proptest! {
    /// A model of one bucket for each type, of which only so many may be: nothing else passes and nothing else is stopped.
    #[test]
    fn as_a_model_of_buckets(
        types_max in 0..4u32,
        burst in 1..5u64,
        named_burst in 1..5u64,
        steps in prop::collection::vec((0..3u64, 0..8usize), 1..60),
    ) {
        let mut wire = Wire::new(&limited([by_type(burst, types_max, &[("t0", messages(named_burst), 1)])]));
        // Tokens and the last time, by type; the last is everybody else's.
        let mut buckets: Vec<(usize, u64, u64)> = Vec::new();
        let rest = usize::MAX;
        for (wait_s, kind) in steps {
            wire.now_ns += wait_s * SECOND_NS;
            let others = buckets.iter().filter(|(own, ..)| *own != 0 && *own != rest).count();
            let is_own = kind == 0 || buckets.iter().any(|(own, ..)| *own == kind) || others < types_max as usize;
            let key = if is_own { kind } else { rest };
            let full = if key == 0 { named_burst } else { burst };
            let at = buckets.iter().position(|(own, ..)| *own == key).unwrap_or_else(|| {
                buckets.push((key, full, wire.now_ns));
                buckets.len() - 1
            });
            let (_, tokens, since_ns) = &mut buckets[at];
            *tokens = full.min(*tokens + (wire.now_ns - *since_ns) / SECOND_NS);
            *since_ns = wire.now_ns;
            let passes = *tokens > 0;
            *tokens -= u64::from(passes);
            let payload = of_type(&format!("t{kind}"));
            prop_assert_eq!(passed(&mut wire, TO_SERVER, &payload, 1) == 1, passes, "{}", payload);
        }
    }
}
