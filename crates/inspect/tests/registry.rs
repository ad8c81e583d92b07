//! Which schema holds for a message: by its type, and by what the endpoints agreed on.
#![allow(clippy::unwrap_used)]

mod wire;

use std::{path::Path, sync::Arc};

use wsi_inspect::{
    Context, Engine, EngineError, Worker,
    frames::{Frame, FrameSession, FrameVerdict},
};
use wsi_policy::{
    Action, Direction, Directions, Discriminator, MessageTypes, Mode, Policy, ProtobufType, Registry,
    SchemaType, TypeSchema, UnknownFields, UnknownTypes, Validation,
};
use wsi_ws::{CloseCode, Opcode};

use self::wire::{Told, Wire, frame, policy};

const CLOSE_1007: Action = Action::Close(CloseCode::INVALID_PAYLOAD);
const ORDER: &str = r#"{"properties": {"price": {"minimum": 1}}, "required": ["price"]}"#;
const NOTE: &str = r#"{"properties": {"text": {"maxLength": 5}}}"#;
const ALL: &str = r#"{"properties": {"seq": {"type": "integer"}}}"#;
const PROTO: &str = r#"
    syntax = "proto3";
    package trade;
    message Envelope { oneof body { Order order = 1; Note note = 2; } uint32 seq = 3; }
    message Head { string kind = 1; }
    message Order { string kind = 1; int32 price = 2; }
    message Note { string kind = 1; string text = 2; }
"#;

const UNKNOWN: &str = r#""/head/type" breaks "discriminator": it names no type that has a schema"#;
const TOO_CHEAP: &str = r#""/price" breaks "minimum" at "/properties/price/minimum" of the schema "order""#;
const TOO_LONG: &str = r#""/text" breaks "maxLength" at "/properties/text/maxLength" of the schema "note""#;

/// What is sent, and what becomes of it.
const JUDGED: [(&str, &str); 11] = [
    (r#"{"head":{"type":"order"},"price":1}"#, "passes"),
    (r#"{"price":-77777,"head":{"type":"order"}}"#, TOO_CHEAP),
    (r#"{"head":{"type":"note"},"price":-77777,"text":"short"}"#, "passes"),
    (r#"{"head":{"type":"note"},"text":"secret-words"}"#, TOO_LONG),
    (r#"{"head":{"type":"secret-type"},"price":1}"#, UNKNOWN),
    (r#"{"head":{"type":["order"]},"price":1}"#, UNKNOWN),
    (r#"{"head":{},"price":1}"#, UNKNOWN),
    (r#"{"head":"order","price":1}"#, UNKNOWN),
    (r#"[{"head":{"type":"order"},"price":1}]"#, UNKNOWN),
    (r#"{"head":{"type":"\u006frder"},"price":0}"#, TOO_CHEAP),
    (
        r#"{"seq":"secret","head":{"type":"order"},"price":1}"#,
        r#""/seq" breaks "type" at "/properties/seq/type" of the schema"#,
    ),
];

fn files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let wrapped = |schema: &str, name: &str| format!(r#"{{"properties": {{"{name}": {schema}}}}}"#);
    for (name, text) in [
        ("order.json", ORDER),
        ("note.json", NOTE),
        ("all.json", ALL),
        ("trade.proto", PROTO),
        ("envelope-order.json", &wrapped(ORDER, "order")),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn validation(folder: &Path, schema_type: SchemaType) -> Validation {
    let schema = |name: &str| TypeSchema {
        name: name.into(),
        read_as: None,
        schema_path: Some(folder.join(format!("{name}.json"))),
    };
    Validation {
        name: "validation-1".into(),
        schema_type,
        schema_path: Some(folder.join("all.json")),
        registry: Some(Registry {
            discriminator: Discriminator::Field("/head/type".into()),
            types: vec![schema("order"), schema("note")],
            unknown_types: UnknownTypes::Reject,
        }),
        directions: Directions::Both,
        messages: MessageTypes::Any,
        subprotocols: None,
        action: Action::Drop,
        reply: None,
    }
}

fn protobuf(
    folder: &Path,
    message: &str,
    discriminator: Discriminator,
    types: Vec<TypeSchema>,
) -> Validation {
    let kind =
        ProtobufType { message: message.into(), constraints: None, unknown_fields: UnknownFields::Reject };
    Validation {
        schema_path: Some(folder.join("trade.proto")),
        registry: Some(Registry { discriminator, types, unknown_types: UnknownTypes::Reject }),
        ..validation(folder, SchemaType::Protobuf(kind))
    }
}

/// What becomes of each message: that it passes, or what is told.
fn judged<M: AsRef<[u8]>>(validation: &Validation, messages: &[M]) -> Vec<String> {
    let mut wire = Wire::new(&Policy { validations: vec![validation.clone()], ..policy() });
    let direction = Direction::ToServer;
    let verdicts = messages.iter().map(|message| {
        let (told, passed) = (wire.told.details.len(), wire.arrived(direction).len());
        wire.read(direction, &frame(direction, true, Opcode::Binary, message.as_ref()));
        let stopped = wire.arrived(direction).len() == passed;
        assert_eq!(stopped, wire.told.details.len() > told, "{:?}", message.as_ref());
        wire.told.details.get(told).cloned().unwrap_or_else(|| "passes".to_owned())
    });
    verdicts.collect()
}

#[test]
fn json_is_judged_by_its_type() {
    let folder = files();
    let mut validation = validation(folder.path(), SchemaType::Json);
    let (messages, expected): (Vec<_>, Vec<_>) = JUDGED.into_iter().unzip();
    assert_eq!(judged(&validation, &messages), expected);
    let twice = r#"{"head":{"type":"note","type":"order"},"price":1}"#;
    assert!(judged(&validation, &[twice])[0].contains("same member name twice"));
    validation.registry.as_mut().unwrap().unknown_types = UnknownTypes::Allow;
    let allowed: Vec<_> = expected.into_iter().map(|told| told.replace(UNKNOWN, "passes")).collect();
    assert_eq!(judged(&validation, &messages), allowed);
}

#[test]
fn messagepack_is_judged_as_json_is() {
    let folder = files();
    let validation = validation(folder.path(), SchemaType::MessagePack);
    let (messages, expected): (Vec<_>, Vec<_>) = JUDGED.into_iter().unzip();
    let packed: Vec<_> = messages.into_iter().map(wire::messagepack).collect();
    assert_eq!(judged(&validation, &packed), expected);
}

#[test]
fn numbers_name_types_however_they_are_written() {
    let folder = files();
    let mut validation = validation(folder.path(), SchemaType::Json);
    let registry = validation.registry.as_mut().unwrap();
    registry.unknown_types = UnknownTypes::Allow;
    registry.types[0].name = "7".into();
    for kind in ["7", "\"7\"", "7.0", "0.7e1"] {
        let message = format!(r#"{{"head":{{"type":{kind}}},"price":0}}"#);
        let expected = TOO_CHEAP.replace("\"order\"", "\"7\"");
        assert_eq!(judged(&validation, &[message]), [expected], "{kind}");
    }
}

#[test]
fn the_member_of_an_envelope_is_its_type() {
    let folder = files();
    let order = TypeSchema {
        name: "order".into(),
        read_as: None,
        schema_path: Some(folder.path().join("envelope-order.json")),
    };
    let by_member = Discriminator::Oneof("body".into());
    let validation = protobuf(folder.path(), "trade.Envelope", by_member, vec![order]);
    let messages: [&[u8]; 6] = [
        b"\x0a\x02\x10\x01",
        // An order without its price, which its receiver reads as 0.
        b"\x0a\x00",
        b"\x12\x03\x12\x01x",
        b"\x18\x01",
        // The last member counts.
        b"\x0a\x02\x10\x01\x12\x03\x12\x01x",
        b"\x0a\x02\x10\x01\x20\x01",
    ];
    let verdicts = judged(&validation, &messages);
    let at = "/properties/order/properties/price/minimum";
    let too_cheap = format!(r#""/order/price" breaks "minimum" at "{at}" of the schema "order""#);
    let unknown = UNKNOWN.replace("/head/type", "body");
    assert_eq!(verdicts[..5], ["passes", &too_cheap, &unknown, &unknown, &unknown]);
    assert!(verdicts[5].contains("field 4 at byte 4 is unknown"), "{}", verdicts[5]);
}

#[test]
fn a_common_head_chooses_what_a_message_is_read_as() {
    let folder = files();
    let schema = |name: &str, message: &str, file: &str| TypeSchema {
        name: name.into(),
        read_as: Some((folder.path().join("trade.proto"), message.into())),
        schema_path: Some(folder.path().join(file)),
    };
    let types = vec![schema("order", "trade.Order", "order.json"), schema("note", "trade.Note", "note.json")];
    let by_kind = Discriminator::Field("/kind".into());
    let validation = protobuf(folder.path(), "trade.Head", by_kind, types);
    let messages: [&[u8]; 8] = [
        b"\x0a\x05order\x10\x01",
        b"\x0a\x05order",
        b"\x0a\x04note\x12\x05short",
        b"\x0a\x04note\x12\x06longer",
        b"\x0a\x04none\x10\x01",
        b"\x10\x01",
        b"\x0a\x04note\x10\x01",
        b"\x0a\x05order\x10\x01\x18\x01",
    ];
    let unknown = UNKNOWN.replace("/head/type", "/kind");
    let (wire_type, unknown_field) = (
        "field 2 at byte 6 has a wire type that its type does not have, read as \"note\"",
        "field 3 at byte 9 is unknown; if it is wanted, update the .proto file or set unknown-fields \"allow\", read as \"order\"",
    );
    let expected = ["passes", TOO_CHEAP, "passes", TOO_LONG, &unknown, &unknown, wire_type, unknown_field];
    assert_eq!(judged(&validation, &messages), expected);
}

#[test]
fn what_the_type_does_not_have_is_a_mistake_of_the_configuration() {
    let folder = files();
    for (discriminator, reason) in [
        (
            Discriminator::Field("/head".into()),
            "trade.Envelope has no field \"head\"; it has order, note, seq",
        ),
        (Discriminator::Oneof("content".into()), "trade.Envelope has no oneof \"content\"; it has body"),
    ] {
        let validation = protobuf(folder.path(), "trade.Envelope", discriminator, Vec::new());
        let error = Engine::compile(&Policy { validations: vec![validation], ..policy() }, 0).unwrap_err();
        assert!(matches!(error, EngineError::Schema { .. }));
        assert_eq!(error.place(), ("test", "validation-1/discriminator"));
        assert!(error.to_string().ends_with(reason), "{error}");
        assert!(error.to_string().contains("trade.proto"), "{error}");
    }
    let mut missing = validation(folder.path(), SchemaType::Json);
    missing.registry.as_mut().unwrap().types[1].schema_path = Some(folder.path().join("none.json"));
    let error = Engine::compile(&Policy { validations: vec![missing], ..policy() }, 0).unwrap_err();
    assert_eq!(error.place(), ("test", "validation-1/note"));
}

#[test]
fn detect_mode_tells_and_lets_pass() {
    let folder = files();
    let validation = validation(folder.path(), SchemaType::Json);
    let mut wire = Wire::new(&Policy { validations: vec![validation], mode: Mode::Detect, ..policy() });
    for (message, _) in JUDGED {
        wire.read(Direction::ToClient, &wire::message(Direction::ToClient, message));
    }
    assert_eq!(wire.arrived(Direction::ToClient).len(), JUDGED.len());
    assert_eq!(wire.told.details.len(), JUDGED.iter().filter(|(_, told)| *told != "passes").count());
}

/// A proxy's connection, whose subprotocol is known after its beginning, and whose policy may be replaced.
#[test]
fn a_subprotocol_chooses_once() {
    let folder = files();
    let only = |name: &str, spoken: &[&str]| Validation {
        name: name.into(),
        subprotocols: Some(spoken.iter().map(|each| (*each).to_owned()).collect()),
        action: CLOSE_1007,
        ..validation(folder.path(), SchemaType::Json)
    };
    let validations = vec![only("validation-1", &["v1"]), only("validation-2", &["v2", "v3"])];
    let policy = Policy { validations, ..policy() };
    let engine = Arc::new(Engine::compile(&policy, 0).unwrap());
    let later = Arc::new(Engine::compile_over(&policy, &engine).unwrap());
    let mut worker = Worker::new([&*engine], [7; 32], Box::new(|| 0)).unwrap();
    let mut rules = |spoken: Option<&str>, adopts: bool| {
        let mut told = Told::of(&engine);
        let mut session = FrameSession::new(Arc::clone(&engine), 0);
        if let Some(spoken) = spoken {
            session.agree(spoken);
        }
        if adopts {
            session.adopt(&later, 0);
        }
        let (direction, opcode) = (Direction::ToClient, Some(Opcode::Text));
        let message = Frame { direction, fin: true, opcode, payload: b"{}" };
        let mut context = Context { now_ns: 0, worker: &mut worker, sink: &mut told };
        let verdict = session.handle_frame(message, &mut context);
        assert_eq!(verdict == FrameVerdict::Allow, told.verdicts.is_empty());
        told.verdicts.into_iter().map(|(rule, ..)| rule).collect::<Vec<_>>()
    };
    for adopts in [false, true] {
        assert_eq!(rules(Some("v1"), adopts), ["validation-1"]);
        assert_eq!(rules(Some("v2"), adopts), ["validation-2"]);
        assert_eq!(rules(Some("v3"), adopts), ["validation-2"]);
        assert_eq!(rules(Some("V1"), adopts), [""; 0]);
        assert_eq!(rules(None, adopts), [""; 0]);
    }
}
