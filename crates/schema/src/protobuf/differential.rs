//! The same values as prost-reflect decodes, in the shape in which it writes them as JSON.

use proptest::prelude::*;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::{Value, json};

use super::{Fault, MessageType, Unknown};
use crate::{json::Limits, tree::Schema};

const PROTO: &str = r#"
    syntax = "proto3";
    package p;
    message Root {
        double double = 1; float float = 2; int32 int32 = 3; int64 int64 = 4; uint32 uint32 = 5; uint64 uint64 = 6;
        sint32 sint32 = 7; sint64 sint64 = 8; fixed32 fixed32 = 9; fixed64 fixed64 = 10; sfixed32 sfixed32 = 11;
        sfixed64 sfixed64 = 12; bool bool = 13; string string = 14; bytes bytes = 15; Side side = 16; Root child = 17;
        repeated int32 ints = 18; repeated double doubles = 19; repeated Side sides = 20; repeated string strings = 21;
        repeated Root children = 22; map<string, Root> by_name = 23; map<int32, sint64> by_number = 24;
        map<bool, string> by_bool = 25; optional int32 maybe = 26;
        oneof choice { int32 one = 27; Root two = 28; string three = 29; }
        repeated int32 unpacked = 30 [packed = false];
    }
    enum Side { NONE = 0; BUY = 1; SELL = 2; }
"#;

pub(super) struct Pair {
    pub ours: MessageType,
    pub reference: MessageDescriptor,
}

impl Pair {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.proto");
        std::fs::write(&file, PROTO).unwrap();
        let set = protox::compile([&file], [folder.path()]).unwrap();
        let pool = DescriptorPool::from_file_descriptor_set(set).unwrap();
        Self {
            ours: MessageType::load(&file, "p.Root").unwrap(),
            reference: pool.get_message_by_name("p.Root").unwrap(),
        }
    }

    /// The JSON mapping, with defaults as they are shown here.
    fn expected(&self, bytes: &[u8]) -> Option<Value> {
        let message = DynamicMessage::decode(self.reference.clone(), bytes).ok()?;
        let options = SerializeOptions::new()
            .stringify_64_bit_integers(false)
            .use_proto_field_name(true)
            .skip_default_fields(false);
        Some(message.serialize_with_options(serde_json::value::Serializer, &options).unwrap())
    }

    #[track_caller]
    fn agree_on(&self, bytes: &[u8]) {
        let limits = Limits { depth_max: 128 };
        let reference = self.expected(bytes);
        for unknown in [Unknown::Allow, Unknown::Reject] {
            let verified = self.ours.verify(bytes, &limits, unknown, |_| {});
            match self.ours.decode(bytes, &limits, unknown, |_| {}) {
                Ok(tree) => {
                    assert_eq!(verified, Ok(()));
                    let expected = reference.clone().expect("the reference decodes what is accepted");
                    let exactly = json!({"const": without_absent(expected)});
                    let schema = Schema::from_text(&exactly.to_string(), None).unwrap();
                    assert_eq!(schema.check(&tree), Ok(()), "{bytes:02x?}\n{exactly}");
                }
                Err(fault) => {
                    assert_eq!(verified, Err(fault));
                    // What only this reading refuses.
                    let is_stricter = matches!(
                        fault,
                        Fault::OverlongVarint { .. }
                            | Fault::OutOfRange { .. }
                            | Fault::UnknownField { .. }
                            | Fault::UnknownEnumValue { .. }
                            | Fault::TooDeep
                            // It does not look at the wire type of the entries of maps.
                            | Fault::Group { .. }
                            | Fault::WireType { number: 23..=25, .. }
                    );
                    assert!(is_stricter || reference.is_none(), "{bytes:02x?}: {fault}");
                }
            }
        }
    }
}

/// The reference writes a field that has presence as null if it was not sent.
fn without_absent(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            members.into_iter().filter(|(_, it)| !it.is_null()).map(|(k, v)| (k, without_absent(v))).collect()
        }
        Value::Array(elements) => elements.into_iter().map(without_absent).collect(),
        value => value,
    }
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn tagged(number: u64, wire: u64, content: Vec<u8>) -> Vec<u8> {
    let mut bytes = varint(number << 3 | wire);
    if wire == 2 {
        bytes.extend(varint(content.len() as u64));
    }
    bytes.extend(content);
    bytes
}

fn integer() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..3_u64,
        any::<u32>().prop_map(u64::from),
        any::<u64>(),
        any::<i32>().prop_map(|it| it as i64 as u64)
    ]
}

/// Fields of `Root` in any order and number, mostly right ones.
fn fields(body: BoxedStrategy<Vec<u8>>) -> BoxedStrategy<Vec<u8>> {
    let number = |choices: &'static [u64]| prop::sample::select(choices);
    let entry_key = prop_oneof![
        "[ab]".prop_map(|text| tagged(1, 2, text.into_bytes())),
        (0..2_u64).prop_map(|it| tagged(1, 0, varint(it))),
        Just(Vec::new()),
    ];
    let field =
        prop_oneof![
            (number(&[3, 4, 5, 6, 7, 8, 13, 16, 18, 20, 26, 27, 30, 31]), integer())
                .prop_map(|(n, v)| tagged(n, 0, varint(v))),
            (number(&[13, 16, 20, 3, 27]), 0..3_u64).prop_map(|(n, v)| tagged(n, 0, varint(v))),
            (number(&[2, 9, 11]), any::<[u8; 4]>()).prop_map(|(n, v)| tagged(n, 5, v.to_vec())),
            (number(&[1, 10, 12, 19]), any::<[u8; 8]>()).prop_map(|(n, v)| tagged(n, 1, v.to_vec())),
            (number(&[14, 15, 21, 29]), ".{0,5}").prop_map(|(n, v)| tagged(n, 2, v.into_bytes())),
            (number(&[18, 20, 30]), prop::collection::vec(0..3_u64, 0..5)).prop_map(|(n, v)| tagged(
                n,
                2,
                v.into_iter().flat_map(varint).collect()
            )),
            (number(&[17, 22, 28]), body.clone()).prop_map(|(n, v)| tagged(n, 2, v)),
            (number(&[23]), "[ab]", body).prop_map(|(n, k, v)| tagged(
                n,
                2,
                [tagged(1, 2, k.into_bytes()), tagged(2, 2, v)].concat()
            )),
            (number(&[24]), entry_key.clone(), integer()).prop_map(|(n, k, v)| tagged(
                n,
                2,
                [k, tagged(2, 0, varint(v))].concat()
            )),
            (number(&[25]), entry_key, ".{0,3}").prop_map(|(n, k, v)| tagged(
                n,
                2,
                [tagged(2, 2, v.into_bytes()), k].concat()
            )),
        ];
    prop::collection::vec(field, 0..8).prop_map(|fields| fields.concat()).boxed()
}

fn messages() -> BoxedStrategy<Vec<u8>> {
    let leaf = fields(Just(Vec::new()).boxed());
    fields(prop_oneof![leaf.clone(), fields(leaf)].boxed())
}

thread_local!(static PAIR: Pair = Pair::new());

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn messages_are_read_as_prost_reflect_reads_them(bytes in messages()) {
        PAIR.with(|pair| pair.agree_on(&bytes));
    }

    #[test]
    fn damaged_messages_are_read_as_prost_reflect_reads_them(
        bytes in messages(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = bytes;
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            PAIR.with(|pair| pair.agree_on(&bytes[..cut.index(bytes.len())]));
        }
        PAIR.with(|pair| pair.agree_on(&bytes));
    }

    #[test]
    fn any_bytes_are_read_as_prost_reflect_reads_them(bytes in prop::collection::vec(any::<u8>(), 0..48)) {
        PAIR.with(|pair| pair.agree_on(&bytes));
    }

    #[test]
    fn what_is_seen_is_in_the_message_and_no_longer(bytes in messages()) {
        PAIR.with(|pair| {
            let mut size = 0;
            let limits = Limits::default();
            let _ = pair.ours.verify(&bytes, &limits, Unknown::Allow, |payload| size += payload.len() + 1);
            assert!(size <= bytes.len());
        });
    }
}
