//! What a request must be, rule by rule.

use super::super::HandshakeError::*;
use super::super::limits::{HEADERS_MAX, LIST_SIZE_MAX, TARGET_SIZE_MAX};
use super::super::{HeadLimits, Request};
use super::{CLIENT_KEY, REQUEST, fault_of_request, head, request_instead, request_with};

#[test]
fn a_minimal_request() {
    let bytes = head(&REQUEST);
    let request = Request::parse(&bytes, HeadLimits::default()).unwrap();
    assert_eq!(request.target(), "/chat?token=secret");
    assert_eq!(request.path(), "/chat");
    assert_eq!(request.host(), "example.com:8080");
    assert_eq!(request.origin(), None);
    assert_eq!(request.key(), CLIENT_KEY);
    assert_eq!(request.subprotocols().count() + request.extensions().count(), 0);
    assert!(!request.offers_compression());
}

#[test]
fn what_is_printed_has_no_secret() {
    let bytes = request_with(&["Cookie: secret", "Authorization: secret"]);
    let printed = format!("{:?}", Request::parse(&bytes, HeadLimits::default()).unwrap());
    assert!(printed.contains("/chat") && printed.contains("Cookie"), "{printed}");
    assert!(!printed.contains("secret") && !printed.contains(CLIENT_KEY), "{printed}");
}

#[test]
fn start_lines() {
    for (line, fault) in [
        ("GET / HTTP/1.0", HttpVersion),
        ("GET / HTTP/2.0", HttpVersion),
        ("GET / HTTP/1.1.1", HttpVersion),
        ("GET / http/1.1", HttpVersion),
        ("GET / HTTP/1.10", HttpVersion),
        ("GET /\tHTTP/1.1", StartLine),
        ("GET /", StartLine),
        ("GET  / HTTP/1.1", StartLine),
        ("GET / HTTP/1.1 ", StartLine),
        (" GET / HTTP/1.1", StartLine),
        ("GET / x HTTP/1.1", StartLine),
        ("G\u{e9}T / HTTP/1.1", StartLine),
        ("get / HTTP/1.1", MethodNotGet),
        ("POST / HTTP/1.1", MethodNotGet),
        ("CONNECT a:80 HTTP/1.1", MethodNotGet),
        ("PRI * HTTP/2.0", MethodNotGet),
        ("GET http://example.com/ HTTP/1.1", TargetInvalid),
        ("GET * HTTP/1.1", TargetInvalid),
        ("GET example.com:80 HTTP/1.1", TargetInvalid),
        ("GET /a#b HTTP/1.1", TargetInvalid),
        ("GET /a\tb HTTP/1.1", TargetInvalid),
        ("GET /\u{e4} HTTP/1.1", TargetInvalid),
        ("GET /public/../admin HTTP/1.1", TargetInvalid),
    ] {
        assert_eq!(fault_of_request(&request_instead("GET", Some(line))), Some(fault), "{line:?}");
    }
    let long = format!("GET /{} HTTP/1.1", "a".repeat(TARGET_SIZE_MAX));
    assert_eq!(fault_of_request(&request_instead("GET", Some(&long))), Some(TargetTooLong));
}

#[test]
fn lines_and_names() {
    for (name, line, fault) in [
        ("obs-fold with SP", " folded", HeaderFolded),
        ("obs-fold with HTAB", "\tfolded: x", HeaderFolded),
        ("space before the colon", "Host : a", HeaderName),
        ("tab before the colon", "Transfer-Encoding\t: chunked", HeaderName),
        ("no colon", "X", HeaderName),
        ("no name", ": x", HeaderName),
        ("name with a space", "X Y: z", HeaderName),
        ("name with a quote", "X\"Y: z", HeaderName),
        ("name beyond ASCII", "X\u{e4}: z", HeaderName),
        ("vertical tab in a name", "\u{b}X: z", HeaderName),
        ("escape in a value", "X: \u{1b}[0m", HeaderValue),
        ("vertical tab in a value", "X: \u{b}chunked", HeaderValue),
        ("delete in a value", "X: \u{7f}", HeaderValue),
        ("NUL", "X: a\0b", ControlByte),
        ("bare LF", "X: a\nY: b", LineEnd),
        ("bare CR", "X: a\rY: b", LineEnd),
        ("CR before CRLF", "X: a\r", LineEnd),
        ("alias of the key", "Sec_WebSocket_Key: x", AliasedHeader),
        ("alias of the length", "Content_Length: 0", AliasedHeader),
        ("alias of the coding", "Transfer_Encoding: chunked", AliasedHeader),
        ("half an alias", "X-Forwarded_For: 1.2.3.4", AliasedHeader),
        ("alias with a dot", "X.Forwarded.For: 1.2.3.4", AliasedHeader),
    ] {
        assert_eq!(fault_of_request(&request_with(&[line])), Some(fault), "{name}");
    }
    let first = head(&[REQUEST[0], " Host: a", REQUEST[1], REQUEST[2], REQUEST[3], REQUEST[4], REQUEST[5]]);
    assert_eq!(fault_of_request(&first), Some(HeaderFolded), "white space before the first header");
    let before = [b"\r\n", &head(&REQUEST)[..]].concat();
    assert_eq!(fault_of_request(&before), Some(StartLine), "empty line before the request line");
    let after = [&head(&REQUEST)[..], b"x"].concat();
    assert_eq!(fault_of_request(&after), Some(Incomplete), "bytes behind the head");
    assert_eq!(fault_of_request(b"GET / HTTP/1.1\r\n"), Some(Incomplete), "half a head");
    assert_eq!(fault_of_request(b""), Some(Incomplete), "nothing");
}

#[test]
fn lines_that_pass() {
    for line in
        ["X:", "X: ", "X:a", "X: \t a \t", "X: gr\u{fc}\u{df}e", "X_Custom: 1", "X-Forwarded-For: a, b"]
    {
        assert_eq!(fault_of_request(&request_with(&[line])), None, "{line:?}");
    }
}

#[test]
fn what_may_stand_only_once() {
    for line in REQUEST[1..].iter().filter(|line| !line.starts_with("Connection")) {
        assert_eq!(fault_of_request(&request_with(&[line])), Some(DuplicateHeader), "{line}");
        let shouted = line.to_ascii_uppercase();
        assert_eq!(fault_of_request(&request_with(&[&shouted])), Some(DuplicateHeader), "{shouted}");
    }
    for line in [
        "Origin: https://a",
        "Content-Length: 0",
        "Authorization: x",
        "Cookie: a=b",
        "X-Forwarded-Proto: https",
    ] {
        assert_eq!(fault_of_request(&request_with(&[line])), None, "{line}");
        assert_eq!(fault_of_request(&request_with(&[line, line])), Some(DuplicateHeader), "{line}");
    }
}

#[test]
fn what_must_stand_and_how() {
    for (prefix, line, fault) in [
        ("Host", None, HostMissing),
        ("Host", Some("Host:"), HostInvalid),
        ("Host", Some("Host: user@example.com"), HostInvalid),
        ("Host", Some("Host: a, b"), HostInvalid),
        ("Host", Some("Host: a b"), HostInvalid),
        ("Host", Some("Host: a/b"), HostInvalid),
        ("Host", Some("Host: ex\u{e4}mple.com"), HeaderValue),
        ("Upgrade", None, NotAnUpgrade),
        ("Upgrade", Some("Upgrade:"), NotAnUpgrade),
        ("Upgrade", Some("Upgrade: h2c"), NotAnUpgrade),
        ("Upgrade", Some("Upgrade: websocket, h2c"), NotAnUpgrade),
        ("Upgrade", Some("Upgrade: websocket/13"), NotAnUpgrade),
        ("Upgrade", Some("Upgrade: websocket\u{a0}"), HeaderValue),
        ("Connection", None, ConnectionWithoutUpgrade),
        ("Connection", Some("Connection: keep-alive"), ConnectionWithoutUpgrade),
        ("Connection", Some("Connection: upgraded"), ConnectionWithoutUpgrade),
        ("Connection", Some("Connection:"), ConnectionSyntax),
        ("Connection", Some("Connection: Upgrade,"), ConnectionSyntax),
        ("Connection", Some("Connection: keep-alive Upgrade"), ConnectionSyntax),
        ("Connection", Some("Connection: \"Upgrade\""), ConnectionSyntax),
        ("Connection", Some("Connection: Upgrade, Host"), ConnectionNomination),
        ("Connection", Some("Connection: Upgrade, cookie"), ConnectionNomination),
        ("Connection", Some("Connection: Upgrade, Origin"), ConnectionNomination),
        ("Connection", Some("Connection: Upgrade, Authorization"), ConnectionNomination),
        ("Connection", Some("Connection: Upgrade, X-Forwarded-For"), ConnectionNomination),
        ("Connection", Some("Connection: Upgrade, X_Forwarded_For"), ConnectionNomination),
        ("Connection", Some("Connection: Upgrade, Sec-WebSocket-Key"), ConnectionNomination),
        ("Connection", Some("Connection: Upgrade, Content-Length"), ConnectionNomination),
        ("Sec-WebSocket-Key", None, KeyMissing),
        ("Sec-WebSocket-Key", Some("Sec-WebSocket-Key:"), KeyInvalid),
        ("Sec-WebSocket-Key", Some("Sec-WebSocket-Key: dGhlIHNhbXBsZQ=="), KeyInvalid),
        ("Sec-WebSocket-Key", Some("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="), KeyInvalid),
        ("Sec-WebSocket-Version", None, VersionUnsupported),
        ("Sec-WebSocket-Version", Some("Sec-WebSocket-Version: 8"), VersionUnsupported),
        ("Sec-WebSocket-Version", Some("Sec-WebSocket-Version: 013"), VersionUnsupported),
        ("Sec-WebSocket-Version", Some("Sec-WebSocket-Version: 13, 8"), VersionUnsupported),
    ] {
        assert_eq!(fault_of_request(&request_instead(prefix, line)), Some(fault), "{prefix}: {line:?}");
    }
    for (prefix, line) in [
        ("Upgrade", "Upgrade: WebSocket"),
        ("Upgrade", "UPGRADE:websocket"),
        ("Connection", "Connection: keep-alive, Upgrade"),
        ("Connection", "connection: upgrade , X-Hop"),
        ("Connection", "Connection: Upgrade\r\nConnection: keep-alive"),
    ] {
        assert_eq!(fault_of_request(&request_instead(prefix, Some(line))), None, "{line:?}");
    }
}

#[test]
fn what_may_not_stand() {
    for (line, fault) in [
        ("Content-Length: 1", BodyNotAllowed),
        ("Content-Length: 00", BodyNotAllowed),
        ("Content-Length: +0", BodyNotAllowed),
        ("Content-Length: 0, 0", BodyNotAllowed),
        ("Content-Length:", BodyNotAllowed),
        ("Transfer-Encoding: chunked", BodyNotAllowed),
        ("Transfer-Encoding: identity", BodyNotAllowed),
        ("Transfer-Encoding:", BodyNotAllowed),
        ("Expect: 100-continue", BodyNotAllowed),
        ("Trailer: X", BodyNotAllowed),
        ("Origin:", OriginInvalid),
        ("Origin: https://a, https://b", OriginInvalid),
        ("Origin: https://good@evil", OriginInvalid),
        ("Origin: https://a/", OriginInvalid),
        ("Origin: https://\u{e4}", HeaderValue),
        ("Sec-WebSocket-Protocol:", SubprotocolSyntax),
        ("Sec-WebSocket-Protocol: a,", SubprotocolSyntax),
        ("Sec-WebSocket-Protocol: a b", SubprotocolSyntax),
        ("Sec-WebSocket-Protocol: a, b, a", SubprotocolSyntax),
        ("Sec-WebSocket-Protocol: a\u{e4}", SubprotocolSyntax),
        ("Sec-WebSocket-Extensions:", ExtensionSyntax),
        ("Sec-WebSocket-Extensions: a;", ExtensionSyntax),
        ("Sec-WebSocket-Extensions: a; b=\"c d\"", ExtensionSyntax),
    ] {
        assert_eq!(fault_of_request(&request_with(&[line])), Some(fault), "{line:?}");
    }
    let twice = request_with(&["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: a"]);
    assert_eq!(fault_of_request(&twice), Some(SubprotocolSyntax));
}

#[test]
fn lists_over_several_headers() {
    let bytes = request_with(&[
        "Sec-WebSocket-Protocol: a, b",
        "Sec-WebSocket-Extensions: x-a; p=\"1\", permessage-deflate; client_max_window_bits=15",
        "sec-websocket-protocol: A",
        "Sec-WebSocket-Extensions: x-b",
    ]);
    let request = Request::parse(&bytes, HeadLimits::default()).unwrap();
    assert!(request.subprotocols().eq(["a", "b", "A"]));
    assert!(request.extensions().eq(["x-a", "permessage-deflate", "x-b"]));
    assert!(request.offers_compression());
}

#[test]
fn bounds() {
    let names: Vec<_> = (0..=LIST_SIZE_MAX).map(|index| format!("p{index}")).collect();
    let protocols = |count: usize| format!("Sec-WebSocket-Protocol: {}", names[..count].join(","));
    assert_eq!(fault_of_request(&request_with(&[&protocols(LIST_SIZE_MAX)])), None);
    assert_eq!(fault_of_request(&request_with(&[&protocols(LIST_SIZE_MAX + 1)])), Some(SubprotocolSyntax));

    let more = HEADERS_MAX - (REQUEST.len() - 1);
    assert_eq!(fault_of_request(&request_with(&vec!["X: y"; more])), None);
    assert_eq!(fault_of_request(&request_with(&vec!["X: y"; more + 1])), Some(TooManyHeaders));

    let bytes = head(&REQUEST);
    let limits = |size_max| HeadLimits { size_max, headers_max: HEADERS_MAX };
    assert!(Request::parse(&bytes, limits(bytes.len())).is_ok());
    assert_eq!(Request::parse(&bytes, limits(bytes.len() - 1)).err(), Some(HeadTooLarge));
}

#[test]
fn the_fault_that_helps_most_comes_first() {
    let plain = head(&["GET / HTTP/1.1", "Host: a", "Accept: */*"]);
    assert_eq!(fault_of_request(&plain), Some(NotAnUpgrade));
    let post = head(&["POST / HTTP/1.1", "Host: a", "Content-Length: 5"]);
    assert_eq!(fault_of_request(&post), Some(MethodNotGet));
    let old = head(&[
        "GET / HTTP/1.1",
        "Host: a",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 8",
    ]);
    assert_eq!(fault_of_request(&old), Some(VersionUnsupported));
}
