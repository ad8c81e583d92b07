//! What a capture knows of a connection's beginning: the heads of the upgrade (RFC 6455 section 4).

use std::{fmt::Write, net::IpAddr};

use tungstenite::handshake::derive_accept_key;

const COMPRESSION: &str = "permessage-deflate";
/// Stands for a key that was not recorded.
const KEY: &str = "cmVwbGF5cmVwbGF5cmVwbA==";
/// Stands for a client that was not recorded.
pub(super) const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[derive(Clone, Debug)]
pub(super) struct Opening {
    /// Nanoseconds; `None`: no time was recorded.
    pub at_ns: Option<u64>,
    pub client: IpAddr,
    /// Where the client connected to.
    pub port: Option<u16>,
    /// The client's head, and what it sent before the answer. `None`: not recorded, so it is not judged.
    pub request: Option<Vec<u8>>,
    /// The server's head. `None`: there was no answer.
    pub answer: Option<Vec<u8>>,
    /// The frames are as they were on the wire: compressed, if that was agreed on.
    pub is_wire: bool,
}

/// The parts of a URL that a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    pub authority: &'a str,
    /// Path and query.
    pub target: String,
    pub port: u16,
}

impl<'a> Url<'a> {
    /// `None`: it is none that a WebSocket can have (RFC 6455 section 3, and `http` as some recorders write it).
    pub fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let default_port = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => 80,
            "wss" | "https" => 443,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let target = rest.split('#').next().unwrap_or_default();
        let slash = if target.starts_with('/') { "" } else { "/" };
        let port = match authority.rsplit_once(':') {
            Some((_, port)) if !port.contains(']') => port.parse().ok()?,
            _ => default_port,
        };
        (!authority.is_empty()).then(|| Self { authority, target: format!("{slash}{target}"), port })
    }
}

/// A request head of these fields, and of those that are needed and were not recorded.
pub(super) fn request(url: &Url<'_>, fields: &[(&str, &str)]) -> Vec<u8> {
    let needed = [
        ("Host", url.authority),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
    ];
    head(&format!("GET {} HTTP/1.1", url.target), fields, &needed)
}

/// An answer head that accepts `request`.
pub(super) fn acceptance(request: &[u8], fields: &[(&str, &str)]) -> Vec<u8> {
    let accept = derive_accept_key(field(request, "sec-websocket-key").unwrap_or_default().as_bytes());
    let needed =
        [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept.as_str())];
    head("HTTP/1.1 101 Switching Protocols", fields, &needed)
}

/// An answer head that refuses.
pub(super) fn rejection(status: u16) -> Vec<u8> {
    head(&format!("HTTP/1.1 {status} Recorded"), &[], &[("Content-Length", "0")])
}

/// The recorded answer to `asked`, as the same server would have answered `upstream`: our own request, with a key of our own, and
/// without what the policy does not offer on.
pub(super) fn retold(answer: &[u8], asked: &[u8], upstream: &[u8]) -> Vec<u8> {
    let key =
        |head: &[u8]| derive_accept_key(field(head, "sec-websocket-key").unwrap_or_default().as_bytes());
    let offered = field(upstream, "sec-websocket-protocol").unwrap_or_default();
    let mut out = Vec::with_capacity(answer.len());
    for line in answer.split_inclusive(|byte| *byte == b'\n') {
        let value = |name| field(line, name);
        match (value("sec-websocket-accept"), value("sec-websocket-protocol")) {
            (Some(accept), _) if accept == key(asked) => {
                out.extend(format!("Sec-WebSocket-Accept: {}\r\n", key(upstream)).bytes());
            }
            (_, Some(chosen)) if !offered.split(',').any(|name| name.trim() == chosen) => {}
            _ if value("sec-websocket-extensions").is_some_and(|value| is_compression(&value)) => {}
            _ => out.extend(line),
        }
    }
    out
}

/// What both endpoints had agreed on about compression; the parameters that say that no context is kept.
pub(super) fn agreed_compression(answer: &[u8]) -> Option<[bool; 2]> {
    let value = field(answer, "sec-websocket-extensions").filter(|value| is_compression(value))?;
    let has = |name| value.split(';').any(|parameter| parameter.trim() == name);
    Some([has("client_no_context_takeover"), has("server_no_context_takeover")])
}

/// The status of an answer; 0: it has none.
pub(super) fn status(head: &[u8]) -> u16 {
    let digits = head.get(9..12).unwrap_or_default();
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The first field of that name, which is in lower case.
pub(super) fn field(head: &[u8], name: &str) -> Option<String> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let value = String::from_utf8_lossy(&line[at + 1..]);
        line[..at].eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim().to_owned())
    })
}

/// Another extension beside it would change what frames mean, and is left to be judged.
fn is_compression(value: &str) -> bool {
    !value.contains(',') && value.split(';').next().is_some_and(|name| name.trim() == COMPRESSION)
}

fn head(first: &str, fields: &[(&str, &str)], needed: &[(&str, &str)]) -> Vec<u8> {
    let mut out = format!("{first}\r\n");
    let missing =
        needed.iter().filter(|(name, _)| !fields.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)));
    for (name, value) in fields.iter().chain(missing) {
        // Writing to a String can't fail.
        let _ = write!(out, "{name}: {value}\r\n");
    }
    (out + "\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let parsed = |text| Url::parse(text).map(|url| (url.authority, url.target, url.port));
        assert_eq!(parsed("ws://a.example"), Some(("a.example", "/".into(), 80)));
        assert_eq!(
            parsed("WSS://u:p@a.example:8443/x?y=1#z"),
            Some(("a.example:8443", "/x?y=1".into(), 8443))
        );
        assert_eq!(parsed("wss://[::1]?q"), Some(("[::1]", "/?q".into(), 443)));
        assert_eq!(parsed("wss://[::1]:9/"), Some(("[::1]:9", "/".into(), 9)));
        for wrong in ["/chat", "ftp://a/", "ws://", "ws://:x/", "ws:///path", "ws://a:70000/"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_told_to_another_request() {
        let url = Url::parse("ws://a/").unwrap();
        let asked = request(&url, &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]);
        let fields = [
            ("Sec-WebSocket-Protocol", "chat"),
            ("Sec-WebSocket-Extensions", "permessage-deflate; client_no_context_takeover"),
        ];
        let answer = acceptance(&asked, &fields);
        assert_eq!(status(&answer), 101);
        assert_eq!(field(&answer, "sec-websocket-accept").unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(agreed_compression(&answer), Some([true, false]));

        let upstream = request(&url, &[("Sec-WebSocket-Protocol", "other, chat")]);
        let told = retold(&answer, &asked, &upstream);
        assert_eq!(field(&told, "sec-websocket-accept").unwrap(), derive_accept_key(KEY.as_bytes()));
        assert_eq!(field(&told, "sec-websocket-protocol").unwrap(), "chat");
        assert_eq!(field(&told, "sec-websocket-extensions"), None);
        assert!(told.ends_with(b"\r\n\r\n"));

        let without = retold(&answer, &asked, &request(&url, &[]));
        assert_eq!(field(&without, "sec-websocket-protocol"), None);
        // A wrong proof stays wrong.
        let wrong = String::from_utf8(answer).unwrap().replace("s3pPLM", "s3pPLN");
        assert_eq!(
            field(&retold(wrong.as_bytes(), &asked, &upstream), "sec-websocket-accept").unwrap(),
            "s3pPLNBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
