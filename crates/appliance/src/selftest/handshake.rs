//! Upgrades as bytes (RFC 6455 section 4): right ones, for an attack to spoil.

use tungstenite::handshake::derive_accept_key;
use wsi_config::policy::Policy;

use super::relay::Answer;

pub(super) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const COMPRESSION: &str = "permessage-deflate";

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Offer {
    pub origin: Option<String>,
    pub compression: bool,
}

impl Offer {
    /// What `policy` accepts.
    pub fn new(policy: &Policy) -> Self {
        let origins = policy.handshake.origins.as_ref();
        Self { origin: origins.and_then(|all| all.first().cloned()), compression: false }
    }
}

/// The lines of a right request.
pub(super) fn lines(offer: &Offer) -> Vec<String> {
    let fixed = [
        "GET /selftest HTTP/1.1",
        "Host: selftest.example",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
    ];
    let mut lines: Vec<_> = fixed.map(str::to_owned).into();
    lines.push(format!("Sec-WebSocket-Key: {KEY}"));
    lines.extend(offer.origin.iter().map(|origin| format!("Origin: {origin}")));
    if offer.compression {
        lines.push(format!("Sec-WebSocket-Extensions: {COMPRESSION}"));
    }
    lines
}

pub(super) fn head(lines: &[String]) -> Vec<u8> {
    (lines.join("\r\n") + "\r\n\r\n").into_bytes()
}

pub(super) fn request(offer: &Offer) -> Vec<u8> {
    head(&lines(offer))
}

/// The answer of a server that understands what reached it, and compresses if it may.
pub(super) fn answer(upstream: &[u8]) -> Vec<u8> {
    head(&answer_lines(upstream))
}

pub(super) fn answer_lines(upstream: &[u8]) -> Vec<String> {
    let key = value(upstream, "sec-websocket-key").unwrap_or_default();
    let mut lines = vec![
        "HTTP/1.1 101 Switching Protocols".to_owned(),
        "Upgrade: websocket".to_owned(),
        "Connection: Upgrade".to_owned(),
        format!("Sec-WebSocket-Accept: {}", derive_accept_key(key.as_bytes())),
    ];
    if mentions_compression(upstream) {
        lines.push(format!("Sec-WebSocket-Extensions: {COMPRESSION}"));
    }
    lines
}

/// The status code of an answer; `None`: there is none.
pub(super) fn status(head: &[u8]) -> Option<u16> {
    String::from_utf8_lossy(head.get(..12)?).split(' ').nth(1)?.parse().ok()
}

pub(super) fn mentions_compression(head: &[u8]) -> bool {
    value(head, "sec-websocket-extensions").is_some_and(|value| value.contains(COMPRESSION))
}

pub(super) fn agrees_on_compression(answer: &Answer) -> bool {
    mentions_compression(&answer.client) && answer.upstream.as_deref().is_some_and(mentions_compression)
}

fn value(head: &[u8], name: &str) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    head.lines().find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
