//! What the benchmarks work on: orders, the policy over them, and client frames that carry them.

use std::path::Path;

use wsi_policy::{
    Action, ContentFilter, Directions, FailureMode, MessageTypes, Normalize, Pattern, Policy, Rate,
    RateLimit, Rates, SchemaType, Validation,
};
use wsi_ws::{CloseCode, HEADER_SIZE_MAX, Header, Opcode, mask};

/// Payload sizes, in bytes.
pub const SIZES: [usize; 3] = [64, 256, 4096];

/// How many patterns there are beside the built-in sets.
pub const PATTERNS: usize = 200;

/// JSON Schema of [`order`].
pub const SCHEMA: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "type": { "const": "order" },
        "symbol": { "type": "string", "pattern": "^[A-Z]{0,5}$" },
        "side": { "enum": ["buy", "sell"] },
        "price": { "type": "number", "exclusiveMinimum": 0 },
        "quantity": { "type": "integer", "minimum": 1, "maximum": 1000000 },
        "client": { "type": "string", "maxLength": 32 },
        "note": { "type": "string", "maxLength": 65536 }
    },
    "required": ["type", "symbol", "side", "price", "quantity"],
    "additionalProperties": false
}"#;

/// An order of exactly `size` bytes: with 64 an object of five members, with more one of seven, padded in its note.
pub fn order(size: usize) -> String {
    const SHORT: &str = r#"{"type":"order","symbol":"","side":"buy","price":1,"quantity":1}"#;
    const LONG: &str = r#"{"type":"order","symbol":"ACME","side":"buy","price":101.25,"quantity":300,"client":"desk-042","note":""#;
    let Some(padding) = size.checked_sub(LONG.len() + 2) else { return SHORT.to_owned() };
    let note = filler(padding);
    format!("{LONG}{note}\"}}")
}

/// The type of [`protobuf_order`].
pub const PROTO: &str = r#"
    syntax = "proto3";
    message Order {
        string type = 1; string symbol = 2; Side side = 3; double price = 4; uint32 quantity = 5; string client = 6;
        string note = 7;
    }
    enum Side { none = 0; buy = 1; sell = 2; }
"#;

/// An order of exactly `size` bytes in MessagePack, under [`SCHEMA`]; `size` is 64 or more.
pub fn msgpack_order(size: usize) -> Vec<u8> {
    let mut order = vec![0x80 | 5];
    for (name, value) in [
        ("type", &b"\xa5order"[..]),
        ("symbol", b"\xa4ACME"),
        ("side", b"\xa3buy"),
        ("price", b"\xcb\x40\x59\x50\0\0\0\0\0"),
        ("quantity", b"\xcd\x01\x2c"),
    ] {
        msgpack_text(&mut order, name);
        order.extend_from_slice(value);
    }
    if size > 100 {
        order[0] = 0x80 | 7;
        msgpack_text(&mut order, "client");
        msgpack_text(&mut order, "desk-042");
        msgpack_text(&mut order, "note");
        let text = filler(size - order.len() - 3);
        order.push(0xda);
        order.extend_from_slice(&(text.len() as u16).to_be_bytes());
        order.extend_from_slice(text.as_bytes());
    }
    order
}

fn msgpack_text(order: &mut Vec<u8>, text: &str) {
    order.push(0xa0 | text.len() as u8);
    order.extend_from_slice(text.as_bytes());
}

/// An order of exactly `size` bytes in Protobuf, of [`PROTO`]; with 64 one of 33 bytes.
pub fn protobuf_order(size: usize) -> Vec<u8> {
    let mut order = b"\x0a\x05order\x12\x04ACME\x18\x01\x21\0\0\0\0\0\x50\x59\x40\x28\xac\x02".to_vec();
    if size > 100 {
        order.extend_from_slice(b"\x32\x08desk-042\x3a");
        let text = filler(size - order.len() - 2);
        order.extend_from_slice(&[(text.len() & 0x7f) as u8 | 0x80, (text.len() >> 7) as u8]);
        order.extend_from_slice(text.as_bytes());
    }
    order
}

/// JSON Schema of [`batch`].
pub const BATCH_SCHEMA: &str = r##"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "type": { "const": "batch" },
        "orders": { "type": "array", "items": { "$ref": "#/$defs/order" }, "maxItems": 1000 },
        "note": { "type": "string", "maxLength": 256 }
    },
    "required": ["type", "orders", "note"],
    "additionalProperties": false,
    "$defs": {
        "order": {
            "type": "object",
            "properties": {
                "id": { "type": "string", "pattern": "^[0-9a-f]{8}$" },
                "symbol": { "type": "string", "maxLength": 8 },
                "side": { "enum": ["buy", "sell"] },
                "price": { "type": "number", "exclusiveMinimum": 0 },
                "quantity": { "type": "integer", "minimum": 1, "maximum": 1000000 }
            },
            "required": ["id", "symbol", "side", "price", "quantity"],
            "additionalProperties": false
        }
    }
}"##;

/// The type of a [`batch`] in Protobuf.
pub const BATCH_PROTO: &str = r#"
    syntax = "proto3";
    message Batch { string type = 1; repeated Entry orders = 2; string note = 3; }
    message Entry { string id = 1; string symbol = 2; Side side = 3; double price = 4; uint32 quantity = 5; }
    enum Side { none = 0; buy = 1; sell = 2; }
"#;

/// Many small values: a list of orders under [`BATCH_SCHEMA`], as JSON; what is left of `size` bytes is the note. `encode` says how
/// long it is where it is written in another format.
pub fn batch(size: usize, encode: impl Fn(&str) -> Vec<u8>) -> Vec<u8> {
    let text = |orders: usize, note: usize| {
        let orders: Vec<_> = (0..orders).map(entry).collect();
        format!(r#"{{"type":"batch","orders":[{}],"note":"{}"}}"#, orders.join(","), filler(note))
    };
    let is_short = |orders: &usize| encode(&text(*orders, 0)).len() + 4 <= size;
    let orders = (0..).take_while(is_short).last().unwrap_or_default();
    let short = encode(&text(orders, 0)).len();
    // The length of the note may itself take a byte or two more.
    let exact = (0..=size.saturating_sub(short)).rev().map(|note| encode(&text(orders, note)));
    exact.into_iter().find(|batch| batch.len() <= size).unwrap_or_default()
}

fn entry(at: usize) -> String {
    let (id, price, quantity) = (0x1f3a_0000 + at * 7919, 100.0 + at as f64 / 4.0, 100 + at * 50);
    let side = ["buy", "sell"][at % 2];
    format!(r#"{{"id":"{id:08x}","symbol":"ACME","side":"{side}","price":{price},"quantity":{quantity}}}"#)
}

fn filler(size: usize) -> String {
    FILLER.chars().cycle().take(size).collect()
}

const FILLER: &str = "please fill at best effort and report each part to the desk as usual ";

/// Expressions and literals by turns; no order matches any.
pub fn patterns() -> Vec<Pattern> {
    let pattern = |number| match number % 2 {
        0 => {
            Pattern::Regex { expression: format!("attack-word-{number:03}[a-z]{{3}}"), flags: "i".to_owned() }
        }
        _ => Pattern::Literal(format!("forbidden phrase {number:03}")),
    };
    (0..PATTERNS).map(pattern).collect()
}

/// Schema, patterns with the built-in sets, and a rate limit, in both directions. A message that can't be inspected
/// closes the connection, so that none is measured as if it had been.
pub fn policy(schema_path: &Path) -> Policy {
    let close = Action::Close(CloseCode::POLICY_VIOLATION);
    Policy {
        name: "orders".to_owned(),
        timeout_ms: 60_000,
        failure_mode: FailureMode::Closed,
        validations: vec![Validation {
            name: "validation-1".to_owned(),
            schema_type: SchemaType::Json,
            schema_path: Some(schema_path.to_owned()),
            registry: None,
            directions: Directions::Both,
            messages: MessageTypes::Text,
            subprotocols: None,
            action: Action::Close(CloseCode::INVALID_PAYLOAD),
            reply: None,
        }],
        rate_limits: vec![RateLimit {
            name: "rate-limit-1".to_owned(),
            rates: Rates {
                messages: Some(Rate { per_second: 1_000_000, burst: 1_000_000 }),
                ..Rates::default()
            },
            directions: Directions::Both,
            action: close,
            ..RateLimit::default()
        }],
        content_filters: vec![ContentFilter {
            name: "content-filter-1".to_owned(),
            patterns: patterns(),
            rule_sets: wsi_scan::builtin::NAMES.map(str::to_owned).to_vec(),
            directions: Directions::Both,
            normalize: Normalize::default(),
            action: close,
            redact_with: None,
            reply: None,
            message_size_max: Some(1 << 20),
        }],
        ..empty_policy()
    }
}

/// The same without the built-in rule sets: schema, 200 patterns and rate limit.
pub fn policy_without_sets(schema_path: &Path) -> Policy {
    let mut policy = policy(schema_path);
    for filter in &mut policy.content_filters {
        filter.rule_sets.clear();
    }
    policy
}

/// No rules.
pub fn empty_policy() -> Policy {
    Policy { name: "empty".to_owned(), timeout_ms: 60_000, ..Policy::default() }
}

/// A client's text frame around `payload`.
pub fn client_frame(payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let header =
        Header { fin: true, opcode: Opcode::Text, mask: Some(key), payload_size: payload.len() as u64 };
    let mut encoded = [0; HEADER_SIZE_MAX];
    let size = header.encode(&mut encoded);
    let mut frame = encoded[..size].to_vec();
    frame.extend_from_slice(payload);
    mask::apply(&mut frame[size..], key, 0);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_have_their_size_and_satisfy_the_schema() {
        let schema = wsi_schema::json::Schema::from_text(SCHEMA, None).unwrap();
        for size in SIZES {
            let order = order(size);
            assert_eq!(order.len(), size);
            let document = wsi_schema::json::Document::parse(&order, &Default::default()).unwrap();
            schema.check(&document).unwrap();
        }
        let schema = wsi_schema::tree::Schema::from_text(SCHEMA, None).unwrap();
        let kind = wsi_schema::protobuf::MessageType::from_text(PROTO, "Order").unwrap();
        for size in [256, 4096] {
            let (packed, proto) = (msgpack_order(size), protobuf_order(size));
            assert_eq!((packed.len(), proto.len()), (size, size));
            let limits = Default::default();
            schema.check(&wsi_schema::msgpack::decode(&packed, &limits, |_| {}).unwrap()).unwrap();
            schema.check(&kind.decode(&proto, &limits, Default::default(), |_| {}).unwrap()).unwrap();
        }
    }
}
