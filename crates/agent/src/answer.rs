//! Answers, written as the proxy's deserializer wants them.

use std::fmt::Write;

use wsi_inspect::frames::FrameVerdict;

use crate::{Version, msgpack};

const TYPE_HANDSHAKE: u8 = 0x02;
const TYPE_RESPONSE: u8 = 0x20;
const TYPE_PONG: u8 = 0x42;

/// How answers are written, and events read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    V1,
    Json,
    MessagePack,
}

impl Wire {
    pub fn version(self) -> Version {
        if self == Self::V1 { Version::V1 } else { Version::V2 }
    }

    /// A correlation id as [`write`] wants it.
    pub fn id(self, text: &str) -> Vec<u8> {
        match self {
            Self::MessagePack => text.into(),
            Self::V1 | Self::Json => quoted(text).into(),
        }
    }
}

/// A text as it stands in JSON, without its quotes.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.get(1..json.len() - 1).unwrap_or_default().to_owned()
}

/// The answer to an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Decision<'a> {
    Allow,
    Frame(FrameVerdict),
    /// Instead of a request or a response.
    Block {
        status: u16,
        text: &'a str,
    },
}

/// Appends the answer to an event. `id` is the event's correlation id as it stood there; in JSON, between quotes.
#[inline]
pub(crate) fn write(out: &mut Vec<u8>, wire: Wire, id: &[u8], decision: Decision<'_>) {
    message(out, (wire != Wire::V1).then_some(TYPE_RESPONSE), |out| {
        out.extend_from_slice(match wire {
            Wire::V1 => b"{\"version\":1,\"decision\":",
            Wire::Json => b"{\"version\":2,\"decision\":",
            Wire::MessagePack => return msgpack::write(out, id, decision),
        });
        match decision {
            Decision::Block { status, text } => {
                let body = serde_json::Value::from(text);
                out.extend_from_slice(
                    format!("{{\"block\":{{\"status\":{status},\"body\":{body},\"headers\":null}}}}")
                        .as_bytes(),
                );
            }
            Decision::Allow => out.extend_from_slice(b"\"allow\""),
            Decision::Frame(verdict) => {
                out.extend_from_slice(b"\"allow\",\"websocket_decision\":");
                write_verdict(out, verdict);
            }
        }
        // Version 1 has no ids: it asks one thing at a time.
        if wire != Wire::V1 {
            out.extend_from_slice(b",\"audit\":{\"custom\":{\"correlation_id\":\"");
            out.extend_from_slice(id);
            out.extend_from_slice(b"\"}}");
        }
        out.push(b'}');
    });
}

/// Appends the answer to a handshake, which is always JSON. `error`: the connection is not to be used, because of this.
pub(crate) fn write_handshake(out: &mut Vec<u8>, wire: Wire, error: Option<&str>) {
    let events = [0, 1, 3, 6];
    let answer = serde_json::json!({
        "protocol_version": 2,
        "capabilities": {
            "agent_id": "websocket-inspector",
            "name": "WebSocket Inspector",
            "version": env!("CARGO_PKG_VERSION"),
            "supported_events": events,
            "features": {
                "streaming_body": false,
                "websocket": true,
                "guardrails": false,
                "config_push": true,
                "metrics_export": false,
                "concurrent_requests": 100,
                "cancellation": false,
                "flow_control": false,
                "health_reporting": false,
            },
            "limits": { "max_body_size": 1_048_576, "max_concurrency": 100, "preferred_chunk_size": 65_536 },
        },
        "success": error.is_none(),
        "error": error,
        "encoding": if wire == Wire::MessagePack { "msgpack" } else { "json" },
    });
    message(out, Some(TYPE_HANDSHAKE), |out| out.extend_from_slice(answer.to_string().as_bytes()));
}

pub(crate) fn write_pong(out: &mut Vec<u8>, payload: &[u8]) {
    message(out, Some(TYPE_PONG), |out| out.extend_from_slice(payload));
}

fn write_verdict(out: &mut Vec<u8>, verdict: FrameVerdict) {
    match verdict {
        FrameVerdict::Allow => out.extend_from_slice(b"\"allow\""),
        FrameVerdict::Drop => out.extend_from_slice(b"\"drop\""),
        FrameVerdict::Close { code, reason } => {
            let mut text = String::new();
            // Reasons are our own words, without quotes.
            let _ = write!(text, "{{\"close\":{{\"code\":{},\"reason\":\"{reason}\"}}}}", code.as_u16());
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// Appends a message with its length in front.
#[inline]
fn message(out: &mut Vec<u8>, kind: Option<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend(kind);
    write(out);
    // Answers are short, but for the echo of a ping, which came with a length of its own.
    let size = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
}
