//! Binary: content that is found wherever it stands, because filters look at every kind of message.

use super::{Class, Subject};
use crate::selftest::{
    frames::{BINARY, FIN},
    trial::Variant,
};

/// What a rule names, in binary messages.
pub(in crate::selftest) fn of(subject: Subject<'_>) -> Vec<Variant> {
    let token = &subject.sample.token[..];
    let variant = |group, name, payload: &[u8]| {
        subject.variant(Class::Binary, group, name, subject.framer().frame(FIN | BINARY, payload))
    };
    let mut variants = vec![variant("whole", "in a binary message", token)];
    let Ok(size) = u16::try_from(token.len()) else { return variants };
    if !subject.sample.in_binary {
        return variants;
    }
    let size = size.to_be_bytes();
    let within = |head: &[u8], tail: &[u8]| [head, token, tail].concat();
    let sized = |head: &[u8], marker: u8| within(&[head, &[marker], &size].concat(), b"");
    let string = sized(b"", 0xda);
    variants.extend([
        variant("MessagePack", "a string", &string),
        variant("MessagePack", "bin", &sized(b"", 0xc5)),
        variant("MessagePack", "ext", &within(&[&[0xc8][..], &size, &[7]].concat(), b"")),
        variant("MessagePack", "a key", &[&[0x81][..], &string, &[0xc0]].concat()),
        variant("MessagePack", "an array", &[&[0x92, 0xc0][..], &string].concat()),
        variant("MessagePack", "behind a document", &[&[0xc0][..], &string].concat()),
    ]);
    let length = varint(token.len());
    let field = |tag: u8| within(&[&[tag][..], &length].concat(), b"");
    variants.extend([
        variant("Protobuf", "a field", &field(0x0a)),
        variant("Protobuf", "an unknown field", &field(0x7a)),
        variant("Protobuf", "a group", &[&[0x0b][..], &field(0x12), &[0x0c]].concat()),
        variant("Protobuf", "among bytes that are no text", &within(b"\xff\x00\xfe", b"\x00\xff")),
    ]);
    variants
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
