//! The same values as rmpv reads, and the same verdicts as jsonschema gives over its own representation.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use rmpv::Value as Reference;
use serde_json::{Value, json};

use super::{Fault, decode};
use crate::{json::Limits, tree::Schema};

/// The JSON that a message stands for by the rules of this module. `None`: one that is refused.
fn expected(value: &Reference) -> Option<Value> {
    Some(match value {
        Reference::Nil => Value::Null,
        Reference::Boolean(boolean) => (*boolean).into(),
        Reference::Integer(integer) => match integer.as_u64() {
            Some(unsigned) => unsigned.into(),
            None => integer.as_i64()?.into(),
        },
        Reference::F32(float) => serde_json::Number::from_f64((*float).into())?.into(),
        Reference::F64(float) => serde_json::Number::from_f64(*float)?.into(),
        Reference::String(text) => text.as_str()?.into(),
        Reference::Binary(bytes) => json!({"$bin": STANDARD.encode(bytes)}),
        Reference::Ext(kind, bytes) => json!({"$ext": kind, "$data": STANDARD.encode(bytes)}),
        Reference::Array(elements) => elements.iter().map(expected).collect::<Option<_>>()?,
        Reference::Map(members) => {
            let mut object = serde_json::Map::new();
            for (name, member) in members {
                let name = match name {
                    Reference::String(text) => text.as_str()?.to_owned(),
                    Reference::Integer(integer) => integer.to_string(),
                    _ => return None,
                };
                let is_reserved = ["$bin", "$ext", "$data"].contains(&name.as_str());
                if is_reserved || object.insert(name, expected(member)?).is_some() {
                    return None;
                }
            }
            object.into()
        }
    })
}

#[track_caller]
fn agree_on(bytes: &[u8]) {
    let ours = decode(bytes, &Limits::default(), |_| {});
    let mut rest = bytes;
    let reference = rmpv::decode::read_value_with_max_depth(&mut rest, 1_000);
    match ours {
        Ok(tree) => {
            assert!(rest.is_empty(), "{bytes:02x?}");
            let value = expected(&reference.unwrap()).unwrap();
            let exactly = Schema::from_text(&json!({"const": value}).to_string(), None).unwrap();
            exactly.check(&tree).unwrap();
        }
        Err(Fault::Trailing { offset }) => {
            assert!(reference.is_ok());
            assert_eq!(offset, bytes.len() - rest.len());
        }
        // Ours allows less nesting, and knows the reserved byte, which rmpv takes for nil.
        Err(Fault::TooDeep | Fault::Reserved { .. }) => {}
        Err(_) => assert!(reference.ok().is_none_or(|value| expected(&value).is_none()), "{bytes:02x?}"),
    }
}

fn values() -> impl Strategy<Value = Reference> {
    let names = prop_oneof![
        "[a-z$0-9é]{0,3}".prop_map(Reference::from),
        any::<i64>().prop_map(Reference::from),
        (0..3_u64).prop_map(Reference::from),
    ];
    let leaves = prop_oneof![
        Just(Reference::Nil),
        any::<bool>().prop_map(Reference::from),
        any::<u64>().prop_map(Reference::from),
        any::<i64>().prop_map(Reference::from),
        any::<f32>().prop_map(Reference::from),
        any::<f64>().prop_map(Reference::from),
        ".{0,40}".prop_map(Reference::from),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Reference::Binary),
        (any::<i8>(), prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(k, b)| Reference::Ext(k, b)),
    ];
    leaves.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Reference::Array),
            prop::collection::vec((names.clone(), inner), 0..20).prop_map(Reference::Map),
        ]
    })
}

fn encoded(value: &Reference) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).unwrap();
    bytes
}

proptest! {
    #[test]
    fn values_are_read_as_rmpv_reads_them(value in values()) {
        agree_on(&encoded(&value));
    }

    #[test]
    fn damaged_values_are_read_as_rmpv_reads_them(
        value in values(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encoded(&value);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        agree_on(&bytes);
        agree_on(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn any_bytes_are_read_as_rmpv_reads_them(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        agree_on(&bytes);
    }

    #[test]
    fn memory_is_bounded_by_the_message(value in values()) {
        let bytes = encoded(&value);
        let mut size = 0;
        let decoded = decode(&bytes, &Limits::default(), |payload| size += payload.len() + 1);
        prop_assert!(size <= bytes.len());
        // An ext is shown as five values, and has three bytes at least.
        prop_assert!(decoded.ok().is_none_or(|tree| tree.len() * 3 <= bytes.len() * 5));
    }
}
