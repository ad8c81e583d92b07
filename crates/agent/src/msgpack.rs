//! MessagePack in place of JSON, where a proxy prefers it: maps with the same names. A frame's payload is base64 here too.

use std::io;

use serde::{Deserialize, Serialize, de::IgnoredAny};
use wsi_inspect::frames::FrameVerdict;

use crate::{
    Fault,
    answer::Decision,
    event::{FrameEvent, direction_of, opcode_of},
    json::Text,
};

/// How deep values may nest.
const DEPTH_MAX: usize = 64;

/// Reads an event, which is a map and nothing behind it.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Fault> {
    use rmp_serde::decode::Error;

    // Positional fields, as proxies before 0.6.45 wrote them, could be taken for each other.
    if !matches!(body.first(), Some(0x80..=0x8f | 0xde | 0xdf)) {
        return Err(Fault::MessagePack);
    }
    let mut reader = rmp_serde::Deserializer::from_read_ref(body);
    reader.set_max_depth(DEPTH_MAX);
    let value = T::deserialize(&mut reader).map_err(|_| Fault::MessagePack)?;
    match IgnoredAny::deserialize(&mut reader) {
        Err(Error::InvalidMarkerRead(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(value),
        _ => Err(Fault::MessagePack),
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    correlation_id: &'a str,
    opcode: &'a str,
    data: &'a str,
    client_to_server: bool,
    frame_index: u64,
    fin: bool,
    #[serde(borrow, default)]
    client_ip: Option<&'a str>,
}

impl FrameEvent {
    /// Reads the event of version 2.
    pub fn parse_msgpack(body: &[u8]) -> Result<Self, Fault> {
        let frame: Frame<'_> = parse(body)?;
        let place = |text: &str| {
            let start = text.as_ptr().addr() - body.as_ptr().addr();
            Text { range: start..start + text.len(), has_escapes: false }
        };
        Ok(Self {
            id: place(frame.correlation_id),
            direction: direction_of(frame.client_to_server),
            fin: frame.fin,
            opcode: opcode_of(frame.opcode)?,
            index: frame.frame_index,
            data: place(frame.data),
            client_ip: frame.client_ip.map(place),
        })
    }
}

/// A policy that the proxy's own configuration holds.
#[derive(Deserialize)]
pub(crate) struct Configure {
    #[serde(default)]
    pub config: Option<serde_json::Value>,
    #[serde(default)]
    pub correlation_id: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    decision: Word<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    websocket_decision: Option<Word<'a>>,
    audit: Audit<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Word<'a> {
    Allow,
    Drop,
    Close { code: u16, reason: &'a str },
    Block { status: u16, body: &'a str },
}

#[derive(Serialize)]
struct Audit<'a> {
    custom: Custom<'a>,
}

#[derive(Serialize)]
struct Custom<'a> {
    correlation_id: &'a str,
}

/// Appends the answer to the event of `id`.
pub(crate) fn write(out: &mut Vec<u8>, id: &[u8], decision: Decision<'_>) {
    let (decision, websocket_decision) = match decision {
        Decision::Allow => (Word::Allow, None),
        Decision::Block { status, text } => (Word::Block { status, body: text }, None),
        Decision::Frame(FrameVerdict::Allow) => (Word::Allow, Some(Word::Allow)),
        Decision::Frame(FrameVerdict::Drop) => (Word::Allow, Some(Word::Drop)),
        Decision::Frame(FrameVerdict::Close { code, reason }) => {
            (Word::Allow, Some(Word::Close { code: code.as_u16(), reason }))
        }
    };
    // It was read as a string.
    let audit = Audit { custom: Custom { correlation_id: str::from_utf8(id).unwrap_or_default() } };
    // Memory takes everything.
    let _ = rmp_serde::encode::write_named(out, &Answer { version: 2, decision, websocket_decision, audit });
}
