//! The same events in MessagePack as in JSON get the same answers, and nothing else passes.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Agent, ID, frame_payload, policy, request, response, v2};
use wsi_agent::{Fault, Handled, Link};

/// As a proxy writes it: maps with names.
fn packed(event: &[u8]) -> Vec<u8> {
    let value: Value = serde_json::from_slice(&event[5..]).unwrap();
    v2(event[4], &rmp_serde::to_vec_named(&value).unwrap())
}

fn answer(bytes: &[u8]) -> Value {
    let size = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    assert_eq!((bytes.len(), bytes[4]), (size + 4, 0x20), "one answer");
    rmp_serde::from_slice(&bytes[5..]).unwrap()
}

fn shake_hands(agent: &mut Agent, encodings: &Value) -> (Link, String) {
    let mut link = Link::new(&agent.sessions);
    let hello = json!({ "supported_versions": [2], "supported_encodings": encodings });
    let bytes = agent.send(&mut link, &v2(0x01, hello.to_string().as_bytes())).unwrap();
    let told: Value = serde_json::from_slice(&bytes[5..]).unwrap();
    (link, told["encoding"].as_str().unwrap().to_owned())
}

fn msgpack_link(agent: &mut Agent) -> Link {
    let (link, encoding) = shake_hands(agent, &json!(["msgpack", "json"]));
    assert_eq!(encoding, "msgpack");
    link
}

#[test]
fn the_proxys_preference_is_taken() {
    let mut agent = Agent::new(&policy());
    for (offered, taken) in [
        (json!(["json"]), "json"),
        (json!(["json", "msgpack"]), "json"),
        (json!(["cbor", "msgpack", "json"]), "msgpack"),
        (json!(["cbor"]), "json"),
        (json!([]), "json"),
    ] {
        assert_eq!(shake_hands(&mut agent, &offered).1, taken, "{offered}");
    }
}

#[test]
fn a_whole_connection() {
    let mut agent = Agent::new(&policy());
    let mut link = msgpack_link(&mut agent);
    let refused = packed(&request("ccF9ysBDDXs", &[("sec-websocket-extensions", "permessage-deflate")]));
    assert_eq!(answer(&agent.send(&mut link, &refused).unwrap())["decision"]["block"]["status"], 400);
    for event in [request(ID, &[]), response(ID, &[])] {
        let told = answer(&agent.send(&mut link, &packed(&event)).unwrap());
        assert_eq!(told["decision"], "allow");
        assert_eq!(told["audit"]["custom"]["correlation_id"], ID);
    }
    let mut ask = |to_server, index, opcode, fin, data: &[u8]| {
        let body = rmp_serde::to_vec_named(&frame_payload(ID, to_server, index, opcode, fin, data)).unwrap();
        let told = answer(&agent.send(&mut link, &v2(0x15, &body)).unwrap());
        assert_eq!((&told["version"], &told["audit"]["custom"]["correlation_id"]), (&json!(2), &json!(ID)));
        told["websocket_decision"].clone()
    };
    assert_eq!(ask(true, 0, "text", true, b"hello"), "allow");
    assert_eq!(ask(false, 0, "binary", true, &[0xff; 70_000]), "allow");
    assert_eq!(ask(true, 1, "text", true, b"gamble"), "drop");
    assert_eq!(ask(false, 1, "text", false, b"<scr"), "allow");
    assert_eq!(ask(false, 2, "continuation", true, b"ipt>")["close"]["code"], 1008);
}

#[test]
fn a_pushed_configuration() {
    let mut agent = Agent::new(&policy());
    let mut link = msgpack_link(&mut agent);
    let push = json!({ "config": { "limits": { "max-fragments": 4 } }, "correlation_id": "zentinel-configure-guard-0" });
    let body = rmp_serde::to_vec_named(&push).unwrap();
    let (handled, out) = agent.handle(&mut link, &v2(0x17, &body));
    assert_eq!(handled, Ok(Handled::Configure("{\"limits\":{\"max-fragments\":4}}".into())));
    assert!(out.is_empty());
    let mut out = Vec::new();
    link.configured(Err("no".into()), &mut agent.sessions, &mut out);
    let told = answer(&out);
    assert_eq!(told["decision"]["block"]["body"], "no");
    assert_eq!(told["audit"]["custom"]["correlation_id"], "zentinel-configure-guard-0");
}

#[test]
fn faults() {
    let frame = frame_payload(ID, true, 0, "text", true, b"hello");
    let whole = rmp_serde::to_vec_named(&frame).unwrap();
    let without = |name: &str| {
        let mut frame = frame.clone();
        frame.as_object_mut().unwrap().remove(name);
        rmp_serde::to_vec_named(&frame).unwrap()
    };
    let with = |name: &str, value: Value| {
        let mut frame = frame.clone();
        frame[name] = value;
        rmp_serde::to_vec_named(&frame).unwrap()
    };
    // Its first byte says how many names follow.
    let twice = [&[whole[0] + 1], &whole[1..], b"\xa3fin\xc3"].concat();
    let nested = [&[whole[0] + 1], &whole[1..], b"\xa1x", &[0x91; 200], b"\xc0"].concat();
    let positional = rmp_serde::to_vec(&(ID, "text", "aGVsbG8=", true, 0, true, "203.0.113.5")).unwrap();
    let cases = [
        (twice, Fault::MessagePack),
        (nested, Fault::MessagePack),
        (positional, Fault::MessagePack),
        ([&whole[..], b"\xc0"].concat(), Fault::MessagePack),
        ([&whole[..], b"\xc1"].concat(), Fault::MessagePack),
        (without("fin"), Fault::MessagePack),
        (without("data"), Fault::MessagePack),
        (with("frame_index", json!(-1)), Fault::MessagePack),
        (with("opcode", json!("hello")), Fault::Fields),
        (with("data", json!("aGVsbG9=")), Fault::Base64),
        (frame.to_string().into_bytes(), Fault::MessagePack),
    ];
    for (i, (body, fault)) in cases.into_iter().enumerate() {
        let mut agent = Agent::new(&policy());
        let mut link = msgpack_link(&mut agent);
        assert_eq!(agent.send(&mut link, &v2(0x15, &body)), Err(fault), "{i}");
    }
}

proptest! {
    #[test]
    fn the_same_answers_as_in_json(
        frames in prop::collection::vec((any::<bool>(), any::<bool>(), 0..7_usize, prop_oneof![Just("<scr"), Just("ipt>"), Just("gamble"), Just("hi")]), 1..12),
    ) {
        let opcodes = ["text", "binary", "continuation", "continuation", "ping", "close", "reserved"];
        let (mut plain, mut other) = (Agent::new(&policy()), Agent::new(&policy()));
        let (mut json_link, mut link) = (plain.link(), msgpack_link(&mut other));
        let mut next = [0_u64; 2];
        for (to_server, fin, opcode, text) in frames {
            let index = &mut next[usize::from(to_server)];
            let event = support::frame_event(ID, to_server, *index, opcodes[opcode], fin, text.as_bytes());
            *index += 1;
            let in_json = support::answer(&plain.send(&mut json_link, &event).unwrap());
            let in_msgpack = answer(&other.send(&mut link, &packed(&event)).unwrap());
            prop_assert_eq!(in_json, in_msgpack);
        }
        prop_assert_eq!(&plain.told.0, &other.told.0);
    }

    #[test]
    fn any_bytes_are_an_error_or_an_answer(kind in 0_u8..0x50, body in prop::collection::vec(any::<u8>(), 1..64)) {
        let mut agent = Agent::new(&policy());
        let mut link = msgpack_link(&mut agent);
        if let Ok(bytes) = agent.send(&mut link, &v2(kind, &body)) {
            prop_assert!(matches!(kind, 0x40 | 0x41), "{kind} {bytes:?}");
        }
    }

    /// A byte that is changed makes a frame that is refused, or another frame that is inspected: "<script" stays closed.
    #[test]
    fn a_changed_byte_lets_nothing_pass(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut agent = Agent::new(&policy());
        let mut link = msgpack_link(&mut agent);
        let mut body = rmp_serde::to_vec_named(&frame_payload(ID, true, 0, "text", true, b"<script>")).unwrap();
        let payload_at = body.windows(4).position(|part| part == b"PHNj").unwrap();
        let at = at.index(body.len());
        prop_assume!(!(payload_at..payload_at + 12).contains(&at));
        body[at] = byte;
        if let Ok(bytes) = agent.send(&mut link, &v2(0x15, &body)) {
            prop_assert!(answer(&bytes)["websocket_decision"] != json!("allow"));
        }
    }
}
