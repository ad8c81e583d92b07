//! Any bytes as a Protobuf message of types with everything that there is: checking and decoding say the same, and a schema
//! says the same shortly and at length.
#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use wsi_schema::{
    json::Limits,
    protobuf::{MessageType, Unknown},
    tree::Schema,
};

const PROTO3: &str = r#"syntax = "proto3";
    message Root {
        string a = 1; int32 b = 2; repeated sint64 c = 3; Root d = 4; oneof e { bool f = 5; Root g = 6; bytes h = 7; }
        map<string, Root> i = 8; map<int32, Side> j = 9; double k = 10; fixed32 l = 11; repeated Root m = 12; Side n = 13;
        repeated Side o = 14; optional uint32 p = 15;
    }
    enum Side { X = 0; Y = 1; }"#;
const PROTO2: &str = r#"syntax = "proto2";
    message Root {
        optional string a = 1; required int32 b = 2; repeated group C = 3 { optional Root d = 1; optional bytes e = 2; }
        optional Side f = 4; repeated Side g = 5 [packed = true]; map<bool, Side> h = 6; extensions 100 to max;
    }
    extend Root { repeated Root more = 100; }
    enum Side { X = 1; Y = 2; }"#;
const SCHEMA: &str = r##"{"maxProperties": 14, "properties": {"a": {"maxLength": 3}, "b": {"minimum": 0}, "c": {"maxItems": 2},
    "d": {"$ref": "#"}, "g": {"$ref": "#"}, "i": {"additionalProperties": {"$ref": "#"}}, "o": {"uniqueItems": true}}}"##;

thread_local! {
    static COMPILED: OnceCell<(MessageType, MessageType, Schema)> = const { OnceCell::new() };
}

// The first byte chooses the type, whether unknown fields may be, and the deepest nesting.
fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else { return };
    let limits = Limits { depth_max: u32::from(choice >> 2) };
    let unknown = if choice & 1 == 0 { Unknown::Reject } else { Unknown::Allow };
    COMPILED.with(|compiled| {
        let (proto3, proto2, schema) = compiled.get_or_init(|| {
            let kind = |text| MessageType::from_text(text, "Root").expect("the types here are right");
            (kind(PROTO3), kind(PROTO2), Schema::from_text(SCHEMA, None).expect("the schema here is right"))
        });
        let kind = if choice & 2 == 0 { proto3 } else { proto2 };
        let mut seen = 0;
        let verified = kind.verify(bytes, &limits, unknown, |payload| seen += payload.len() + 1);
        assert!(seen <= bytes.len());
        match kind.decode(bytes, &limits, unknown, |_| {}) {
            Ok(tree) => {
                assert_eq!(verified, Ok(()));
                assert_eq!(schema.is_valid(&tree), schema.check(&tree).is_ok());
            }
            Err(fault) => assert_eq!(verified, Err(fault)),
        }
    });
});
