//! The two heads of an upgrade that is passed on, in one canonical form.

use core::net::IpAddr;

use super::accept::{Key, accept_value};
use super::head::Field;
use super::request::Request;
use super::response::Accepted;
use crate::deflate::{Agreement, OFFER};

/// The hop that a request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The peer's address, for `X-Forwarded-For`.
    pub client: IpAddr,
    /// The client spoke TLS, for `X-Forwarded-Proto`.
    pub is_tls: bool,
}

/// Writes our own request to the upstream: the same target and host, our `key`, no extension but permessage-deflate if it
/// `offers_compression`, the client's subprotocols that are `allowed` in the client's order, and its end-to-end header
/// fields in theirs.
///
/// The client's address is appended to `X-Forwarded-For`, whose fields become one; `X-Forwarded-Proto` is added
/// if it is absent. Whether the values that a client sent may be believed is for the reader to know.
pub fn write_upstream_request(
    request: &Request<'_>,
    key: &Key,
    allowed: impl FnMut(&&str) -> bool,
    offers_compression: bool,
    hop: Hop,
    out: &mut Vec<u8>,
) {
    write_parts(out, &[b"GET ", request.target().as_bytes(), b" HTTP/1.1\r\n"]);
    write_field(out, "Host", request.host().as_bytes());
    out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n");
    write_field(out, "Sec-WebSocket-Key", key.as_bytes());
    let subprotocols: Vec<_> = request.subprotocols().filter(allowed).collect();
    if !subprotocols.is_empty() {
        write_field(out, "Sec-WebSocket-Protocol", subprotocols.join(", ").as_bytes());
    }
    if offers_compression {
        write_field(out, "Sec-WebSocket-Extensions", OFFER.as_bytes());
    }
    let mut proto_present = false;
    for field in request.end_to_end() {
        proto_present |= is(field, "x-forwarded-proto");
        if !is(field, "host") && !is(field, "x-forwarded-for") {
            write_field(out, field.name, field.value);
        }
    }
    out.extend_from_slice(b"X-Forwarded-For: ");
    for field in request.headers().filter(|field| is(field, "x-forwarded-for") && !field.value.is_empty()) {
        write_parts(out, &[field.value, b", "]);
    }
    // An IPv4 client of an IPv6 listener is written as IPv4.
    write_parts(out, &[hop.client.to_canonical().to_string().as_bytes(), b"\r\n"]);
    if !proto_present {
        write_field(out, "X-Forwarded-Proto", if hop.is_tls { b"https" } else { b"http" });
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes our own 101 to the client, the answer to its key, with the `compression` that we grant it and the upstream's
/// subprotocol and end-to-end header fields.
pub fn write_client_response(
    accepted: &Accepted<'_>,
    client_key: &str,
    compression: Option<Agreement>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    );
    write_field(out, "Sec-WebSocket-Accept", &accept_value(client_key.as_bytes()));
    if let Some(subprotocol) = accepted.subprotocol() {
        write_field(out, "Sec-WebSocket-Protocol", subprotocol.as_bytes());
    }
    if let Some(agreement) = compression {
        write_field(out, "Sec-WebSocket-Extensions", agreement.answer().as_bytes());
    }
    for field in accepted.response().end_to_end() {
        write_field(out, field.name, field.value);
    }
    out.extend_from_slice(b"\r\n");
}

pub(super) fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    write_parts(out, &[name.as_bytes(), b": ", value, b"\r\n"]);
}

fn write_parts(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn is(field: &Field<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name)
}
