//! Any bytes as a MessagePack message, beside rmpv: what is accepted rmpv reads too, to its end, and a schema says the same
//! shortly and at length.
#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use wsi_schema::{json::Limits, msgpack, tree::Schema};

const SCHEMAS: [&str; 2] = [
    r#"{"type": "object", "required": ["a"], "additionalProperties": false,
        "properties": {"a": {"type": "integer", "minimum": 0}, "b": {"maxLength": 3}, "7": {"required": ["$bin"]}}}"#,
    r##"{"type": ["object", "array", "null"], "items": {"$ref": "#"}, "additionalProperties": {"$ref": "#"},
        "uniqueItems": true, "propertyNames": {"pattern": "^[a-z0-9-]*$"}, "not": {"const": [1, {"a": 2}]}}"##,
];

thread_local! {
    static COMPILED: OnceCell<[Schema; 2]> = const { OnceCell::new() };
}

// The first byte is the deepest nesting.
fuzz_target!(|input: &[u8]| {
    let Some((&depth_max, bytes)) = input.split_first() else { return };
    let limits = Limits { depth_max: u32::from(depth_max % 100) };
    let mut seen = 0;
    let decoded = msgpack::decode(bytes, &limits, |payload| seen += payload.len() + 1);
    assert!(seen <= bytes.len());
    let Ok(tree) = decoded else { return };
    let mut rest = bytes;
    assert!(rmpv::decode::read_value(&mut rest).is_ok() && rest.is_empty());
    COMPILED.with(|schemas| {
        let compile = |text: &str| Schema::from_text(text, None).expect("the schemas here are right");
        for schema in schemas.get_or_init(|| SCHEMAS.map(compile)) {
            assert_eq!(schema.is_valid(&tree), schema.check(&tree).is_ok());
        }
    });
});
