//! Documents as they are on the wire: JSON, MessagePack and Protobuf, as simple as can be.

use super::{Document, Format, Value};

/// The numbers of the fields in Protobuf.
const NUMBERS: [(&str, u8); 11] = [
    ("type", 1),
    ("seq", 2),
    ("stream", 3),
    ("text", 4),
    ("account", 5),
    ("user", 6),
    ("items", 7),
    ("filler", 8),
    ("id", 1),
    ("tag", 1),
    ("count", 2),
];

impl Document {
    pub fn written(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self.format {
            Format::Json => json(&self.value, self.blank, &mut out),
            Format::MessagePack => msgpack(&self.value, &mut out),
            Format::Protobuf => {
                if let Value::Map(fields) = &self.value {
                    fields.iter().for_each(|(name, value)| protobuf(name, value, &mut out));
                }
            }
        }
        out
    }
}

fn json(value: &Value, blank: &str, out: &mut Vec<u8>) {
    let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
    match value {
        Value::Null => put("null"),
        Value::Boolean(boolean) => put(&boolean.to_string()),
        Value::Integer(integer) => put(&integer.to_string()),
        // JSON has none.
        Value::Bytes(_) => {}
        Value::Text(text) => put(&format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))),
        Value::Escaped(text) => {
            put("\"");
            text.encode_utf16().for_each(|unit| put(&format!("\\u{unit:04x}")));
            put("\"");
        }
        Value::List(elements) => {
            put("[");
            for (at, element) in elements.iter().enumerate() {
                out.extend_from_slice(if at == 0 { "" } else { "," }.as_bytes());
                json(element, blank, out);
            }
            out.push(b']');
        }
        Value::Map(members) => {
            put("{");
            for (at, (name, value)) in members.iter().enumerate() {
                out.extend_from_slice(if at == 0 { "" } else { "," }.as_bytes());
                out.extend_from_slice(format!("\"{name}\"{blank}:{blank}").as_bytes());
                json(value, blank, out);
            }
            out.push(b'}');
        }
    }
}

/// In the shortest form.
fn msgpack(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xc0),
        Value::Boolean(boolean) => out.push(0xc2 | u8::from(*boolean)),
        Value::Integer(integer @ 0..=0x7f) => out.push(*integer as u8),
        Value::Integer(integer) => {
            out.push(0xd3);
            out.extend_from_slice(&integer.to_be_bytes());
        }
        Value::Text(text) | Value::Escaped(text) => {
            match text.len() {
                size @ 0..32 => out.push(0xa0 | size as u8),
                size @ 32..256 => out.extend([0xd9, size as u8]),
                size => {
                    out.push(0xda);
                    out.extend_from_slice(&(size as u16).to_be_bytes());
                }
            }
            out.extend_from_slice(text.as_bytes());
        }
        Value::Bytes(bytes) => {
            out.extend([0xc4, bytes.len() as u8]);
            out.extend_from_slice(bytes);
        }
        Value::List(elements) => {
            out.push(0x90 | elements.len() as u8);
            elements.iter().for_each(|element| msgpack(element, out));
        }
        Value::Map(members) => {
            out.push(0x80 | members.len() as u8);
            for (name, value) in members {
                msgpack(&Value::Text((*name).to_owned()), out);
                msgpack(value, out);
            }
        }
    }
}

fn protobuf(name: &str, value: &Value, out: &mut Vec<u8>) {
    let number = NUMBERS.iter().find(|(own, _)| *own == name).map_or(0, |(_, number)| *number);
    let content = match value {
        Value::List(elements) => return elements.iter().for_each(|element| protobuf(name, element, out)),
        Value::Integer(integer) => {
            out.push(number << 3);
            return varint(*integer as u64, out);
        }
        Value::Text(text) | Value::Escaped(text) => text.clone().into_bytes(),
        Value::Map(fields) => {
            let mut content = Vec::new();
            fields.iter().for_each(|(name, value)| protobuf(name, value, &mut content));
            content
        }
        // No field holds such.
        Value::Null | Value::Boolean(_) | Value::Bytes(_) => return,
    };
    out.push(number << 3 | 2);
    varint(content.len() as u64, out);
    out.extend(content);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
