//! The rules of both heads, one named case each, and what is written.

mod clients;
mod requests;
mod responses;
mod written;

use super::{HandshakeError, HeadLimits, Key, Request, Response, accept_value};

pub const CLIENT_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A minimal request; a test swaps lines of it.
pub const REQUEST: [&str; 6] = [
    "GET /chat?token=secret HTTP/1.1",
    "Host: example.com:8080",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

pub fn our_key() -> Key {
    Key::new([7; 16])
}

pub fn our_accept() -> String {
    String::from_utf8(accept_value(our_key().as_bytes()).into()).unwrap()
}

pub fn head(lines: &[&str]) -> Vec<u8> {
    format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

/// [`REQUEST`] with more lines.
pub fn request_with(more: &[&str]) -> Vec<u8> {
    head(&[&REQUEST[..], more].concat())
}

/// [`REQUEST`] with the line that starts with `prefix` replaced, or left out.
pub fn request_instead(prefix: &str, line: Option<&str>) -> Vec<u8> {
    let found = REQUEST.iter().filter(|known| known.starts_with(prefix)).count();
    assert_eq!(found, 1, "{prefix}");
    let lines: Vec<_> = REQUEST
        .iter()
        .filter_map(|known| if known.starts_with(prefix) { line } else { Some(*known) })
        .collect();
    head(&lines)
}

pub fn fault_of_request(bytes: &[u8]) -> Option<HandshakeError> {
    Request::parse(bytes, HeadLimits::default()).err()
}

/// A right 101 with more lines.
pub fn response_with(more: &[&str]) -> Vec<u8> {
    let accept = format!("Sec-WebSocket-Accept: {}", our_accept());
    let known =
        ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", accept.as_str()];
    head(&[&known[..], more].concat())
}

pub fn parse_response(bytes: &[u8]) -> Result<Response<'_>, HandshakeError> {
    Response::parse(bytes, HeadLimits::default())
}
