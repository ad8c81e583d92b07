//! Places of messages are changed, and every other byte arrives as it was sent.
#![allow(clippy::unwrap_used)]

mod wire;

use std::fs;

use wsi_inspect::{Engine, Outcome};
use wsi_policy::{
    Action, Change, ContentFilter, Direction, Directions, FailureMode, HashKey, Limits, Literal,
    MessageTypes, Mode, Pattern, Policy, Rewrite, RewriteFormat, SchemaType, Validation,
};
use wsi_ws::Opcode;

use wire::{CLOSE_1008, Got, Wire, filter, frame, message, policy, text};

const TO_SERVER: Direction = Direction::ToServer;

fn rewriting(format: RewriteFormat, at: &str, change: Change) -> Rewrite {
    let messages = if format == RewriteFormat::Json { MessageTypes::Text } else { MessageTypes::Binary };
    Rewrite {
        name: "rewrite-1".into(),
        format,
        at: at.into(),
        change,
        directions: Directions::Both,
        messages,
    }
}

fn json(at: &str, change: Change) -> Rewrite {
    rewriting(RewriteFormat::Json, at, change)
}

fn under(rewrites: Vec<Rewrite>) -> Policy {
    Policy { rewrites, ..policy() }
}

fn mask() -> Change {
    Change::Mask { keep_last: 0 }
}

fn word(text: &str) -> Change {
    Change::Set(Literal::Text(text.into()))
}

fn through(policy: &Policy, opcode: Opcode, payload: &[u8]) -> (Vec<Got>, Vec<Outcome>) {
    let mut wire = Wire::new(policy);
    wire.read(TO_SERVER, &frame(TO_SERVER, true, opcode, payload));
    let outcomes = wire.told.verdicts.iter().map(|verdict| verdict.1).collect();
    (wire.arrived(TO_SERVER), outcomes)
}

#[track_caller]
fn check(policy: &Policy, payload: &str, expected: &str) {
    assert_eq!(
        through(policy, Opcode::Text, payload.as_bytes()),
        (vec![text(expected)], vec![]),
        "{payload}"
    );
}

#[track_caller]
fn check_dropped(policy: &Policy, payload: &str) {
    let dropped = (vec![], vec![Outcome::Message(Action::Drop)]);
    assert_eq!(through(policy, Opcode::Text, payload.as_bytes()), dropped, "{payload}");
}

#[test]
fn each_change_is_made_where_it_is_asked_for() {
    let payload = r#"{ "user" : {"email":"ann@example.com", "id":7}, "l":[{"n":"x"},{"n":"y\n"}] }"#;
    for (at, change, expected) in [
        ("/user/email", Change::Remove, payload.replace(r#""email":"ann@example.com", "#, "")),
        ("/user/email", word("é\""), payload.replace(r#""ann@example.com""#, r#""é\"""#)),
        ("/user/id", Change::Set(Literal::Null), payload.replace(":7", ":null")),
        ("/user/email", mask(), payload.replace("ann@example.com", "***************")),
        ("/user/email", Change::Mask { keep_last: 4 }, payload.replace("ann@example", "***********")),
        ("/l/*/n", mask(), payload.replace("\"x\"", "\"*\"").replace("\"y\\n\"", "\"**\"")),
        ("/l/1", Change::Remove, payload.replace(r#",{"n":"y\n"}"#, "")),
        ("/none", Change::Remove, payload.to_owned()),
    ] {
        check(&under(vec![json(at, change)]), payload, &expected);
    }
    let hash = |secret: &[u8]| json("/user/email", Change::Hash(HashKey::new(secret)));
    let hashed =
        |secret: &[u8]| match &through(&under(vec![hash(secret)]), Opcode::Text, payload.as_bytes()).0[..] {
            [Got::Message(_, payload)] => String::from_utf8(payload.clone()).unwrap(),
            other => panic!("{other:?}"),
        };
    assert_eq!(hashed(b"sixteen bytes or"), hashed(b"sixteen bytes or"));
    assert_ne!(hashed(b"sixteen bytes or"), hashed(b"another secret. "));
    assert_eq!(hashed(b"sixteen bytes or").len(), payload.len() + 32 - "ann@example.com".len());
}

#[test]
fn messages_in_any_shape_are_rewritten() {
    for direction in Direction::BOTH {
        let mut wire = Wire::new(&under(vec![json("/a", mask())]));
        let sent = [
            message(direction, r#"{"a":"xy"}"#),
            frame(direction, false, Opcode::Text, br#"{"a":"#),
            frame(direction, true, Opcode::Ping, b"alive"),
            frame(direction, true, Opcode::Continuation, br#""xy"}"#),
            message(direction, r#"{"b":"xy"}"#),
        ]
        .concat();
        wire.read(direction, &sent);
        wire.read_in_pieces(direction, &sent, &[1, 5]);
        let once = [
            text(r#"{"a":"**"}"#),
            Got::Control(Opcode::Ping, b"alive".into()),
            text(r#"{"a":"**"}"#),
            text(r#"{"b":"xy"}"#),
        ];
        assert_eq!(wire.arrived(direction), [&once[..], &once].concat());
        assert_eq!(wire.rules(), [""; 0]);
        let stats = &wire.worker.stats()[0];
        assert_eq!((stats.rewritten, stats.rewrite_failures), (4, 0));
    }
}

#[test]
fn changes_follow_each_other() {
    let rewrites = || {
        vec![
            json("/a", Change::Set(Literal::Boolean(true))),
            json("/b", Change::Remove),
            json("/c/0", mask()),
        ]
    };
    check(&under(rewrites()), r#"{"a":1,"b":{"c":2},"c":["x"]}"#, r#"{"a":true,"c":["*"]}"#);
    check(&under(rewrites()), r#"{"c":[null]}"#, r#"{"c":[null]}"#);
    let rewrites = vec![json("/a/b", word("xyz")), json("/a/b", mask())];
    check(&under(rewrites), r#"{"a":{"b":1}}"#, r#"{"a":{"b":"***"}}"#);
}

#[test]
fn what_can_not_be_changed_does_not_pass() {
    for payload in [
        r#"{"a":1}"#,
        r#"{"a":["x"]}"#,
        r#"{"a":true}"#,
        // No document, or one that readers differ about.
        "hello",
        r#"{"a":"x"} x"#,
        r#"{"a":"x","a":"y"}"#,
        r#"{"a":"x",}"#,
        "",
    ] {
        check_dropped(&under(vec![json("/a", mask())]), payload);
    }
    let policy = Policy {
        limits: Limits { message_size_max: 20, ..Limits::default() },
        ..under(vec![json("/a", word("0123456789"))])
    };
    check(&policy, r#"{"a":1}"#, r#"{"a":"0123456789"}"#);
    check_dropped(&policy, r#"{"a":1, "b":2}"#);
    let mut wire = Wire::new(&under(vec![json("/a", mask())]));
    wire.read(TO_SERVER, &[message(TO_SERVER, "hello"), message(TO_SERVER, r#"{"a":"x"}"#)].concat());
    assert_eq!(wire.arrived(TO_SERVER), [text(r#"{"a":"*"}"#)], "the connection goes on");
    assert_eq!(wire.rules(), ["rewrite-1"]);
    assert_eq!(wire.worker.stats()[0].rewrite_failures, 1);
}

#[test]
fn only_messages_of_its_kind_are_rewritten() {
    let rewrite = Rewrite { directions: Directions::ToClient, ..json("/a", mask()) };
    check(&under(vec![rewrite]), "hello", "hello");
    let binary = through(&under(vec![json("/a", mask())]), Opcode::Binary, br#"{"a":"x"}"#);
    assert_eq!(binary.0, [Got::Message(Opcode::Binary, br#"{"a":"x"}"#.into())]);
    let rewrite = Rewrite { messages: MessageTypes::Any, ..json("/a", mask()) };
    let binary = through(&under(vec![rewrite]), Opcode::Binary, br#"{"a":"x"}"#);
    assert_eq!(binary.0, [Got::Message(Opcode::Binary, br#"{"a":"*"}"#.into())]);
    check(&Policy { mode: Mode::Detect, ..under(vec![json("/a", mask())]) }, r#"{"a":"x"}"#, r#"{"a":"x"}"#);
}

#[test]
fn messagepack_is_rewritten() {
    let policy = under(vec![
        rewriting(RewriteFormat::MessagePack, "/a", mask()),
        rewriting(RewriteFormat::MessagePack, "/l/*/x", Change::Remove),
    ]);
    let sent = b"\x83\xa1a\xa5ann\xc3\xa9\xa1l\x92\x82\xa1x\x01\xa1y\x02\x03\xa1b\xc4\x01\xff";
    let expected = b"\x83\xa1a\xa4****\xa1l\x92\x81\xa1y\x02\x03\xa1b\xc4\x01\xff";
    assert_eq!(through(&policy, Opcode::Binary, sent).0, [Got::Message(Opcode::Binary, expected.to_vec())]);
    assert_eq!(through(&policy, Opcode::Binary, b"\x81\xa1a").0, []);
    check(&policy, "text", "text");
}

#[test]
fn protobuf_is_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    let schema_path = folder.path().join("m.proto");
    let proto = "syntax = \"proto3\"; message M { string a = 1; M m = 2; int32 n = 3; repeated M l = 4; }";
    fs::write(&schema_path, proto).unwrap();
    let of = |at: &str, change| {
        let format = RewriteFormat::Protobuf { schema_path: schema_path.clone(), message: "M".into() };
        under(vec![rewriting(format, at, change)])
    };
    let passes = |policy: &Policy, sent: &[u8]| match &through(policy, Opcode::Binary, sent).0[..] {
        [Got::Message(_, payload)] => Some(payload.clone()),
        _ => None,
    };
    let hash = Change::Hash(HashKey::new(&[0x0b; 20]));
    let hashed = passes(&of("/m/a", hash), b"\x12\x0c\x0a\x08Hi There\x18\x07\xa0\x06\x01").unwrap();
    assert_eq!(hashed, b"\x12\x24\x0a\x20b0344c61d8db38535ca8afceaf0bf12b\x18\x07\xa0\x06\x01");
    let removed = passes(&of("/l/*/n", Change::Remove), b"\x22\x02\x18\x01\x22\x00\x22\x05\x0a\x01x\x18\x02");
    assert_eq!(removed.unwrap(), b"\x22\x00\x22\x00\x22\x03\x0a\x01x");
    assert_eq!(passes(&of("/n", Change::Remove), b"\x18"), None, "it can't be read");
    for (at, change, reason) in [
        ("/q", Change::Remove, "M has no field \"q\"; it has a, m, n, l"),
        ("/n", mask(), "\"n\" is neither a string nor bytes"),
        ("/n", word("x"), "\"x\" is no value of \"n\""),
        ("/l/n", mask(), "\"n\" is neither \"*\" nor a position"),
    ] {
        let error = Engine::compile(&of(at, change), 0).unwrap_err();
        assert_eq!(error.place(), ("test", "rewrite-1"));
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn places_that_are_none_are_refused_at_the_start() {
    for (at, reason) in [("a", "begins with `/`"), ("/a~", "written `~0`"), ("", "nothing would be left")] {
        let error = Engine::compile(&under(vec![json(at, Change::Remove)]), 0).unwrap_err();
        assert_eq!(error.place(), ("test", "rewrite-1"));
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn what_a_change_brings_together_is_found() {
    let pattern = Pattern::Literal(r#""a":1,"b":2"#.into());
    let apart = r#"{"a":1,"x":0,"b":2}"#;
    for (action, outcome) in [(CLOSE_1008, CLOSE_1008), (Action::Drop, Action::Drop)] {
        let filter = ContentFilter { patterns: vec![pattern.clone()], ..filter(action) };
        let policy = Policy { content_filters: vec![filter], ..under(vec![json("/x", Change::Remove)]) };
        let (_, outcomes) = through(&policy, Opcode::Text, apart.as_bytes());
        assert_eq!(outcomes, [Outcome::Message(outcome)]);
        check(&policy, r#"{"a":1,"x":0,"c":2}"#, r#"{"a":1,"c":2}"#);
    }
}

#[test]
fn redaction_comes_after() {
    let filter =
        ContentFilter { patterns: vec![Pattern::Literal("secret".into())], ..filter(Action::Redact) };
    let policy = |rewrite| Policy { content_filters: vec![filter.clone()], ..under(vec![rewrite]) };
    let redacted = vec![Outcome::Message(Action::Redact)];
    for (rewrite, payload, expected, outcomes) in [
        // What was removed needs no redaction.
        (json("/a", Change::Remove), r#"{"a":"secret","b":1}"#, r#"{"b":1}"#, vec![]),
        (json("/a", Change::Remove), r#"{"a":"secret","b":"secret"}"#, r#"{"b":"******"}"#, redacted.clone()),
        (json("/b", word("a secret")), r#"{"b":1}"#, r#"{"b":"a ******"}"#, redacted.clone()),
        (json("/b", mask()), r#"{"b":"x"}"#, r#"{"b":"*"}"#, vec![]),
    ] {
        assert_eq!(
            through(&policy(rewrite), Opcode::Text, payload.as_bytes()),
            (vec![text(expected)], outcomes)
        );
    }
}

#[test]
fn a_schema_judges_the_message_as_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let schema_path = folder.path().join("s.json");
    fs::write(&schema_path, r#"{"required":["a"]}"#).unwrap();
    let validation = Validation {
        name: "validation-1".into(),
        schema_type: SchemaType::Json,
        schema_path: Some(schema_path),
        registry: None,
        subprotocols: None,
        directions: Directions::Both,
        messages: MessageTypes::Text,
        action: Action::Drop,
        reply: None,
    };
    let policy = Policy { validations: vec![validation], ..under(vec![json("/a", Change::Remove)]) };
    check(&policy, r#"{"a":1}"#, "{}");
    check_dropped(&policy, "{}");
}

#[test]
fn what_passes_uninspected_is_rewritten_all_the_same() {
    let policy = Policy {
        failure_mode: FailureMode::Open,
        content_filters: vec![filter(CLOSE_1008)],
        ..under(vec![json("/a", mask())])
    };
    let (arrived, outcomes) = through(&policy, Opcode::Text, br#"{"a":"x","deep":"%25252525252541"}"#);
    assert_eq!(arrived, [text(r#"{"a":"*","deep":"%25252525252541"}"#)]);
    assert_eq!(outcomes, [Outcome::PassedUninspected]);
}

#[test]
fn large_messages_are_held_whole_where_they_are_rewritten() {
    let limits = Limits { held_size_max: 100 << 10, message_size_max: 16 << 20, ..Limits::default() };
    let policy = Policy { limits, ..under(vec![json("/a", mask())]) };
    let mut wire = Wire::new(&policy);
    let large = |a: &str| format!(r#"{{"x":"{}","a":"{a}"}}"#, "x".repeat(800_000));
    wire.read_in_pieces(TO_SERVER, &message(TO_SERVER, &large("secret")), &[50_000]);
    assert_eq!(wire.arrived(TO_SERVER), [text(&large("******"))]);
}
