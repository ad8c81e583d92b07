//! Events of the proxy, read from JSON.

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use serde::Deserialize;
use serde_json::value::RawValue;
use wsi_policy::Direction;
use wsi_ws::Opcode;

use crate::{
    Fault,
    json::{Cursor, Text},
};

/// A frame of a WebSocket.
#[derive(Debug)]
pub(crate) struct FrameEvent {
    /// Where the id lies, between its quotes: the answer repeats it as it came.
    pub id: Text,
    pub direction: Direction,
    pub fin: bool,
    /// `None`: a reserved one.
    pub opcode: Option<Opcode>,
    pub index: u64,
    pub data: Text,
    pub client_ip: Option<Text>,
}

impl FrameEvent {
    /// Reads the event of version 2.
    #[inline]
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(body);
        let event = Self::read(&mut cursor)?;
        cursor.end()?;
        Ok(event)
    }

    /// Decodes the payload where it lies.
    #[inline]
    pub fn decode<'b>(&self, body: &'b mut [u8]) -> Result<Cow<'b, [u8]>, Fault> {
        if self.data.has_escapes {
            let text = self.data.read(body)?;
            let bytes = base64_simd::STANDARD.decode_to_vec(text.as_bytes());
            return bytes.map(Cow::Owned).map_err(|_| Fault::Base64);
        }
        let encoded = body.get_mut(self.data.range.clone()).ok_or(Fault::Json)?;
        let decoded = base64_simd::STANDARD.decode_inplace(encoded).map_err(|_| Fault::Base64)?;
        Ok(Cow::Borrowed(decoded))
    }

    #[inline]
    pub fn read(cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        let (mut id, mut data, mut opcode) = (None, None, None);
        let (mut index, mut fin, mut direction, mut client_ip) = (None, None, None, None);
        cursor.object(|cursor, name| {
            let bytes = cursor.bytes();
            match bytes.get(name.range.clone()).unwrap_or_default() {
                b"correlation_id" => once(&mut id, cursor.string()?),
                b"data" => once(&mut data, cursor.string()?),
                b"opcode" => {
                    let word = cursor.string()?;
                    once(&mut opcode, opcode_of(&word.read(bytes)?)?)
                }
                b"frame_index" => once(&mut index, cursor.integer()?),
                b"fin" => once(&mut fin, cursor.boolean()?),
                b"client_to_server" => once(&mut direction, direction_of(cursor.boolean()?)),
                b"client_ip" if cursor.peek() == Some(b'"') => once(&mut client_ip, cursor.string()?),
                _ => {
                    // A name that is spelt with escapes could be any of those above.
                    if name.has_escapes {
                        return Err(Fault::Json);
                    }
                    name.read(bytes)?;
                    cursor.skip().map(|_| ())
                }
            }
        })?;
        match (id, data, opcode, index, fin, direction) {
            (Some(id), Some(data), Some(opcode), Some(index), Some(fin), Some(direction)) => {
                Ok(Self { id, direction, fin, opcode, index, data, client_ip })
            }
            _ => Err(Fault::Fields),
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Fault> {
    if place.is_some() {
        return Err(Fault::Fields);
    }
    *place = Some(value);
    Ok(())
}

pub(crate) const fn direction_of(client_to_server: bool) -> Direction {
    if client_to_server { Direction::ToServer } else { Direction::ToClient }
}

pub(crate) fn opcode_of(word: &str) -> Result<Option<Opcode>, Fault> {
    match word {
        "text" => Ok(Some(Opcode::Text)),
        "binary" => Ok(Some(Opcode::Binary)),
        "continuation" => Ok(Some(Opcode::Continuation)),
        "ping" => Ok(Some(Opcode::Ping)),
        "pong" => Ok(Some(Opcode::Pong)),
        "close" => Ok(Some(Opcode::Close)),
        "reserved" => Ok(None),
        _ => Err(Fault::Fields),
    }
}

/// A message of version 1.
#[derive(Debug)]
pub(crate) enum EnvelopeV1 {
    Frame(FrameEvent),
    /// The kind of event, and where its payload lies.
    Other(String, Range<usize>),
}

impl EnvelopeV1 {
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        let (mut version, mut kind, mut frame, mut payload) = (None, None, None, None);
        let mut cursor = Cursor::new(body);
        cursor.object(|cursor, name| {
            let bytes = cursor.bytes();
            match &*name.read(bytes)? {
                "version" => once(&mut version, cursor.integer()?),
                "event_type" => {
                    let word = cursor.string()?;
                    once(&mut kind, word.read(bytes)?.into_owned())
                }
                // What proxies write: the kind first, so that a large payload is passed over once.
                "payload" if payload.is_none() && kind.as_deref().is_some_and(is_frame) => {
                    let start = cursor.at();
                    frame = Some(FrameEvent::read(cursor)?);
                    payload = Some(start..cursor.at());
                    Ok(())
                }
                "payload" => once(&mut payload, cursor.skip()?),
                _ => cursor.skip().map(|_| ()),
            }
        })?;
        cursor.end()?;
        let (Some(version), Some(kind), Some(payload)) = (version, kind, payload) else {
            return Err(Fault::Fields);
        };
        match (version, frame) {
            (1, Some(frame)) => Ok(Self::Frame(frame)),
            // Its places would be counted from the payload's start.
            (1, None) if is_frame(&kind) => Err(Fault::Fields),
            (1, None) => Ok(Self::Other(kind, payload)),
            _ => Err(Fault::UnknownVersion),
        }
    }
}

fn is_frame(kind: &str) -> bool {
    kind == "web_socket_frame"
}

/// The proxy's first message of version 2.
#[derive(Debug, Deserialize)]
pub(crate) struct Handshake<'a> {
    pub supported_versions: Vec<u32>,
    #[serde(borrow, default)]
    pub supported_encodings: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub config: Option<&'a RawValue>,
}

/// A policy that the proxy's own configuration holds.
#[derive(Debug, Deserialize)]
pub(crate) struct Configure<'a> {
    #[serde(borrow, default)]
    pub config: Option<&'a RawValue>,
    /// Version 1 has none.
    #[serde(borrow, default)]
    pub correlation_id: Cow<'a, str>,
}

/// The head of a request.
#[derive(Debug, Deserialize)]
pub(crate) struct RequestHeaders<'a> {
    /// Beside the metadata in version 2, in them in version 1.
    #[serde(default)]
    pub correlation_id: Option<String>,
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    #[serde(borrow)]
    pub uri: Cow<'a, str>,
    pub headers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    pub correlation_id: Option<String>,
    pub client_ip: String,
    pub client_port: u16,
}

/// The head of a response.
#[derive(Debug, Deserialize)]
pub(crate) struct ResponseHeaders {
    pub correlation_id: String,
    pub status: u16,
    pub headers: BTreeMap<String, Vec<String>>,
}

/// Any other event: all that matters is which answer it waits for.
#[derive(Debug, Deserialize)]
pub(crate) struct Other {
    #[serde(default)]
    pub correlation_id: String,
}

/// Reads an event other than a frame.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| if error.is_data() { Fault::Fields } else { Fault::Json })
}
