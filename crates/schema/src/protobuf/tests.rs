//! What is accepted, what is refused, and what a schema sees.

use std::fs;

use super::{Fault, MessageType, Unknown};
use crate::{json::Limits, tree::Schema};

const PROTO: &str = r#"
    syntax = "proto3";
    package trade;
    message Order {
        string symbol = 1;
        Side side = 2;
        int32 quantity = 3;
        repeated sint32 legs = 4;
        Party party = 5;
        oneof kind { Party buyer = 6; string note = 7; int64 size = 8; }
        map<string, Party> parties = 9;
        bytes raw = 10;
        repeated Order parts = 11;
        optional bool urgent = 12;
        map<int32, uint64> counts = 13;
        double price = 14;
        uint32 flags = 15;
        fixed32 stamp = 16;
        sfixed64 delta = 17;
        repeated string tags = 18;
        float ratio = 2047;
    }
    message Party { string name = 1; int32 id = 2; Party parent = 3; }
    enum Side { SIDE_UNKNOWN = 0; BUY = 1; SELL = 2; SHORT = -1; }
"#;

const LEGACY: &str = r#"
    syntax = "proto2";
    package old;
    message Order {
        required string symbol = 1;
        optional int32 quantity = 2 [default = 5];
        optional Side side = 3;
        repeated Side sides = 4;
        optional group Detail = 5 { required int32 id = 1; optional Order order = 2; repeated group Inner = 3 { optional bool on = 1; } }
        optional Order next = 6;
        map<string, Side> by_name = 7;
        extensions 100 to 199;
    }
    extend Order { optional string remark = 100; repeated int32 marks = 101; }
    enum Side { BUY = 1; SELL = 2; }
"#;

fn order() -> MessageType {
    MessageType::from_text(PROTO, "trade.Order").unwrap()
}

fn legacy() -> MessageType {
    MessageType::from_text(LEGACY, "old.Order").unwrap()
}

#[track_caller]
fn fault_of(kind: &MessageType, bytes: &[u8], unknown: Unknown) -> Option<Fault> {
    let verified = kind.verify(bytes, &Limits::default(), unknown, |_| {});
    let decoded = kind.decode(bytes, &Limits::default(), unknown, |_| {});
    assert_eq!(verified, decoded.map(drop));
    verified.err()
}

#[track_caller]
fn fault(bytes: &[u8]) -> Option<Fault> {
    fault_of(&order(), bytes, Unknown::Reject)
}

#[track_caller]
fn shows(kind: &MessageType, bytes: &[u8], json: &str) {
    let tree = kind.decode(bytes, &Limits::default(), Unknown::Allow, |_| {}).unwrap();
    let expected: serde_json::Value = serde_json::from_str(json).unwrap();
    for (name, value) in expected.as_object().unwrap() {
        let text =
            serde_json::json!({"properties": {name: {"const": value}}, "required": [name]}).to_string();
        let schema = Schema::from_text(&text, None).unwrap();
        assert_eq!(schema.check(&tree), Ok(()), "{bytes:02x?}: {name}");
        assert!(schema.is_valid(&tree));
    }
}

#[track_caller]
fn lacks(kind: &MessageType, bytes: &[u8], name: &str) {
    let tree = kind.decode(bytes, &Limits::default(), Unknown::Allow, |_| {}).unwrap();
    let schema = Schema::from_text(&format!(r#"{{"required": ["{name}"]}}"#), None).unwrap();
    assert!(!schema.is_valid(&tree), "{bytes:02x?}: {name}");
}

#[test]
fn fields_are_shown_by_name_and_type() {
    let order = order();
    for (bytes, shown) in [
        (&b"\x0a\x04ACME"[..], r#"{"symbol": "ACME"}"#),
        (b"\x10\x01", r#"{"side": "BUY"}"#),
        (b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", r#"{"side": "SHORT"}"#),
        (b"\x10\x07", r#"{"side": 7}"#),
        (b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", r#"{"quantity": -1}"#),
        (b"\x22\x03\x01\x02\x03", r#"{"legs": [-1, 1, -2]}"#),
        (b"\x20\x01\x20\x02\x20\x03", r#"{"legs": [-1, 1, -2]}"#),
        (b"\x20\x01\x22\x01\x02\x20\x03", r#"{"legs": [-1, 1, -2]}"#),
        (b"\x52\x02hi", r#"{"raw": "aGk="}"#),
        (b"\x60\x00", r#"{"urgent": false}"#),
        (b"\x71\0\0\0\0\0\0\xf0\x7f", r#"{"price": "Infinity"}"#),
        (b"\x71\0\0\0\0\0\0\xf8\x7f", r#"{"price": "NaN"}"#),
        (b"\x71\x9a\x99\x99\x99\x99\x99\xb9\x3f", r#"{"price": 0.1}"#),
        (b"\x78\xff\xff\xff\xff\x0f", r#"{"flags": 4294967295}"#),
        (b"\x85\x01\x01\0\0\0", r#"{"stamp": 1}"#),
        (b"\x89\x01\xff\xff\xff\xff\xff\xff\xff\xff", r#"{"delta": -1}"#),
        (b"\x92\x01\x01a\x92\x01\x00", r#"{"tags": ["a", ""]}"#),
        (b"\xfd\x7f\0\0\xc0\x3f", r#"{"ratio": 1.5}"#),
        (b"\x6a\x04\x08\x07\x10\x09\x6a\x00", r#"{"counts": {"7": 9, "0": 0}}"#),
        (b"\x4a\x03\x0a\x01a", r#"{"parties": {"a": {"name": "", "id": 0}}}"#),
    ] {
        shows(&order, bytes, shown);
    }
}

#[test]
fn what_was_not_sent_has_its_default_if_it_has_no_presence() {
    let order = order();
    shows(
        &order,
        b"",
        r#"{"symbol": "", "side": "SIDE_UNKNOWN", "quantity": 0, "legs": [], "parties": {}, "raw": "", "parts": [],
            "counts": {}, "price": 0, "flags": 0, "stamp": 0, "delta": 0, "tags": [], "ratio": 0}"#,
    );
    for name in ["party", "buyer", "note", "size", "urgent"] {
        lacks(&order, b"", name);
    }
}

#[test]
fn what_comes_twice_is_merged_as_the_receiver_does() {
    let order = order();
    for (bytes, shown) in [
        // The last value of a field counts.
        (&b"\x18\x01\x18\x02"[..], r#"{"quantity": 2}"#),
        (b"\x18\x01\x0a\x01A\x18\x02\x0a\x01B", r#"{"quantity": 2, "symbol": "B"}"#),
        // Sub-messages are merged, at every level.
        (b"\x2a\x03\x0a\x01a\x2a\x02\x10\x02", r#"{"party": {"name": "a", "id": 2}}"#),
        (
            b"\x2a\x05\x1a\x03\x0a\x01a\x18\x01\x2a\x04\x1a\x02\x10\x05",
            r#"{"party": {"name": "", "id": 0, "parent": {"name": "a", "id": 5}}}"#,
        ),
        // Of a oneof the last member counts, and merges only with what came right before.
        (b"\x32\x03\x0a\x01a\x40\x05", r#"{"size": 5}"#),
        (b"\x40\x05\x32\x03\x0a\x01a\x32\x02\x10\x02", r#"{"buyer": {"name": "a", "id": 2}}"#),
        (b"\x32\x03\x0a\x01a\x40\x05\x32\x02\x10\x02", r#"{"buyer": {"name": "", "id": 2}}"#),
        // Of a map the last entry with a key counts whole.
        (
            b"\x4a\x08\x0a\x01k\x12\x03\x0a\x01a\x4a\x07\x0a\x01k\x12\x02\x10\x02",
            r#"{"parties": {"k": {"name": "", "id": 2}}}"#,
        ),
        // Within an entry fields are merged, and its key is the last one.
        (
            b"\x4a\x0f\x0a\x01x\x12\x03\x0a\x01a\x12\x02\x10\x02\x0a\x01k",
            r#"{"parties": {"k": {"name": "a", "id": 2}}}"#,
        ),
    ] {
        shows(&order, bytes, shown);
    }
    lacks(&order, b"\x32\x03\x0a\x01a\x40\x05", "buyer");
    lacks(&order, b"\x40\x05\x32\x00", "size");
}

#[test]
fn what_is_refused() {
    use Fault::*;
    for (bytes, expected) in [
        (&b"\x0a"[..], Truncated { offset: 0 }),
        (b"\x0a\x05ACME", Truncated { offset: 0 }),
        (b"\x18\x01\x0a\xff\xff\xff\xff\x07", Truncated { offset: 2 }),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Truncated { offset: 0 }),
        (b"\x18\x80", Truncated { offset: 0 }),
        (b"\x85\x01\x01\0\0", Truncated { offset: 0 }),
        (b"\x71\0\0\0\0\0\0\0", Truncated { offset: 0 }),
        // A sub-message may not reach beyond itself.
        (b"\x2a\x02\x0a\x01\x61", Truncated { offset: 2 }),
        (b"\x22\x01\x80\x01", Truncated { offset: 0 }),
        // Longer than need be: value, tag, length, packed.
        (b"\x18\x81\x00", OverlongVarint { offset: 0 }),
        (b"\x98\x00\x01", OverlongVarint { offset: 0 }),
        (b"\x0a\x84\x00ACME", OverlongVarint { offset: 0 }),
        (b"\x22\x02\x81\x00", OverlongVarint { offset: 0 }),
        (b"\x18\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", OverlongVarint { offset: 0 }),
        (b"\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", OverlongVarint { offset: 0 }),
        (b"\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", OverlongVarint { offset: 0 }),
        // Cut off by a receiver.
        (b"\x18\xff\xff\xff\xff\x0f", OutOfRange { offset: 0 }),
        (b"\x78\x80\x80\x80\x80\x10", OutOfRange { offset: 0 }),
        (b"\x60\x02", OutOfRange { offset: 0 }),
        (b"\x20\x80\x80\x80\x80\x10", OutOfRange { offset: 0 }),
        (b"\x10\x80\x80\x80\x80\x08", OutOfRange { offset: 0 }),
        // Tags.
        (b"\x00\x01", FieldNumber { offset: 0 }),
        (b"\x02\x00", FieldNumber { offset: 0 }),
        (b"\x80\x80\x80\x80\x10\x01", FieldNumber { offset: 0 }),
        (b"\xf8\xff\xff\xff\xff\x01\x01", FieldNumber { offset: 0 }),
        (b"\x0e", WireType { number: 1, offset: 0 }),
        (b"\x0f", WireType { number: 1, offset: 0 }),
        (b"\x08\x01", WireType { number: 1, offset: 0 }),
        (b"\x1d\x01\0\0\0", WireType { number: 3, offset: 0 }),
        (b"\x1a\x01\x01", WireType { number: 3, offset: 0 }),
        (b"\x28\x01", WireType { number: 5, offset: 0 }),
        (b"\x2b\x2c", WireType { number: 5, offset: 0 }),
        (b"\x0c", Group { offset: 0 }),
        (b"\x2a\x01\x0c", Group { offset: 2 }),
        (b"\x0a\x02\xc3\x28", InvalidUtf8 { number: 1, offset: 0 }),
        (b"\x4a\x03\x0a\x01\xff", InvalidUtf8 { number: 1, offset: 2 }),
        // In what a later field replaces, too.
        (b"\x0a\x01\xff\x0a\x01a", InvalidUtf8 { number: 1, offset: 0 }),
        (b"\x3a\x01\xff\x40\x01", InvalidUtf8 { number: 7, offset: 0 }),
        (b"\xa0\x06\x01", UnknownField { number: 100, offset: 0 }),
        (b"\x2a\x04\x0a\x00\x20\x01", UnknownField { number: 4, offset: 4 }),
        (b"\x4a\x02\x18\x01", UnknownField { number: 3, offset: 2 }),
        (b"\x10\x07", UnknownEnumValue { number: 2, offset: 0 }),
    ] {
        assert_eq!(fault(bytes), Some(expected), "{bytes:02x?}");
    }
}

#[test]
fn unknown_fields_pass_if_they_may_and_obey_the_wire() {
    let order = order();
    let allowed = |bytes: &[u8]| fault_of(&order, bytes, Unknown::Allow);
    for bytes in [
        &b"\xa0\x06\x01"[..],
        b"\xa1\x06\0\0\0\0\0\0\0\0",
        b"\xa2\x06\x02\xff\xff",
        b"\xa5\x06\0\0\0\0",
        b"\xa3\x06\xa4\x06",
        b"\xa3\x06\x08\x01\x13\x14\xa4\x06",
        b"\x10\x07",
        b"\x2a\x03\xa0\x06\x01",
    ] {
        assert_eq!(allowed(bytes), None, "{bytes:02x?}");
        assert!(fault(bytes).is_some(), "{bytes:02x?}");
    }
    for (bytes, expected) in [
        (&b"\xa0\x06\x81\x00"[..], Fault::OverlongVarint { offset: 0 }),
        (b"\xa2\x06\x05a", Fault::Truncated { offset: 0 }),
        (b"\xa3\x06", Fault::Group { offset: 0 }),
        (b"\xa3\x06\xac\x06", Fault::Group { offset: 2 }),
        (b"\xa4\x06", Fault::Group { offset: 0 }),
        (b"\xa6\x06", Fault::WireType { number: 100, offset: 0 }),
        (b"\xa3\x06\x00\x01\xa4\x06", Fault::FieldNumber { offset: 2 }),
        // A field that is known does not become unknown by its wire type.
        (b"\x08\x01", Fault::WireType { number: 1, offset: 0 }),
    ] {
        assert_eq!(allowed(bytes), Some(expected), "{bytes:02x?}");
    }
}

#[test]
fn nesting_is_bounded_on_any_stack() {
    /// `levels` messages, each the parent of the next.
    fn nested(levels: usize) -> Vec<u8> {
        let mut inner = Vec::new();
        for level in (0..levels).rev() {
            let mut outer = vec![if level == 0 { 0x2a } else { 0x1a }];
            let mut len = inner.len();
            while len >= 0x80 {
                outer.push((len & 0x7f) as u8 | 0x80);
                len >>= 7;
            }
            outer.push(len as u8);
            outer.extend(inner);
            inner = outer;
        }
        inner
    }
    let work = || {
        let (order, legacy) = (order(), legacy());
        let unlimited = Limits { depth_max: u32::MAX };
        for levels in [128, 2_000] {
            let bytes = nested(levels);
            for limits in [Limits::default(), unlimited] {
                let verified = order.verify(&bytes, &limits, Unknown::Allow, |_| {});
                assert_eq!(verified, Err(Fault::TooDeep));
            }
        }
        assert_eq!(order.decode(&nested(127), &unlimited, Unknown::Reject, |_| {}).map(drop), Ok(()));
        for start in [&b""[..], b"\x2b"] {
            let bomb = [start, &b"\xc3\x0c".repeat(1_000_000)].concat();
            let verified = legacy.verify(&bomb, &unlimited, Unknown::Allow, |_| {});
            assert_eq!(verified, Err(Fault::TooDeep), "{start:02x?}");
        }
    };
    std::thread::Builder::new().stack_size(1024 * 1024).spawn(work).unwrap().join().unwrap();
}

#[test]
fn defaults_do_not_multiply_without_bound() {
    let order = order();
    // Two bytes each, and thirty values with the defaults.
    let bomb = b"\x5a\x00".repeat(500_000);
    assert_eq!(order.verify(&bomb, &Limits::default(), Unknown::Reject, |_| {}), Ok(()));
    let decoded = order.decode(&bomb, &Limits::default(), Unknown::Reject, |_| {});
    assert_eq!(decoded.err(), Some(Fault::TooManyValues));
    let some = b"\x5a\x00".repeat(10_000);
    assert!(order.decode(&some, &Limits::default(), Unknown::Reject, |_| {}).is_ok());
}

#[test]
fn the_payload_is_every_string_and_bytes_field() {
    let mut seen = Vec::new();
    let bytes = b"\x0a\x01s\x52\x01\xff\x2a\x03\x0a\x01n\x4a\x08\x0a\x01k\x12\x03\x0a\x01v\xa2\x06\x01u\xa3\x06\x0a\x01g\xa4\x06\x0a\x01t";
    order().verify(bytes, &Limits::default(), Unknown::Allow, |payload| seen.push(payload)).unwrap();
    assert_eq!(seen, [&b"s"[..], b"\xff", b"n", b"k", b"v", b"u", b"g", b"t"], "replaced ones among them");
}

#[test]
fn proto2_has_presence_required_fields_groups_and_closed_enums() {
    let legacy = legacy();
    let missing = |number| Some(Fault::MissingRequired { number });
    assert_eq!(fault_of(&legacy, b"", Unknown::Reject), missing(1));
    assert_eq!(fault_of(&legacy, b"\x0a\x01a\x32\x00", Unknown::Reject), missing(1));
    // It may come with the second part of a merged message.
    assert_eq!(fault_of(&legacy, b"\x0a\x01a\x32\x00\x32\x03\x0a\x01b", Unknown::Reject), None);
    assert_eq!(fault_of(&legacy, b"\x0a\x01a\x2b\x2c", Unknown::Reject), missing(1));
    lacks(&legacy, b"\x0a\x01a", "quantity");

    shows(&legacy, b"\x0a\x01a\x2b\x08\x05\x2c", r#"{"detail": {"id": 5, "inner": []}}"#);
    shows(
        &legacy,
        b"\x0a\x01a\x2b\x1b\x08\x01\x1c\x08\x05\x1b\x1c\x2c\x10\x07",
        r#"{"detail": {"id": 5, "inner": [{"on": true}, {}]}, "quantity": 7}"#,
    );
    assert_eq!(
        fault_of(&legacy, b"\x0a\x01a\x2b\x08\x05\x34", Unknown::Reject),
        Some(Fault::Group { offset: 6 })
    );
    assert_eq!(
        fault_of(&legacy, b"\x0a\x01a\x2b\x08\x05", Unknown::Reject),
        Some(Fault::Group { offset: 3 })
    );

    // Undeclared values of a closed enum are unknown fields: a receiver does not see them.
    lacks(&legacy, b"\x0a\x01a\x18\x07", "side");
    shows(&legacy, b"\x0a\x01a\x18\x01\x18\x07", r#"{"side": "BUY"}"#);
    shows(&legacy, b"\x0a\x01a\x20\x01\x20\x07\x22\x02\x07\x02", r#"{"sides": ["BUY", "SELL"]}"#);
    shows(
        &legacy,
        b"\x0a\x01a\x3a\x05\x0a\x01k\x10\x07\x3a\x05\x0a\x01j\x10\x02",
        r#"{"by_name": {"j": "SELL"}}"#,
    );

    shows(&legacy, b"\x0a\x01a\xa2\x06\x02hi\xa8\x06\x05", r#"{"[old.remark]": "hi", "[old.marks]": [5]}"#);
}

#[test]
fn types_come_from_files_and_reach_their_folder() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("protos");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(outer.path().join("secret.proto"), "syntax = \"proto3\"; message S {}").unwrap();
    std::os::unix::fs::symlink("../secret.proto", folder.join("link.proto")).unwrap();
    fs::write(folder.join("sub/a.proto"), "syntax = \"proto3\"; import \"b.proto\"; message A { B b = 1; }")
        .unwrap();
    fs::write(folder.join("b.proto"), "syntax = \"proto3\"; message B { int32 x = 1; }").unwrap();
    let root = folder.join("root.proto");
    let load = |text: &str, name: &str| {
        fs::write(&root, text).unwrap();
        MessageType::load(&root, name)
    };
    let good = r#"syntax = "proto3"; package p; import "sub/a.proto"; import "google/protobuf/timestamp.proto";
        message Root { A a = 1; google.protobuf.Timestamp at = 2; message In {} }"#;
    let root_type = load(good, "p.Root").unwrap();
    shows(
        &root_type,
        b"\x0a\x04\x0a\x02\x08\x07\x12\x02\x08\x05",
        r#"{"a": {"b": {"x": 7}}, "at": {"seconds": 5, "nanos": 0}}"#,
    );
    assert!(load(good, "p.Root.In").is_ok());

    for (text, name, reason) in [
        (good, "p.Rot", "it has A, B, p.Root, p.Root.In"),
        (good, "Root", "no message \"Root\""),
        ("syntax = \"proto3\"; import \"missing.proto\"; message R {}", "R", "missing.proto"),
        ("syntax = \"proto3\"; import \"../secret.proto\"; message R {}", "R", "root.proto:1:"),
        ("syntax = \"proto3\"; import \"link.proto\"; message R {}", "R", "out of its folder"),
        ("syntax = \"proto3\"; import \"/etc/passwd\"; message R {}", "R", "root.proto:1:"),
        ("syntax = \"proto3\"; import \"root.proto\"; message R {}", "R", "cycle"),
        ("syntax = \"proto3\"; message R { Nothing n = 1; }", "R", "Nothing"),
        ("syntax = \"proto3\";\nmessage R { nonsense }", "R", "root.proto:2:"),
        ("syntax = \"proto3\"; message R { int32 a = 1; int32 b = 1; }", "R", "1"),
    ] {
        let error = load(text, name).unwrap_err();
        assert!(error.to_string().contains(reason), "{text}: {error}");
        assert_eq!(error.file.as_deref(), Some(root.as_path()));
    }
}

#[test]
fn types_come_from_descriptor_sets() {
    use protox::prost_reflect::prost::Message as _;

    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("order.proto");
    fs::write(&source, PROTO).unwrap();
    let set = protox::compile([&source], [folder.path()]).unwrap();
    let path = folder.path().join("order.binpb");
    fs::write(&path, set.encode_to_vec()).unwrap();
    shows(&MessageType::load(&path, "trade.Order").unwrap(), b"\x18\x05", r#"{"quantity": 5}"#);
    fs::write(&path, "no descriptor set").unwrap();
    assert!(MessageType::load(&path, "trade.Order").unwrap_err().reason.contains("descriptor set"));
}

#[test]
fn violations_tell_where_and_not_what() {
    let schema = Schema::from_text(
        r#"{"properties": {"parts": {"items": {"properties": {"symbol": {"maxLength": 3}}}}}}"#,
        None,
    )
    .unwrap();
    let order = order();
    let tree = order.decode(b"\x5a\x09\x0a\x07hunter2", &Limits::default(), Unknown::Reject, |_| {}).unwrap();
    let violation = schema.check(&tree).unwrap_err();
    assert_eq!((violation.pointer.as_str(), violation.keyword.as_str()), ("/parts/0/symbol", "maxLength"));
    assert!(!format!("{violation:?} {violation}").contains("hunter2"));
}
