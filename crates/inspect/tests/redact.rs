//! What a rule with action `redact` matches is hidden, whatever it hides in, and the rest of the message arrives as it was.
#![allow(clippy::unwrap_used)]

mod wire;

use std::fs;

use proptest::prelude::*;
use serde_json::Value;
use wsi_inspect::Outcome;
use wsi_policy::{
    Action, ContentFilter, Direction, Directions, Discriminator, FailureMode, Limits, MessageTypes, Mode,
    Normalize, Pattern, Policy, ProtobufType, Registry, SchemaType, TypeSchema, UnknownFields, UnknownTypes,
    Validation,
};
use wsi_ws::Opcode;

use wire::{CLOSE_1008, Got, Wire, filter, frame, message, policy, text};

const BOTH: [Direction; 2] = Direction::BOTH;
const TO_SERVER: Direction = Direction::ToServer;

fn redacting(patterns: &[&str], with: Option<&str>) -> ContentFilter {
    ContentFilter {
        patterns: patterns.iter().map(|pattern| regex(pattern)).collect(),
        redact_with: with.map(Into::into),
        ..filter(Action::Redact)
    }
}

fn regex(expression: &str) -> Pattern {
    Pattern::Regex { expression: expression.into(), flags: String::new() }
}

fn under(filter: ContentFilter) -> Policy {
    Policy { content_filters: vec![filter], ..policy() }
}

fn secrets() -> Policy {
    under(redacting(&["secret", r"\d{16}"], None))
}

/// What arrives of a text message, and under which rules it was told.
fn through(policy: &Policy, payload: &str) -> (Vec<Got>, Vec<Outcome>) {
    let mut wire = Wire::new(policy);
    wire.read(TO_SERVER, &message(TO_SERVER, payload));
    let outcomes = wire.told.verdicts.iter().map(|verdict| verdict.1).collect();
    (wire.arrived(TO_SERVER), outcomes)
}

#[track_caller]
fn check(policy: &Policy, payload: &str, expected: &str) {
    assert_eq!(through(policy, payload), (vec![text(expected)], vec![Outcome::Message(Action::Redact)]));
}

#[track_caller]
fn check_dropped(policy: &Policy, payload: &str) {
    assert_eq!(through(policy, payload), (vec![], vec![Outcome::Message(Action::Drop)]), "{payload}");
}

#[test]
fn matches_become_as_many_stars_and_nothing_else_changes() {
    check(&secrets(), "a secret, and secret too", "a ******, and ****** too");
    check(&secrets(), "card 4111111111111111, 41111111111111112", "card ****************, *****************");
    check(&secrets(), "é€🦀secret🦀", "é€🦀******🦀");
    check(&under(redacting(&["п..р"], None)), "пир", "***");
    let policy = under(redacting(&["key=.*"], None));
    check(&policy, "x key=12 34 ü\nnext", "x ***********\nnext");
}

#[test]
fn messages_in_any_shape_are_redacted_and_their_neighbours_are_not() {
    for direction in BOTH {
        let mut wire = Wire::new(&secrets());
        let sent = [
            message(direction, "before"),
            frame(direction, false, Opcode::Text, b"a sec"),
            frame(direction, true, Opcode::Ping, b"alive"),
            frame(direction, true, Opcode::Continuation, b"ret in fragments"),
            message(direction, "a secret"),
            message(direction, "after"),
        ]
        .concat();
        wire.read_in_pieces(direction, &sent, &[1, 7, 200]);
        wire.read(direction, &sent);
        let once = [
            text("before"),
            Got::Control(Opcode::Ping, b"alive".into()),
            text("a ****** in fragments"),
            text("a ******"),
            text("after"),
        ];
        assert_eq!(wire.arrived(direction), [&once[..], &once[..]].concat());
        assert_eq!(wire.rules(), ["content-filter-1/block-patterns-1"; 4]);
        let stats = &wire.worker.stats()[0];
        assert_eq!((stats.redacted, stats.redact_failures), (4, 0));
    }
}

#[test]
fn what_only_a_view_shows_is_redacted_where_it_came_from() {
    for (payload, expected) in [
        (r"a se\u0063ret b", "a *********** b"),
        ("a s%65cret b", "a ******** b"),
        ("a s&#101;cret b", "a *********** b"),
        ("a ｓｅcret b", "a ****** b"),
        ("a s\u{200b}e\u{200b}cret b", "a ******** b"),
        ("a ѕесrеt b", "a ****** b"),
        (r"a se\u0063ret s%65cret secret b", "a *********** ******** ****** b"),
        (r"a s%2565cret b", "a ********** b"),
    ] {
        check(&secrets(), payload, expected);
    }
}

#[test]
fn what_has_no_way_back_is_dropped() {
    let base64 = Normalize { base64: true, ..Normalize::default() };
    let policy = under(ContentFilter { normalize: base64, ..redacting(&["secret"], None) });
    check_dropped(&policy, "a c2VjcmV0IGluIGJhc2U2NA== b");
    check(&policy, "a secret in the open", "a ****** in the open");
    // It hides more than can be looked at.
    check_dropped(&secrets(), "a secret and %25252525252541");
}

#[test]
fn only_strings_of_a_document_are_touched() {
    for (payload, expected) in [
        (r#"{"a": "my secret", "n": 7}"#, r#"{"a": "my ******", "n": 7}"#),
        (r#"{"secret":["secret",{"x":"secret"}]}"#, r#"{"******":["******",{"x":"******"}]}"#),
        // Of a document one star stands for one character of the value.
        (r#"{"a":"\u0073ecre\u0074\n"}"#, r#"{"a":"******\n"}"#),
        (r#"["\ud83e\udd80secret\"\\"]"#, r#"["\ud83e\udd80******\"\\"]"#),
        (r#""secret""#, r#""******""#),
        // Names of numbers and members stay apart.
        (r#"{"secret":1,"secrets":2}"#, r#"{"******":1,"******s":2}"#),
    ] {
        check(&secrets(), payload, expected);
    }
    // Quotes and braces are no part of it.
    let policy = under(redacting(&[r#""role":"admin"[,}]"#], None));
    check(&policy, r#"{"role":"admin","x":"y"}"#, r#"{"****":"*****","x":"y"}"#);
    // A part of an escape is the escape.
    check(&under(redacting(&["u003c"], None)), r#"{"a":"x\u003cb"}"#, r#"{"a":"x*b"}"#);
}

#[test]
fn what_would_break_a_document_is_dropped() {
    for payload in [
        r#"{"card":4111111111111111}"#,
        // Both names would be the same.
        r#"{"1111222233334444":1,"4444333322221111":2}"#,
    ] {
        check_dropped(&secrets(), payload);
    }
    check_dropped(&under(redacting(&[r"\]\]"], None)), "[[]]");
    check_dropped(&under(redacting(&["true"], None)), r#"{"a":true}"#);
    check_dropped(&secrets(), &format!("{}\"secret\"{}", "[".repeat(200), "]".repeat(200)));
    // What is no document is a text like any.
    check(&secrets(), r#"{"secret": 4111111111111111"#, r#"{"******": ****************"#);
    check(&secrets(), "4111111111111111", "****************");
}

#[test]
fn another_text_may_take_the_place_of_a_match() {
    let policy = under(redacting(&["secret", r"\d{16}"], Some("[\"removed\"\\]")));
    check(&policy, "a secretsecret 4111111111111111", r#"a ["removed"\]["removed"\] ["removed"\]"#);
    check(&policy, r#"{"a":"secret"}"#, r#"{"a":"[\"removed\"\\]"}"#);
    // Beyond the largest message it can't grow.
    let policy = under(redacting(&["x"], Some(&"y".repeat(200))));
    check(&policy, &"x".repeat(300), &"y".repeat(60_000));
    check_dropped(&policy, &"x".repeat(400));
}

#[test]
fn what_would_match_again_is_refused_at_the_start() {
    for (pattern, with) in [("secret", Some("a secret")), (r"\*+", None), (".", None), ("x|y", Some("y"))] {
        let error = wsi_inspect::Engine::compile(&under(redacting(&[pattern], with)), 0).unwrap_err();
        assert_eq!(error.place(), ("test", "content-filter-1/block-patterns-1"));
        assert!(error.to_string().contains("choose another `redact-with`"), "{error}");
    }
    // Together with what stands around it only a message shows it.
    let policy = under(redacting(&["a_"], Some("_")));
    check(&policy, "aaa_", "_");
    check_dropped(&policy, "aaaaaaaa_");
}

#[test]
fn all_rules_that_redact_do_so_at_once() {
    let filters = vec![redacting(&["secret"], Some("#1")), redacting(&["other", "cretot"], None)];
    let policy = Policy { content_filters: filters, ..policy() };
    check(&policy, "a secret and other secretother", "a #1 and ***** #1");
}

#[test]
fn closing_and_dropping_win() {
    for action in [CLOSE_1008, Action::Drop] {
        let other = ContentFilter { name: "content-filter-2".into(), ..filter(action) };
        let policy = Policy { content_filters: vec![redacting(&["secret"], None), other], ..policy() };
        let mut wire = Wire::new(&policy);
        wire.read(TO_SERVER, &message(TO_SERVER, "a secret exec("));
        assert_eq!(wire.told.verdicts[0].1, Outcome::Message(action));
        assert_eq!(wire.rules(), ["content-filter-2/block-patterns-1"]);
        let is_close = action == CLOSE_1008;
        assert_eq!(wire.arrived(TO_SERVER), if is_close { vec![Got::Close(Some(1008))] } else { vec![] });
        // What another rule makes of the new message holds, too.
        let other = ContentFilter { patterns: vec![regex(r"a \*")], ..policy.content_filters[1].clone() };
        let policy = Policy { content_filters: vec![redacting(&["secret"], None), other], ..policy };
        let (_, outcomes) = through(&policy, "a secret");
        assert_eq!(outcomes, [Outcome::Message(action)]);
    }
}

#[test]
fn detect_mode_records_and_passes() {
    let (arrived, outcomes) = through(&Policy { mode: Mode::Detect, ..secrets() }, "a secret");
    assert_eq!((arrived, outcomes), (vec![text("a secret")], vec![Outcome::Message(Action::Redact)]));
}

#[test]
fn what_could_not_be_inspected_does_not_pass_with_a_secret() {
    let limits = Limits { message_size_max: 1 << 20, ..Limits::default() };
    let large = format!("a secret {}", "x".repeat(10_000));
    for (failure_mode, outcome) in [
        (FailureMode::Open, Outcome::Message(Action::Drop)),
        (FailureMode::Closed, Outcome::Message(Action::Close(wsi_ws::CloseCode::INTERNAL_ERROR))),
    ] {
        // The clock of these tests leaps by a millisecond whenever it is asked.
        let policy = Policy { failure_mode, timeout_ms: 0, limits, ..secrets() };
        let mut wire = Wire::new(&policy);
        wire.read(TO_SERVER, &message(TO_SERVER, &large));
        assert_eq!(wire.told.verdicts.iter().map(|verdict| verdict.1).collect::<Vec<_>>(), [outcome]);
    }
}

#[test]
fn binary_messages_keep_their_size() {
    let policy = under(redacting(&["secret"], Some("gone")));
    for (payload, expected) in [
        (&b"\x00\xffsecret\xfe"[..], &b"\x00\xff******\xfe"[..]),
        ("é secret".as_bytes(), "é ******".as_bytes()),
        (br"\xff se\u0063ret", br"\xff ***********"),
        (br#"{"a":"se\u0063ret"}"#, br#"{"a":"***********"}"#),
    ] {
        let mut wire = Wire::new(&policy);
        wire.read(TO_SERVER, &frame(TO_SERVER, true, Opcode::Binary, payload));
        assert_eq!(wire.arrived(TO_SERVER), [Got::Message(Opcode::Binary, expected.into())]);
    }
}

#[test]
fn control_frames_are_redacted_in_place() {
    let policy = under(redacting(&["secret", "é"], Some("a text of another length")));
    for direction in BOTH {
        for (opcode, sent, expected) in [
            (Opcode::Ping, &b"\x00secret\xff"[..], &b"\x00******\xff"[..]),
            (Opcode::Pong, "é secret".as_bytes(), b"** ******"),
        ] {
            let mut wire = Wire::new(&policy);
            wire.read(direction, &frame(direction, true, opcode, sent));
            wire.read_in_pieces(direction, &frame(direction, true, opcode, sent), &[3]);
            assert_eq!(wire.arrived(direction), vec![Got::Control(opcode, expected.into()); 2]);
        }
        let mut wire = Wire::new(&policy);
        wire.read(
            direction,
            &frame(direction, true, Opcode::Close, &[b"\x03\xe8", "bye, é secret".as_bytes()].concat()),
        );
        assert_eq!(wire.arrived(direction), [Got::Close(Some(1000))]);
        assert!(wire.received[direction.index()].len() > 10);
        assert_eq!(wire.told.verdicts[0].1, Outcome::Message(Action::Redact));
        // What can't be redacted is dropped, and a close can't be withheld.
        let base64 = Normalize { base64: true, ..Normalize::default() };
        let policy = under(ContentFilter { normalize: base64, ..redacting(&["secret"], None) });
        let hidden = b"c2VjcmV0IGluIGJhc2U2NA==";
        let mut wire = Wire::new(&policy);
        wire.read(direction, &frame(direction, true, Opcode::Ping, hidden));
        wire.read(direction, &frame(direction, true, Opcode::Close, &[b"\x03\xe8", &hidden[..]].concat()));
        assert_eq!(wire.arrived(direction), [Got::Close(Some(1008))]);
    }
}

fn validation(schema_type: SchemaType, file: &str, content: &str) -> (Validation, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let schema_path = folder.path().join(file);
    fs::write(&schema_path, content).unwrap();
    let validation = Validation {
        name: "validation-1".into(),
        schema_type,
        schema_path: Some(schema_path),
        registry: None,
        subprotocols: None,
        directions: Directions::Both,
        messages: MessageTypes::Any,
        action: Action::Drop,
        reply: None,
    };
    (validation, folder)
}

#[track_caller]
fn check_binary(policy: &Policy, payload: &[u8], expected: Option<&[u8]>) {
    let mut wire = Wire::new(policy);
    wire.read(TO_SERVER, &frame(TO_SERVER, true, Opcode::Binary, payload));
    let expected = expected.map(|payload| Got::Message(Opcode::Binary, payload.into()));
    assert_eq!(wire.arrived(TO_SERVER), Vec::from_iter(expected), "{}", payload.escape_ascii());
    assert_eq!(wire.told.verdicts.len(), 1);
}

/// A str of MessagePack.
fn packed(text: &str) -> Vec<u8> {
    let size = text.len() as u8;
    let head = if size < 32 { vec![0xa0 | size] } else { vec![0xd9, size] };
    [&head, text.as_bytes()].concat()
}

#[test]
fn lengths_in_messagepack_stay_right() {
    let (validation, _folder) = validation(SchemaType::MessagePack, "s.json", "{}");
    let of = |patterns: &[&str]| Policy {
        validations: vec![validation.clone()],
        ..under(redacting(patterns, Some("something longer")))
    };
    let policy = of(&["s[ae]cret", r"\bword\b"]);
    let one = |name: &str, value: &str| [vec![0x81], packed(name), packed(value)].concat();
    check_binary(&policy, &one("secret", "my secret"), Some(&one("******", "my ******")));
    check_binary(&policy, b"\xc4\x08\xffsecret\xff", Some(b"\xc4\x08\xff******\xff"));
    check_binary(&policy, &packed(r"x se\u0063ret"), Some(&packed("x ***********")));
    // A part of a character is the character.
    check_binary(&of(&["\\xa9"]), &packed("éx"), Some(&packed("**x")));
    // Its length is a letter, which hides the word from the message as a whole.
    check_binary(&policy, &packed(&format!("word{:93}", "")), Some(&packed(&format!("****{:93}", ""))));
    // What is no text is not touched.
    check_binary(&of(&["\\xa6secret"]), &packed("secret"), Some(&packed("******")));
    check_binary(&of(&["\\x81\\xa6"]), &one("secret", ""), None);
    // Two names would be the same.
    let names = [vec![0x82], packed("secret"), vec![1], packed("sacret"), vec![2]].concat();
    check_binary(&policy, &names, None);
}

#[test]
fn lengths_in_protobuf_stay_right() {
    let kind = ProtobufType { message: "M".into(), constraints: None, unknown_fields: UnknownFields::Reject };
    let proto = "syntax = \"proto3\"; message M { string a = 1; M m = 2; bytes b = 3; int32 n = 4; }";
    let (validation, _folder) = validation(SchemaType::Protobuf(kind), "m.proto", proto);
    let policy = Policy {
        validations: vec![validation],
        ..under(redacting(&["secret", "\\n.b?x"], Some("something longer")))
    };
    check_binary(
        &policy,
        b"\x0a\x06secret\x12\x0d\x0a\x08a secret\x1a\x01\xff\x20\x07",
        Some(b"\x0a\x06******\x12\x0d\x0a\x08a ******\x1a\x01\xff\x20\x07"),
    );
    check_binary(&policy, b"\x1a\x08\xffsecret\xff", Some(b"\x1a\x08\xff******\xff"));
    // A match that begins in a tag: only what is text of it.
    check_binary(&policy, b"\x0a\x02xy", Some(b"\x0a\x02*y"));
}

/// What the type for all takes for bytes, the message's own knows for a message.
#[test]
fn a_message_is_redacted_as_what_its_type_says() {
    let kind =
        ProtobufType { message: "Head".into(), constraints: None, unknown_fields: UnknownFields::Reject };
    let proto = "syntax = \"proto3\"; message Head { string type = 1; bytes body = 2; }
        message Note { string type = 1; Body body = 2; } message Body { string text = 1; int32 n = 2; }";
    let (mut validation, _folder) = validation(SchemaType::Protobuf(kind), "m.proto", proto);
    let own = validation.schema_path.clone().map(|path| (path, "Note".into()));
    validation.registry = Some(Registry {
        discriminator: Discriminator::Field("/type".into()),
        types: vec![TypeSchema { name: "note".into(), read_as: own, schema_path: None }],
        unknown_types: UnknownTypes::Allow,
    });
    let of = |patterns: &[&str]| Policy {
        validations: vec![validation.clone()],
        ..under(redacting(patterns, None))
    };
    let note = b"\x0a\x04note\x12\x08\x0a\x06secret";
    let hidden = b"\x0a\x04note\x12\x08\x0a\x06******";
    check_binary(&of(&["secret"]), note, Some(hidden));
    // What is no text to the one is none to redact.
    check_binary(&of(&["\x06secret"]), note, Some(hidden));
    check_binary(&of(&["\x08\x0a\x06"]), note, None);
    // To who knows no better it is text.
    let other = |name: &str, body: &[u8]| [b"\x0a\x04", name.as_bytes(), b"\x12\x08", body].concat();
    check_binary(
        &of(&["\x06secret"]),
        &other("odds", b"\x0a\x06secret"),
        Some(&other("odds", b"\x0a*******")),
    );
    // It would be of another type.
    check_binary(&of(&["note"]), note, None);
}

#[test]
fn a_schema_judges_the_message_as_it_came() {
    let schema = r#"{"properties":{"a":{"maxLength":6,"not":{"pattern":"^[*]"}}}}"#;
    let (validation, _folder) = validation(SchemaType::Json, "s.json", schema);
    let policy = Policy { validations: vec![validation], ..secrets() };
    check(&policy, r#"{"a":"secret"}"#, r#"{"a":"******"}"#);
    let (arrived, outcomes) = through(&policy, r#"{"a":"too long, and secret"}"#);
    assert_eq!((arrived, outcomes), (vec![], vec![Outcome::Message(Action::Drop)]));
    // Told to be JSON, a number alone is a document.
    check_dropped(&policy, "4111111111111111");
}

#[test]
fn texts_are_held_whole_where_something_is_redacted() {
    let limits = Limits { held_size_max: 100 << 10, message_size_max: 16 << 20, ..Limits::default() };
    let filter = ContentFilter { message_size_max: None, ..redacting(&["secret"], None) };
    let mut wire = Wire::new(&Policy { limits, ..under(filter) });
    let payload = |word: &str| format!("{}{word}{}", "x".repeat(400_000), "y".repeat(400_000));
    wire.read_in_pieces(TO_SERVER, &message(TO_SERVER, &payload("secret")), &[50_000]);
    assert_eq!(wire.arrived(TO_SERVER), [text(&payload("******"))]);
}

/// Pieces that hide, or nearly hide, what is to be redacted.
const PIECES: [&str; 40] = [
    "secret",
    "se",
    "cret",
    "s",
    "ecret",
    "a",
    " ",
    "é",
    "🦀",
    "*",
    "\\",
    "\\\\",
    "\\n",
    "\\u0073",
    "\\u0065",
    "u0063ret",
    "%73",
    "%65",
    "%25",
    "%5cu0073",
    "&#115;",
    "&#x65;",
    "&amp;",
    "ｓ",
    "е",
    "\u{200b}",
    "1111",
    "22222222",
    "%31",
    "\\u0032",
    "\\ud83e\\udd80",
    "c2VjcmV0IGluIGJhc2U2NA==",
    "key=",
    "x",
    ";",
    "{",
    "}",
    "[1]",
    ",",
    "\"",
];

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES.as_slice()), 0..14).prop_map(|pieces| pieces.concat())
}

/// Documents whose strings are of such pieces, escaped where they would end a string.
fn document() -> impl Strategy<Value = String> {
    let string = pieces()
        .prop_map(|text| {
            let text = text.replace('"', "\\\"");
            // An escape at the end, or one that is none, would break the document.
            let quoted = format!("\"{text}\"");
            if serde_json::from_str::<String>(&quoted).is_ok() { quoted } else { "\"secret\\u0020\"".into() }
        })
        .boxed();
    let leaf =
        prop_oneof![string.clone(), string.clone(), Just("1111222233334444".into()), Just("true".into())];
    leaf.prop_recursive(3, 12, 3, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|all| format!("[{}]", all.join(", "))),
            prop::collection::vec((string.clone(), inner), 0..3).prop_map(|all| {
                let all: Vec<_> = all.iter().map(|(name, value)| format!("{name} :{value}")).collect();
                format!("{{{}}}", all.join(","))
            }),
        ]
    })
}

thread_local! {
    /// Under the same patterns: one that redacts, one that redacts in words, and one that tells what is left.
    static WIRES: [Policy; 3] = {
        let patterns = ["secret", r"[12]{16}", "key=[^;]*;", "x\\*"];
        let alert = ContentFilter { action: CLOSE_1008, ..redacting(&patterns, None) };
        [under(redacting(&patterns, None)), under(redacting(&patterns, Some("\"\\<>"))), under(alert)]
    };
}

/// What arrives, if anything does; nothing in it is still to be redacted.
fn redacted(with: usize, opcode: Opcode, payload: &[u8]) -> Option<Vec<u8>> {
    WIRES.with(|policies| {
        let mut wire = Wire::new(&policies[with]);
        wire.read(TO_SERVER, &frame(TO_SERVER, true, opcode, payload));
        let arrived = wire.arrived(TO_SERVER);
        let [Got::Message(_, arrived)] = &arrived[..] else {
            assert_eq!(arrived, []);
            assert_eq!(wire.told.verdicts[0].1, Outcome::Message(Action::Drop));
            return None;
        };
        let mut again = Wire::new(&policies[2]);
        again.read(TO_SERVER, &frame(TO_SERVER, true, opcode, arrived));
        assert!(again.told.verdicts.is_empty(), "{} of {}", arrived.escape_ascii(), payload.escape_ascii());
        assert_eq!(wire.told.verdicts.is_empty(), *arrived == *payload);
        Some(arrived.clone())
    })
}

/// The texts between the quotes, and what stands between those.
fn split(document: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut strings, mut others, mut at) = (Vec::new(), Vec::new(), 0);
    for range in wsi_schema::json::strings(document) {
        others.push(&document[at..range.start]);
        strings.push(&document[range.clone()]);
        at = range.end;
    }
    others.push(&document[at..]);
    (strings, others)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn texts_lose_their_secrets_and_nothing_else(payload in pieces()) {
        if let Some(arrived) = redacted(0, Opcode::Text, payload.as_bytes()) {
            let arrived = String::from_utf8(arrived).unwrap();
            if serde_json::from_str::<Value>(&payload).is_err() {
                prop_assert_eq!(arrived.chars().count(), payload.chars().count());
                prop_assert!(arrived.chars().zip(payload.chars()).all(|(after, before)| after == before || after == '*'));
            }
        }
        redacted(1, Opcode::Text, payload.as_bytes());
    }

    #[test]
    fn documents_stay_documents(payload in document()) {
        let before: Value = serde_json::from_str(&payload).unwrap();
        for with in 0..2 {
            let Some(arrived) = redacted(with, Opcode::Text, payload.as_bytes()) else { continue };
            let arrived = String::from_utf8(arrived).unwrap();
            let is_document = payload.starts_with(['{', '[', '"']);
            prop_assert!(!is_document || serde_json::from_str::<Value>(&arrived).is_ok(), "{} of {}", arrived, payload);
            if !is_document || before.is_number() {
                continue;
            }
            let ((strings, others), (strings_before, others_before)) = (split(&arrived), split(&payload));
            prop_assert_eq!(others, others_before);
            for (after, before) in strings.into_iter().zip(strings_before) {
                let value = |text: &str| serde_json::from_str::<String>(&format!("\"{text}\"")).unwrap();
                let (value, value_before) = (value(after), value(before));
                if with == 0 {
                    prop_assert_eq!(value.chars().count(), value_before.chars().count());
                    prop_assert!(value.chars().zip(value_before.chars()).all(|(a, b)| a == b || a == '*'));
                }
                prop_assert!(value != value_before || after == before, "{} was {}", after, before);
            }
        }
    }

    #[test]
    fn binary_messages_keep_every_other_byte(text in pieces(), noise in any::<[u8; 4]>(), at in 0..5usize) {
        let mut payload = text.into_bytes();
        payload.splice(at.min(payload.len())..at.min(payload.len()), noise);
        if let Some(arrived) = redacted(1, Opcode::Binary, &payload) {
            prop_assert_eq!(arrived.len(), payload.len());
            prop_assert!(arrived.iter().zip(&payload).all(|(after, before)| after == before || *after == b'*'));
        }
    }
}
