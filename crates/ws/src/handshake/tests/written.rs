//! What is written, read again by an independent parser.

use core::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::super::*;
use super::{CLIENT_KEY, REQUEST, head, our_accept, our_key, parse_response, request_with, response_with};
use crate::frame::Role;

const HOP: Hop = Hop { client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), is_tls: false };

fn upstream_request(bytes: &[u8], hop: Hop) -> String {
    let request = Request::parse(bytes, HeadLimits::default()).unwrap();
    let mut out = Vec::new();
    write_upstream_request(&request, &our_key(), |name| *name != "no", false, hop, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn upstream_request_in_full() {
    let bytes = head(&[
        "GET /a?b=c HTTP/1.1",
        "Cookie: a=b",
        "connection: keep-alive, Upgrade, X-Hop",
        "X-HOP: 1",
        "x-Forwarded-for:  198.51.100.7",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic x",
        "TE: trailers",
        "HTTP2-Settings: AAA",
        "Content-Length: 0",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Protocol: x, no, y",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Accept: x",
        "Origin: https://a",
        "sec-websocket-version: 13",
        "upgrade: WebSocket",
        "X-Empty:",
        "X-Forwarded-For: 203.0.113.5, 10.0.0.1",
        "HOST: Example.com",
    ]);
    let key = String::from_utf8(our_key().as_bytes().to_vec()).unwrap();
    let expected = [
        "GET /a?b=c HTTP/1.1",
        "Host: Example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        &format!("Sec-WebSocket-Key: {key}"),
        "Sec-WebSocket-Protocol: x, y",
        "Cookie: a=b",
        "Origin: https://a",
        "X-Empty: ",
        "X-Forwarded-For: 198.51.100.7, 203.0.113.5, 10.0.0.1, 192.0.2.1",
        "X-Forwarded-Proto: http",
        "",
        "",
    ];
    assert_eq!(upstream_request(&bytes, HOP), expected.join("\r\n"));
}

#[test]
fn forwarded_fields() {
    let mapped = Hop { client: "::ffff:192.0.2.9".parse().unwrap(), is_tls: true };
    let written = upstream_request(&head(&REQUEST), mapped);
    assert!(
        written.ends_with("\r\nX-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\n\r\n"),
        "{written}"
    );
    let v6 = Hop { client: "2001:db8::1".parse().unwrap(), is_tls: false };
    let written = upstream_request(&request_with(&["X-Forwarded-For:", "X-Forwarded-Proto: https"]), v6);
    assert!(
        written.ends_with("\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 2001:db8::1\r\n\r\n"),
        "{written}"
    );
    assert!(!written.contains("Sec-WebSocket-Protocol"), "no empty list");
}

#[test]
fn client_response_in_full() {
    let bytes = response_with(&[
        "Server: x",
        "Sec-WebSocket-Protocol: chat",
        "Set-Cookie: a=b",
        "Keep-Alive: timeout=5",
        "Sec_WebSocket_Extensions: permessage-deflate",
        "Connection: X-Hop",
        "X-Hop: 1",
        "Set-Cookie: c=d",
    ]);
    let response = parse_response(&bytes).unwrap();
    let accepted = response.verify(&our_key(), |name| name == "chat").unwrap();
    let mut out = Vec::new();
    write_client_response(&accepted, CLIENT_KEY, None, &mut out);
    let expected = head(&[
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Sec-WebSocket-Protocol: chat",
        "Server: x",
        "Set-Cookie: a=b",
        "Set-Cookie: c=d",
    ]);
    assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&expected));
}

#[test]
fn rejections() {
    let bytes = head(&[
        "HTTP/1.0 401 Who are you",
        "WWW-Authenticate: Basic",
        "Content-Type: text/html",
        "Content-Encoding: gzip",
        "Content-Length: 9",
        "Transfer-Encoding: chunked",
        "Sec-WebSocket-Version: 13",
        "Connection: keep-alive",
        "Set-Cookie: a=b",
    ]);
    let mut out = Vec::new();
    write_rejection(&parse_response(&bytes).unwrap(), &mut out);
    let expected = head(&[
        "HTTP/1.1 401 Who are you",
        "WWW-Authenticate: Basic",
        "Set-Cookie: a=b",
        "Content-Length: 0",
        "Connection: close",
    ]);
    assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&expected));
    // What does not refuse must not look as if it did, an unverified 101 least of all.
    for answer in [head(&["HTTP/1.1 200 OK"]), head(&["HTTP/1.1 304 x"]), response_with(&[])] {
        let mut out = Vec::new();
        write_rejection(&parse_response(&answer).unwrap(), &mut out);
        assert!(out.starts_with(b"HTTP/1.1 502 Bad Gateway\r\n"));
    }
}

#[test]
fn refusals_of_our_own() {
    let mut out = Vec::new();
    write_error(429, &[("Retry-After", "1"), ("X", "a\r\nY: b"), ("X\r\n", "")], "slow down", &mut out);
    let expected = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Length: 10\r\nConnection: close\r\n\r\nslow down\n";
    assert_eq!(String::from_utf8_lossy(&out), expected);
    for error in HandshakeError::ALL {
        let mut out = Vec::new();
        write_refusal(error, &mut out);
        let mut fields = [httparse::EMPTY_HEADER; 8];
        let mut response = httparse::Response::new(&mut fields);
        let end = response.parse(&out).unwrap().unwrap();
        assert_eq!(response.code, Some(error.status()));
        assert_ne!(response.reason, Some("Refused"), "{error:?} has a reason phrase of its own");
        let value = |name| response.headers.iter().find(|field| field.name == name).map(|field| field.value);
        assert_eq!(value("Content-Length"), Some((out.len() - end).to_string().as_bytes()));
        assert_eq!(value("Allow").is_some(), error.status() == 405);
        let upgrade = if error.status() == 426 { Some(&b"13"[..]) } else { None };
        assert_eq!(value("Sec-WebSocket-Version"), upgrade);
    }
    let mut out = Vec::new();
    write_error(101, &[], "", &mut out);
    assert!(out.starts_with(b"HTTP/1.1 500 "), "a refusal is never a 101");
}

/// Lines that are often right, often nearly so.
fn line() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        "[A-Za-z_.-]{1,6}",
        prop::sample::select(vec![
            "Host",
            "Origin",
            "Cookie",
            "Connection",
            "Upgrade",
            "Content-Length",
            "Transfer-Encoding",
            "TE",
            "X-Hop",
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Extensions",
            "Sec_WebSocket_Key",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "Keep-Alive",
            "Proxy-Connection",
        ])
        .prop_map(str::to_owned),
    ];
    let value = prop_oneof![
        "[ -~\t]{0,12}",
        "(a|b|X-Hop|Te|host)(, ?(c|d|x-hop|cookie)){0,2}",
        "[\\x00-\\x1f\u{7f}-\u{ff}a]{0,4}",
        Just("0".to_owned()),
    ];
    (name, prop::sample::select(vec![": ", ":", " : ", ":\t"]), value)
        .prop_map(|(name, colon, value)| format!("{name}{colon}{value}"))
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let ended = [&bytes[..], b"\r\n\r\n"].concat();
        for bytes in [&bytes[..], &ended] {
            let _ = Request::parse(bytes, HeadLimits::default());
            let _ = parse_response(bytes);
            let _ = HeadScanner::new(Role::Server, HeadLimits::default()).head_end(bytes);
        }
    }

    #[test]
    fn near_misses_do_not_panic(
        cut in 0usize..400,
        with in prop::collection::vec(any::<u8>(), 0..4),
        more in prop::collection::vec(line(), 0..3),
    ) {
        let more: Vec<_> = more.iter().map(String::as_str).collect();
        for mut bytes in [request_with(&more), response_with(&more)] {
            let at = cut % bytes.len();
            bytes.splice(at..(at + with.len()).min(bytes.len()), with.iter().copied());
            let _ = Request::parse(&bytes, HeadLimits::default());
            if let Ok(response) = parse_response(&bytes) {
                let _ = response.verify(&our_key(), |_| true);
                write_rejection(&response, &mut Vec::new());
            }
        }
    }

    #[test]
    fn an_independent_parser_reads_the_same(
        target in "/[!-~]{0,12}",
        more in prop::collection::vec(line(), 0..3),
    ) {
        let start = format!("GET {target} HTTP/1.1");
        let mut lines = REQUEST.to_vec();
        lines[0] = &start;
        lines.extend(more.iter().map(String::as_str));
        let bytes = head(&lines);
        if let Ok(request) = Request::parse(&bytes, HeadLimits::default()) {
            assert_same_reading(&bytes, &request);
            assert_canonical(&request);
        }
    }

    #[test]
    fn what_the_client_gets_is_one_head(more in prop::collection::vec(line(), 0..3)) {
        let more: Vec<_> = more.iter().map(String::as_str).collect();
        let bytes = response_with(&more);
        let Ok(response) = parse_response(&bytes) else { return Ok(()) };
        let Ok(accepted) = response.verify(&our_key(), |_| true) else { return Ok(()) };
        let mut out = Vec::new();
        write_client_response(&accepted, CLIENT_KEY, None, &mut out);
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Response::new(&mut fields);
        prop_assert_eq!(parsed.parse(&out), Ok(httparse::Status::Complete(out.len())));
        prop_assert_eq!(count(parsed.headers, "sec-websocket-accept"), 1);
        prop_assert_eq!(count(parsed.headers, "sec-websocket-extensions"), 0);
        prop_assert_eq!(count(parsed.headers, "content-length"), 0);
        prop_assert!(!String::from_utf8_lossy(&out).contains(&our_accept()));
    }
}

/// What our parser accepts, httparse reads alike: no field more, none less, none other.
fn assert_same_reading(bytes: &[u8], request: &Request<'_>) {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut fields);
    assert_eq!(parsed.parse(bytes), Ok(httparse::Status::Complete(bytes.len())));
    assert_eq!(parsed.path, Some(request.target()));
    let theirs = parsed.headers.iter().map(|field| (field.name, field.value.trim_ascii()));
    assert!(theirs.eq(request.headers().map(|field| (field.name, field.value))));
}

fn assert_canonical(request: &Request<'_>) {
    let mut out = Vec::new();
    write_upstream_request(request, &our_key(), |_| true, false, HOP, &mut out);
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut fields);
    assert_eq!(parsed.parse(&out), Ok(httparse::Status::Complete(out.len())));
    assert_eq!((parsed.method, parsed.path, parsed.version), (Some("GET"), Some(request.target()), Some(1)));
    for name in ["host", "sec-websocket-key", "upgrade", "connection", "x-forwarded-for", "x-forwarded-proto"]
    {
        assert_eq!(count(parsed.headers, name), 1, "{name}");
    }
    for name in [
        "te",
        "keep-alive",
        "proxy-connection",
        "content-length",
        "transfer-encoding",
        "sec-websocket-extensions",
    ] {
        assert_eq!(count(parsed.headers, name), 0, "{name}");
    }
    let nominated = request.headers().filter(|field| field.name.eq_ignore_ascii_case("connection"));
    let nominated = nominated.flat_map(|field| field.value.split(|byte| *byte == b','));
    for name in nominated.map(|name| String::from_utf8_lossy(name).trim().to_owned()) {
        let expected = usize::from(name.eq_ignore_ascii_case("upgrade"));
        assert_eq!(count(parsed.headers, &name), expected, "{name}");
    }
    // It is also a request that we would take ourselves.
    assert!(Request::parse(&out, HeadLimits::default()).is_ok());
}

fn count(fields: &[httparse::Header<'_>], name: &str) -> usize {
    fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count()
}
