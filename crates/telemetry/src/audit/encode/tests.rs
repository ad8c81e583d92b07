use serde_json::{Value, json};
use wsi_inspect::{CloseCode, Condition, Event, Initiator, Refusal, RuleId, Totals, VerdictEvent};

use super::*;
use crate::{
    PolicyNames,
    audit::{Moment, Origin, Payload},
};

/// The longest line of a record, when every byte of every bounded text needs six.
const LINE_SIZE_MAX: usize = 6 * 640 + 512;

const ORIGIN: Origin = Origin {
    shard: 1,
    connection: 42,
    client: std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 50_000),
    listener: 0,
    policy: Some(0),
};

const MOMENT: Moment = Moment { time_ns: 1_500_000_000_000_001_000, age_ns: 12_999_999 };

fn names() -> Names {
    let mut names = Names::new(vec!["edge".into()], []);
    let rules = (0..names.fixed_rules.len()).map(|i| format!("own-{i}")).collect();
    names.policies.push(PolicyNames { name: "chat".into(), rules, ..Default::default() });
    names
}

fn line(event: Event<'_>, origin: Origin, payload: Payload) -> String {
    let mut out = Vec::new();
    encode(&Record::new(event, origin, MOMENT, 7, payload), &names(), &mut out);
    String::from_utf8(out).unwrap()
}

fn parsed(event: Event<'_>) -> Value {
    serde_json::from_str(&line(event, ORIGIN, Payload::None)).unwrap()
}

/// `fields` and those that every record has.
fn record(event: &str, fields: Value) -> Value {
    let mut record = json!({
        "time": "2017-07-14T02:40:00.000001Z", "event": event, "connection": "1-2a",
        "client": "127.0.0.1:50000", "listener": "edge", "policy": "chat", "revision": 7,
    });
    record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    record
}

fn verdict(outcome: Outcome) -> VerdictEvent<'static> {
    VerdictEvent {
        direction: Some(Direction::ToServer),
        opcode: Some(Opcode::Text),
        size: 9,
        rule: RuleId::condition(Condition::OverBudget),
        outcome,
        mode: Mode::Enforce,
        detail: "why",
        payload: b"eval(\"1\")",
        at: Some(5),
    }
}

#[test]
fn handshake() {
    let event = Event::Handshake { path: "/chat", host: "a.example:80", origin: None, status: 101 };
    let fields =
        json!({"path": "/chat", "host": "a.example:80", "origin": null, "status": 101, "took_ms": 12});
    assert_eq!(parsed(event), record("ws_handshake", fields));
    let event = Event::Handshake { path: "/", host: "a", origin: Some("https://a"), status: 403 };
    let fields = json!({"path": "/", "host": "a", "origin": "https://a", "status": 403, "took_ms": 12});
    assert_eq!(parsed(event), record("ws_handshake", fields));
}

#[test]
fn open() {
    let fields = json!({"subprotocol": null});
    assert_eq!(parsed(Event::Open { subprotocol: None }), record("ws_open", fields));
    let fields = json!({"subprotocol": "chat.v1"});
    assert_eq!(parsed(Event::Open { subprotocol: Some("chat.v1") }), record("ws_open", fields));
}

#[test]
fn frames() {
    let direction = Direction::ToClient;
    let event = Event::Message { direction, opcode: Opcode::Binary, size: 70_000, fragments: 3 };
    let fields = json!({"direction": "to_client", "opcode": "binary", "size": 70_000, "fragments": 3});
    assert_eq!(parsed(event), record("ws_message", fields));
    let fields = json!({"direction": "to_client", "size": 4});
    assert_eq!(parsed(Event::Ping { direction, size: 4 }), record("ws_ping", fields.clone()));
    assert_eq!(parsed(Event::Pong { direction, size: 4 }), record("ws_pong", fields));
}

#[test]
fn close() {
    let totals = Totals { messages: [1, 2], bytes: [3, u64::MAX] };
    let event = Event::Close { code: Some(CloseCode::NORMAL), initiator: Initiator::Client, totals };
    let mut fields = json!({
        "code": 1000, "initiator": "client", "lasted_ms": 12, "messages_to_server": 1, "messages_to_client": 2,
        "bytes_to_server": 3, "bytes_to_client": u64::MAX,
    });
    assert_eq!(parsed(event), record("ws_close", fields.clone()));
    fields["code"] = Value::Null;
    fields["initiator"] = "inspector".into();
    let event = Event::Close { code: None, initiator: Initiator::Inspector, totals };
    assert_eq!(parsed(event), record("ws_close", fields));
}

#[test]
fn verdicts_by_outcome() {
    let rule = format!("own-{}", RuleId::condition(Condition::OverBudget).index());
    let common = json!({
        "direction": "to_server", "opcode": "text", "size": 9, "rule": rule, "mode": "enforce", "reason": "why",
    });
    let outcomes = [
        (Outcome::Message(Action::Alert), json!({"action": "alert"})),
        (Outcome::Message(Action::Redact), json!({"action": "redact"})),
        (Outcome::Message(Action::Drop), json!({"action": "drop"})),
        (
            Outcome::Message(Action::Close(CloseCode::MESSAGE_TOO_BIG)),
            json!({"action": "close", "code": 1009}),
        ),
        (Outcome::PassedUninspected, json!({"action": "pass-uninspected"})),
    ];
    for (outcome, fields) in outcomes {
        let mut expected = record("verdict", common.clone());
        expected.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(parsed(Event::Verdict(verdict(outcome))), expected);
    }
    let detect = VerdictEvent { mode: Mode::Detect, ..verdict(Outcome::Message(Action::Drop)) };
    assert_eq!(parsed(Event::Verdict(detect))["mode"], "detect");
}

#[test]
fn refusals_without_a_policy() {
    let refused = VerdictEvent {
        direction: None,
        opcode: None,
        rule: RuleId::refusal(Refusal::Route),
        payload: b"",
        ..verdict(Outcome::Refused(404))
    };
    let text = line(Event::Verdict(refused), Origin { policy: None, ..ORIGIN }, Payload::Hash);
    let found: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({
        "policy": null, "direction": null, "opcode": null, "size": 9, "rule": "handshake/route",
        "action": "refuse", "status": 404, "mode": "enforce", "reason": "why",
    });
    assert_eq!(found, record("verdict", expected));
}

#[test]
fn payloads_by_mode() {
    let event = Event::Verdict(verdict(Outcome::Message(Action::Drop)));
    let parsed = |payload| serde_json::from_str::<Value>(&line(event, ORIGIN, payload)).unwrap();
    let none = parsed(Payload::None);
    assert!(none.get("excerpt").is_none() && none.get("payload_sha256").is_none());
    assert_eq!(parsed(Payload::Redacted)["excerpt"], "xxxx(\"0\")");
    // printf 'eval("1")' | sha256sum
    let hash = "46f9907d7b6d7f7c932b2cdff5b5d764aabbaacc46c417cc6e07c448104d79bf";
    assert_eq!(parsed(Payload::Hash)["payload_sha256"], hash);
}

#[test]
fn ids_out_of_range_are_written_all_the_same() {
    let origin = Origin { listener: 9, policy: Some(9), ..ORIGIN };
    let text = line(Event::Verdict(verdict(Outcome::PassedUninspected)), origin, Payload::None);
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&found["listener"], &found["policy"]), (&json!("unknown"), &json!("unknown")));
    assert_eq!(found["rule"], "could-not-inspect/over-budget", "the fixed rules are the same everywhere");
}

#[test]
fn hostile_texts_stay_one_bounded_line() {
    let megabytes = "\u{1b}".repeat(10 << 20);
    let wide = "\u{2028}".repeat(1 << 20);
    let forged = "x\"}\r\n{\"event\":\"verdict\",\"rule\":\"forged\"}\u{2028}\u{1b}[2J\u{9b}2J\0\u{7f}\\";
    for text in [forged, &megabytes, &wide, ""] {
        let events = [
            Event::Handshake { path: text, host: text, origin: Some(text), status: 101 },
            Event::Open { subprotocol: Some(text) },
            Event::Verdict(VerdictEvent {
                detail: text,
                payload: text.as_bytes(),
                ..verdict(Outcome::PassedUninspected)
            }),
        ];
        for event in events {
            let line = line(event, ORIGIN, Payload::Redacted);
            let inside = line.strip_suffix('\n').unwrap();
            assert!(line.len() <= LINE_SIZE_MAX, "{}", line.len());
            assert!(!inside.chars().any(|each| each.is_control() || matches!(each, '\u{2028}' | '\u{2029}')));
            let parsed: Value = serde_json::from_str(inside).unwrap();
            assert_ne!(parsed["rule"], "forged");
        }
    }
    assert_eq!(
        parsed(Event::Open { subprotocol: Some(forged) })["subprotocol"],
        forged,
        "what fits is whole"
    );
}
