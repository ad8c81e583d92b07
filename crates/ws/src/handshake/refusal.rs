//! Answers that refuse an upgrade: the upstream's, and our own. Each ends the connection.

use super::error::HandshakeError;
use super::forward::write_field;
use super::head::is_text_byte;
use super::response::Response;
use super::token::token;

/// Fields that describe a body; the upstream's is not passed on.
const OF_BODY: [&str; 8] = [
    "accept-ranges",
    "content-encoding",
    "content-language",
    "content-location",
    "content-range",
    "content-type",
    "etag",
    "last-modified",
];

/// Writes the upstream's refusal (3xx, 4xx, 5xx) to the client: its status and end-to-end header fields, no body.
///
/// Any other answer does not refuse (a 200 ignored the upgrade, a 101 asks to be verified) and becomes a 502.
pub fn write_rejection(response: &Response<'_>, out: &mut Vec<u8>) {
    // A 304 answers a condition, and an upgrade has none.
    if !matches!(response.status(), 300..=303 | 305..=599) {
        return write_refusal(HandshakeError::UpstreamStatus, out);
    }
    write_status_line(out, response.status(), response.reason());
    for field in response.end_to_end() {
        if !OF_BODY.iter().any(|name| field.name.eq_ignore_ascii_case(name)) {
            write_field(out, field.name, field.value);
        }
    }
    out.extend_from_slice(b"Content-Length: 0\r\nConnection: close\r\n\r\n");
}

/// Writes the refusal that a fault calls for: its status, the fields that go with it, and what was wrong.
pub fn write_refusal(error: HandshakeError, out: &mut Vec<u8>) {
    write_error(error.status(), error.headers(), &error.to_string(), out);
}

/// Writes a refusal of our own with `text` as its plain body. `status` is 400 to 599, or it becomes 500.
///
/// A header that is not well-formed is left out; do not pass `Connection` or those that describe the body.
pub fn write_error(status: u16, headers: &[(&str, &str)], text: &str, out: &mut Vec<u8>) {
    let status = if matches!(status, 400..=599) { status } else { 500 };
    write_status_line(out, status, reason(status).as_bytes());
    let mut connection = "close";
    for (name, value) in headers {
        if token(name.as_bytes()).is_none() || !value.bytes().all(is_text_byte) {
            continue;
        }
        if name.eq_ignore_ascii_case("upgrade") {
            // RFC 9110 section 7.8: a sender of Upgrade names it in Connection.
            connection = "Upgrade, close";
        }
        write_field(out, name, value.as_bytes());
    }
    write_field(out, "Content-Type", b"text/plain; charset=utf-8");
    write_field(out, "Content-Length", (text.len() + 1).to_string().as_bytes());
    write_field(out, "Connection", connection.as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

fn write_status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    out.extend_from_slice(format!("HTTP/1.1 {status} ").as_bytes());
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

const fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        414 => "URI Too Long",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Refused",
    }
}
