//! Edits, one by one and against prost-reflect.

use proptest::prelude::*;
use prost_reflect::{DynamicMessage, MapKey, MessageDescriptor, ReflectMessage, Value};

use super::*;
use crate::{
    edit::Literal,
    field::Pointer,
    protobuf::{Change, PathError, differential::Pair},
};

fn stars(text: Text<'_>) -> Vec<u8> {
    match text {
        Text::Characters(text) => vec![b'*'; text.chars().count()],
        Text::Bytes(bytes) => vec![b'*'; bytes.len()],
    }
}

fn of(proto: &str) -> MessageType {
    MessageType::from_text(&format!("syntax = \"proto3\"; {proto}"), "M").unwrap()
}

fn change<'o>(operation: &'o Operation<'_>) -> Change<'o> {
    match operation {
        Operation::Remove => Change::Remove,
        Operation::Set(literal) => Change::Set(literal),
        Operation::Text(_) => Change::Text,
    }
}

#[track_caller]
fn changed(kind: &MessageType, bytes: &[u8], at: &str, operation: &Operation<'_>) -> Vec<u8> {
    let path = kind.path(&Pointer::parse(at).unwrap(), change(operation)).unwrap();
    let edits = kind.edit(bytes, &path, operation, &Limits::default()).unwrap();
    let mut out = Vec::new();
    edits.apply(bytes, &mut out);
    assert_eq!(edits.size_after(bytes.len()), out.len());
    kind.verify(&out, &Limits::default(), Unknown::Allow, |_| {}).unwrap();
    out
}

#[test]
fn lengths_around_a_change_are_set_right() {
    let kind = of("message M { M m = 1; string s = 2; int32 n = 3; repeated M l = 4; }");
    let text = |content: &str| [&[0x12, content.len() as u8][..], content.as_bytes()].concat();
    let within =
        |number: u8, body: &[u8]| [&[number << 3 | 2][..], &varint(body.len() as u64), body].concat();
    let deep = |content: &str| {
        let inner = within(1, &[text(content), b"\x18\x07".to_vec()].concat());
        [within(1, &inner), b"\x18\x05".to_vec()].concat()
    };
    assert_eq!(changed(&kind, &deep("secret"), "/m/m/s", &Operation::Text(&stars)), deep("******"));
    let set = Literal::Text("x".repeat(120).into());
    let long = deep(&"x".repeat(120));
    assert_eq!(
        changed(&kind, &deep("secret"), "/m/m/s", &Operation::Set(&set)),
        long,
        "lengths get longer, too"
    );
    assert_eq!(
        changed(&kind, &long, "/m/m/s", &Operation::Set(&Literal::Text("secret".into()))),
        deep("secret")
    );
    let without = [within(1, &within(1, b"\x18\x07")), b"\x18\x05".to_vec()].concat();
    assert_eq!(changed(&kind, &long, "/m/m/s", &Operation::Remove), without);
    assert_eq!(changed(&kind, &without, "/m/m/s", &Operation::Remove), without, "nothing was sent there");
    let set = Literal::Integer(-1);
    let n = changed(&kind, b"\x0a\x02\x18\x05", "/m/n", &Operation::Set(&set));
    assert_eq!(n, b"\x0a\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    let list = [within(4, &text("a")), b"\x18\x05".to_vec(), within(4, &[]), within(4, &text("bc"))].concat();
    let expected =
        [within(4, &text("*")), b"\x18\x05".to_vec(), within(4, &[]), within(4, &text("**"))].concat();
    assert_eq!(changed(&kind, &list, "/l/*/s", &Operation::Text(&stars)), expected);
    let expected = [within(4, &text("a")), b"\x18\x05".to_vec(), within(4, &[])].concat();
    assert_eq!(changed(&kind, &list, "/l/2", &Operation::Remove), expected);
    assert_eq!(changed(&kind, &list, "/l", &Operation::Remove), b"\x18\x05");
}

/// Each place is one for some change, so that none is skipped for a mistake in it.
#[test]
fn the_places_tried_below_are_places() {
    PAIR.with(|pair| {
        for at in PLACES {
            pair.ours.path(&Pointer::parse(at).unwrap(), Change::Remove).unwrap();
        }
        let sets = |at: &&&str| {
            let literal = literal_at(at).0;
            pair.ours.path(&Pointer::parse(at).unwrap(), Change::Set(&literal)).is_ok()
        };
        assert_eq!(
            PLACES.iter().filter(sets).count(),
            PLACES.len() - 2,
            "all but messages and lists of them"
        );
    });
}

#[test]
fn every_occurrence_of_a_field_is_changed() {
    let kind =
        of("message M { M m = 1; string s = 2; repeated string l = 3; oneof o { M a = 4; int32 b = 5; } }");
    let twice = b"\x12\x01a\x12\x02bc";
    assert_eq!(changed(&kind, twice, "/s", &Operation::Text(&stars)), b"\x12\x01*\x12\x02**");
    assert_eq!(changed(&kind, twice, "/s", &Operation::Remove), b"");
    // Parts of one message: positions go on, and both are changed.
    let parts = b"\x0a\x06\x1a\x01a\x12\x01x\x0a\x06\x1a\x01b\x12\x01y";
    let expected = b"\x0a\x06\x1a\x01a\x12\x01x\x0a\x06\x1a\x01*\x12\x01y";
    assert_eq!(changed(&kind, parts, "/m/l/1", &Operation::Text(&stars)), expected);
    // What a oneof has forgotten does not come back.
    assert_eq!(
        changed(&kind, b"\x28\x07\x22\x00\x28\x08\x12\x01a\x22\x00", "/b", &Operation::Remove),
        b"\x12\x01a\x22\x00"
    );
    assert_eq!(changed(&kind, b"\x22\x00\x12\x01a\x28\x07", "/b", &Operation::Remove), b"\x12\x01a");
    // Not of what a oneof has forgotten.
    let anew = b"\x22\x03\x1a\x01a\x28\x07\x22\x03\x1a\x01b";
    let expected = b"\x22\x03\x1a\x01*\x28\x07\x22\x03\x1a\x01*";
    assert_eq!(changed(&kind, anew, "/a/l/0", &Operation::Text(&stars)), expected);
}

#[test]
fn places_are_looked_up_at_the_start() {
    let kind = MessageType::from_text(
        "syntax = \"proto2\"; message M { required string s = 1; repeated M l = 2; map<string, M> m = 3; optional E e = 4;
         optional sint32 n = 5; extensions 100 to 200; enum E { A = 0; B = 1; } } extend M { optional bytes x = 100; }",
        "M",
    )
    .unwrap();
    let (text, other) = (Literal::Text("B".into()), Literal::Text("C".into()));
    let large = Literal::Integer(1 << 40);
    let path = |at: &str, change| kind.path(&Pointer::parse(at).unwrap(), change).map(|path| path.value);
    assert_eq!(path("/l/*/m/key/e", Change::Set(&text)), Ok(Some(vec![1])));
    assert_eq!(path("/n", Change::Set(&Literal::Integer(-3))), Ok(Some(vec![5])));
    assert_eq!(path("/[x]", Change::Text), Ok(None));
    for (at, change, expected) in [
        ("", Change::Remove, "the place is the whole message; name a field of it, as \"/order/price\""),
        ("/q", Change::Remove, "M has no field \"q\"; it has s, l, m, e, n, [x]"),
        ("/l", Change::Text, "\"l\" is a list; write \"/*\" behind it for every element, or a position"),
        ("/l/s", Change::Text, "\"s\" is neither \"*\" nor a position in the list \"l\""),
        ("/m", Change::Set(&text), "\"m\" is a map; write the key behind it"),
        ("/s/x", Change::Text, "there is nothing within \"s\""),
        ("/s", Change::Remove, "\"s\" is required, so a message without it is invalid"),
        ("/n", Change::Text, "\"n\" is neither a string nor bytes"),
        ("/l/0", Change::Text, "\"l\" is neither a string nor bytes"),
        ("/n", Change::Set(&text), "\"B\" is no value of \"n\""),
        ("/n", Change::Set(&large), "1099511627776 is no value of \"n\""),
        ("/e", Change::Set(&other), "\"C\" is no value of \"e\"; there are A, B"),
        (
            "/l/0",
            Change::Set(&text),
            "\"B\" is no value of \"l\"; it is a message: set fields of it, or remove it",
        ),
    ] {
        assert_eq!(path(at, change).map_err(|error| error.to_string()), Err(expected.to_owned()), "{at}");
    }
    assert!(matches!(path("/e/x", Change::Remove), Err(PathError::Leaf(_))));
}

/// Places of [`Pair`]'s type.
const PLACES: [&str; 24] = [
    "/string",
    "/bytes",
    "/child/string",
    "/child/child/bytes",
    "/strings/*",
    "/strings/1",
    "/children/*/string",
    "/children/0/bytes",
    "/by_name/a/string",
    "/by_name/b",
    "/by_number/-1",
    "/by_number/7",
    "/by_bool/true",
    "/ints/*",
    "/ints/2",
    "/unpacked/*",
    "/doubles/0",
    "/sides/*",
    "/two/string",
    "/two/strings/1",
    "/three",
    "/maybe",
    "/children",
    "/children/1/by_name/a/strings/*",
];

/// The same change of the decoded message, made plainly.
fn expected(message: &mut DynamicMessage, tokens: &[&str], operation: &Operation<'_>, value: &Value) {
    let [token, rest @ ..] = tokens else { return };
    let field = message.descriptor().get_field_by_name(token).unwrap();
    if !message.has_field(&field) {
        return;
    }
    if rest.is_empty() && matches!(operation, Operation::Remove) {
        return message.clear_field(&field);
    }
    within(message.get_field_mut(&field), rest, operation, value);
}

fn within(held: &mut Value, tokens: &[&str], operation: &Operation<'_>, value: &Value) {
    let removes = matches!(operation, Operation::Remove) && tokens.len() == 1;
    match (held, tokens) {
        (Value::Message(message), tokens @ [_, ..]) => expected(message, tokens, operation, value),
        (Value::List(list), [token, rest @ ..]) => {
            let is_it = |at: usize| *token == "*" || *token == at.to_string();
            if removes {
                let mut at = 0;
                list.retain(|_| {
                    at += 1;
                    !is_it(at - 1)
                });
                return;
            }
            let chosen = list.iter_mut().enumerate().filter(|(at, _)| is_it(*at));
            chosen.for_each(|(_, held)| within(held, rest, operation, value));
        }
        (Value::Map(map), [token, rest @ ..]) => {
            let is_it = |key: &MapKey| match key {
                MapKey::String(key) => key == token,
                MapKey::Bool(key) => key.to_string() == *token,
                MapKey::I32(key) => key.to_string() == *token,
                _ => false,
            };
            if removes {
                return map.retain(|key, _| !is_it(key));
            }
            map.iter_mut()
                .filter(|(key, _)| is_it(key))
                .for_each(|(_, held)| within(held, rest, operation, value));
        }
        (held, []) => match (operation, &mut *held) {
            (Operation::Text(_), Value::String(text)) => *text = "*".repeat(text.chars().count()),
            (Operation::Text(_), Value::Bytes(bytes)) => *bytes = vec![b'*'; bytes.len()].into(),
            _ => *held = value.clone(),
        },
        _ => {}
    }
}

/// A message as `choices` say, which sends no default of a field without presence: whether such was sent can't be told afterwards.
fn message(
    descriptor: &MessageDescriptor,
    choices: &mut std::vec::IntoIter<u8>,
    depth: u32,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    let list = |value: Value, count: u8| Value::List(vec![value; 1 + usize::from(count % 3)]);
    while let (Some(choice), Some(count)) = (choices.next(), choices.next()) {
        let text = "aé".repeat(1 + usize::from(count % 30));
        let number = 1 + i32::from(count) * if count % 2 == 0 { -1 } else { 70 };
        let mut inner = || {
            Value::Message(if depth == 0 {
                DynamicMessage::new(descriptor.clone())
            } else {
                message_of(descriptor, choices, depth)
            })
        };
        let (name, value) = match choice % 16 {
            0 => return message,
            1 => ("string", Value::String(text)),
            2 => ("bytes", Value::Bytes(text.into_bytes().into())),
            3 => ("maybe", Value::I32(number)),
            4 => ("ints", list(Value::I32(number), count)),
            5 => ("unpacked", list(Value::I32(number), count)),
            6 => ("strings", list(Value::String(text), count)),
            7 => ("sides", list(Value::EnumNumber(i32::from(count % 3)), count)),
            8 => ("doubles", list(Value::F64(number.into()), count)),
            9 => (
                "by_number",
                Value::Map(
                    [(MapKey::I32([-1, 7, 300][usize::from(count % 3)]), Value::I64(number.into()))].into(),
                ),
            ),
            10 => ("by_bool", Value::Map([(MapKey::Bool(count % 2 == 0), Value::String(text))].into())),
            11 => ("child", inner()),
            12 => ("children", Value::List(vec![inner(), inner()])),
            13 => (
                "by_name",
                Value::Map([(MapKey::String(["a", "b"][usize::from(count % 2)].into()), inner())].into()),
            ),
            14 => ("two", inner()),
            _ => ("three", Value::String(text)),
        };
        message.set_field_by_name(name, value);
    }
    message
}

fn message_of(
    descriptor: &MessageDescriptor,
    choices: &mut std::vec::IntoIter<u8>,
    depth: u32,
) -> DynamicMessage {
    message(descriptor, choices, depth - 1)
}

/// What can be set at a place, in both languages.
fn literal_at(at: &str) -> (Literal, Value) {
    let has = |part| at.contains(part);
    if has("bytes") {
        (Literal::Text("é x".into()), Value::Bytes("é x".as_bytes().to_vec().into()))
    } else if has("string") || has("by_bool") || has("three") {
        (Literal::Text("é x".into()), Value::String("é x".into()))
    } else if has("sides") {
        (Literal::Text("SELL".into()), Value::EnumNumber(2))
    } else if has("doubles") {
        (Literal::Float(1.5), Value::F64(1.5))
    } else if has("by_number") {
        (Literal::Integer(300), Value::I64(300))
    } else {
        (Literal::Integer(300), Value::I32(300))
    }
}

thread_local! {
    static PAIR: Pair = Pair::new();
}

/// Some, one after the other.
fn messages(choices: Vec<u8>) -> Vec<u8> {
    let mut choices = choices.into_iter();
    let mut bytes = Vec::new();
    for _ in 0..3 {
        let part = PAIR.with(|pair| message(&pair.reference, &mut choices, 3));
        bytes.extend(prost_reflect::prost::Message::encode_to_vec(&part));
    }
    bytes
}

proptest! {
    /// Several messages one after the other are one, merged.
    #[test]
    fn an_edit_of_the_bytes_is_an_edit_of_the_message(choices in prop::collection::vec(any::<u8>(), 0..160), at in prop::sample::select(PLACES.as_slice()), which in 0..3usize) {
        let bytes = messages(choices);
        PAIR.with(|pair| {
            let pointer = Pointer::parse(at).unwrap();
            let (literal, value) = literal_at(at);
            let operation = [Operation::Remove, Operation::Set(&literal), Operation::Text(&stars)].into_iter().nth(which).unwrap();
            let Ok(path) = pair.ours.path(&pointer, change(&operation)) else { return Ok(()) };
            let edits = pair.ours.edit(&bytes, &path, &operation, &Limits::default()).unwrap();
            let mut out = Vec::new();
            edits.apply(&bytes, &mut out);
            let read = |bytes: &[u8]| DynamicMessage::decode(pair.reference.clone(), bytes).unwrap();
            let mut after = read(&bytes);
            let tokens: Vec<&str> = pointer.tokens().collect();
            expected(&mut after, &tokens, &operation, &value);
            // A list that is empty is one that was not sent.
            let again = |message: &DynamicMessage| read(&prost_reflect::prost::Message::encode_to_vec(message));
            let (out, after) = (again(&read(&out)), again(&after));
            let shown = |message: &DynamicMessage| serde_json::to_value(message).unwrap();
            prop_assert!(out == after, "{at} {operation:?} of {}: {} and not {}", shown(&read(&bytes)), shown(&out), shown(&after));
            Ok(())
        })?;
    }
}

#[test]
fn undeclared_fields_are_stripped_at_any_depth() {
    let kind =
        of("message M { M m = 1; string s = 2; int32 n = 3; repeated M l = 4; map<string, M> e = 5; }");
    let within =
        |number: u8, body: &[u8]| [&[number << 3 | 2][..], &varint(body.len() as u64), body].concat();
    let plain: [&[u8]; 3] = [b"\x12\x02ab", b"\x18\x05", b""];
    // Of every wire type, a group with a field in it too.
    let unknown: [&[u8]; 6] = [
        b"\x78\x01",
        b"\x7a\x02xy",
        b"\x79\x01\x02\x03\x04\x05\x06\x07\x08",
        b"\x7d\x01\x02\x03\x04",
        b"\x7b\x10\x01\x7c",
        b"",
    ];
    for known in plain {
        for undeclared in unknown {
            let bad = [undeclared, known, undeclared].concat();
            let entry = |body: &[u8]| [b"\x0a\x01k".to_vec(), within(2, body)].concat();
            let around = |body: &[u8]| {
                let levels = [within(1, &within(4, body)), within(4, body), within(5, &entry(body))];
                [levels.concat(), body.to_vec()].concat()
            };
            let (sent, expected) = (around(&bad), around(known));
            let edits = kind.strip(&sent, &Limits::default()).unwrap();
            let mut out = Vec::new();
            edits.apply(&sent, &mut out);
            assert_eq!(out, expected);
            assert_eq!(edits.is_empty(), undeclared.is_empty());
            kind.verify(&out, &Limits::default(), Unknown::Reject, |_| {}).unwrap();
        }
    }
    assert!(kind.strip(b"\x12\x05ab", &Limits::default()).is_err(), "what is cut off is no message");
}

#[test]
fn values_of_enums_are_not_stripped() {
    let kind = of("enum E { A = 0; } message M { E e = 1; }");
    assert!(kind.strip(b"\x08\x07", &Limits::default()).is_err());
    assert!(kind.verify(b"\x08\x00\x78\x01", &Limits::default(), Unknown::Strip, |_| {}).is_ok());
}

proptest! {
    /// Whatever another type has to say is gone, and nothing else.
    #[test]
    fn what_is_left_is_declared(choices in prop::collection::vec(any::<u8>(), 0..160)) {
        let bytes = messages(choices);
        let kind = of("message M { string s = 2; int32 n = 3; M m = 1; }");
        if let Ok(edits) = kind.strip(&bytes, &Limits::default()) {
            let mut out = Vec::new();
            edits.apply(&bytes, &mut out);
            prop_assert_eq!(kind.verify(&out, &Limits::default(), Unknown::Reject, |_| {}), Ok(()));
            prop_assert!(kind.strip(&out, &Limits::default()).unwrap().is_empty());
        }
    }
}
