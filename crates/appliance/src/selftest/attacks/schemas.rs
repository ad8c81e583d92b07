//! Schemas: documents that one may refuse, and bytes that are no document to any.

use wsi_config::policy::{Compression, Policy, SchemaType};

use super::{Class, Subject, compression, fragmentation};
use crate::selftest::trial::Variant;

/// What is sent against one kind of schema.
pub(in crate::selftest) struct Documents {
    /// Of these the engine is asked which ones it refuses.
    pub possible: Vec<Vec<u8>>,
    /// No schema lets these pass.
    pub never: Vec<Vec<u8>>,
}

impl Documents {
    pub fn new(policy: &Policy, schema_type: &SchemaType) -> Self {
        let depth = policy.limits.json_depth_max as usize + 1;
        match schema_type {
            SchemaType::Json => json(depth),
            SchemaType::MessagePack => messagepack(depth),
            SchemaType::Protobuf(_) => protobuf(depth),
        }
    }
}

fn json(depth: usize) -> Documents {
    let all = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let mut never: Vec<Vec<u8>> =
        all(&["{", r#"{"a":1,"a":2}"#, "{} {}", r#"{"a":1}x"#, "[1,]", "\u{feff}{}"]);
    never.push([vec![b'['; depth], vec![b']'; depth]].concat());
    Documents { possible: all(&["{}", "[]", "1", "\"x\"", "null"]), never }
}

fn messagepack(depth: usize) -> Documents {
    let all = |documents: &[&[u8]]| documents.iter().map(|bytes| bytes.to_vec()).collect();
    let mut never: Vec<Vec<u8>> = all(&[
        // Something behind, something missing, a key twice, a key of no kind, and what is reserved.
        b"\xc0\xc0",
        b"\x81",
        b"\x82\xa1a\x01\xa1a\x02",
        b"\x81\xc0\x01",
        b"\xc1",
        b"\xa1\xff",
        // Bombs of length: str, bin, array and map.
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
    ]);
    never.push([vec![0x91; depth], vec![0xc0]].concat());
    Documents { possible: all(&[b"\x80", b"\x90", b"\x01", b"\xa1x", b"\xc0"]), never }
}

fn protobuf(depth: usize) -> Documents {
    let all = |messages: &[&[u8]]| messages.iter().map(|bytes| bytes.to_vec()).collect();
    let mut never: Vec<Vec<u8>> = all(&[
        // Field 0, wire types that don't exist, a group without an end, an end without a group.
        b"\x00\x00",
        b"\x0e",
        b"\x0f",
        b"\x0b",
        b"\x0c",
        // A length beyond the message, and varints without an end and longer than any number.
        b"\x0a\x7f",
        b"\x08\x80",
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ]);
    never.push([vec![0x0b; depth], vec![0x0c; depth]].concat());
    // An unknown field, the first fields with values of each kind.
    let possible =
        all(&[b"\xf8\xff\xff\xff\x0f\x01", b"\x08\x01", b"\x0a\x00", b"\x0a\x01x", b"\x0d\0\0\0\0"]);
    Documents { possible, never }
}

/// What a schema refuses, whole and cut; `opcode` is that of the messages that the rule looks at.
pub(in crate::selftest) fn of(policy: &Policy, subject: Subject<'_>, opcode: u8) -> Vec<Variant> {
    let mut variants = fragmentation::of(subject, Class::Schema, opcode);
    if policy.handshake.compression == Compression::Inspect {
        variants.extend(compression::of(subject, opcode));
    }
    variants
}
