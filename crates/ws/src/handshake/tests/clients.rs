//! Heads as real clients and servers send them.

use super::super::{HeadLimits, HeadScanner, Request};
use super::{head, our_accept, our_key, parse_response};
use crate::frame::Role;

struct Client {
    name: &'static str,
    lines: &'static [&'static str],
    compression: bool,
    subprotocols: &'static [&'static str],
}

const CLIENTS: [Client; 8] = [
    Client {
        name: "Chromium",
        lines: &[
            "GET /feed?room=1 HTTP/1.1",
            "Host: localhost:8080",
            "Connection: Upgrade",
            "Pragma: no-cache",
            "Cache-Control: no-cache",
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
            "Upgrade: websocket",
            "Origin: http://localhost:3000",
            "Sec-WebSocket-Version: 13",
            "Accept-Encoding: gzip, deflate, br, zstd",
            "Accept-Language: en-GB,en;q=0.9",
            "Cookie: session=abc; theme=dark",
            "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            "Sec-WebSocket-Protocol: chat.v2, chat.v1",
        ],
        compression: true,
        subprotocols: &["chat.v2", "chat.v1"],
    },
    Client {
        name: "Firefox",
        lines: &[
            "GET /feed HTTP/1.1",
            "Host: localhost:8080",
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
            "Accept: */*",
            "Accept-Language: en-US,en;q=0.5",
            "Accept-Encoding: gzip, deflate, br, zstd",
            "Sec-WebSocket-Version: 13",
            "Origin: null",
            "Sec-WebSocket-Extensions: permessage-deflate",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "DNT: 1",
            "Sec-GPC: 1",
            "Connection: keep-alive, Upgrade",
            "Sec-Fetch-Dest: empty",
            "Sec-Fetch-Mode: websocket",
            "Sec-Fetch-Site: same-site",
            "Pragma: no-cache",
            "Cache-Control: no-cache",
            "Upgrade: websocket",
        ],
        compression: true,
        subprotocols: &[],
    },
    Client {
        name: "Safari",
        lines: &[
            "GET /feed HTTP/1.1",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Extensions: permessage-deflate",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Accept: */*",
            "User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
            "Cache-Control: no-cache",
            "Origin: https://app.example.com",
            "Sec-Fetch-Site: same-origin",
            "Sec-Fetch-Mode: websocket",
            "Sec-Fetch-Dest: websocket",
            "Accept-Language: en-GB,en;q=0.9",
            "Accept-Encoding: gzip, deflate",
            "Host: app.example.com",
        ],
        compression: true,
        subprotocols: &[],
    },
    Client {
        name: "Python websockets",
        lines: &[
            "GET /a?b=c HTTP/1.1",
            "Host: 127.0.0.1:18099",
            "Origin: http://a.b",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: 4NJ1ECRO9JI7bRCAW1KQUA==",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            "Sec-WebSocket-Protocol: x, y",
            "User-Agent: Python/3.11 websockets/17.4",
        ],
        compression: true,
        subprotocols: &["x", "y"],
    },
    Client {
        name: "Node ws",
        lines: &[
            "GET / HTTP/1.1",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            "Sec-WebSocket-Protocol: graphql-transport-ws,graphql-ws",
            "Host: [::1]:8080",
        ],
        compression: true,
        subprotocols: &["graphql-transport-ws", "graphql-ws"],
    },
    Client {
        name: "curl",
        lines: &[
            "GET / HTTP/1.1",
            "Host: localhost:8080",
            "User-Agent: curl/8.16.0",
            "Accept: */*",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Connection: Upgrade",
        ],
        compression: false,
        subprotocols: &[],
    },
    Client {
        name: "Go gorilla",
        lines: &[
            "GET /ws HTTP/1.1",
            "Host: my_service:8080",
            "User-Agent: Go-http-client/1.1",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            "Upgrade: websocket",
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        ],
        compression: true,
        subprotocols: &[],
    },
    Client {
        name: "nginx in front, which adds what it knows",
        lines: &[
            "GET /ws HTTP/1.1",
            "Upgrade: websocket",
            "Connection: upgrade",
            "Host: example.com",
            "X-Real-IP: 203.0.113.9",
            "X-Forwarded-For: 203.0.113.9",
            "X-Forwarded-Proto: https",
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
            "sec-websocket-version: 13",
        ],
        compression: false,
        subprotocols: &[],
    },
];

#[test]
fn clients_are_accepted() {
    for client in &CLIENTS {
        let bytes = head(client.lines);
        let end = HeadScanner::new(Role::Client, HeadLimits::default()).head_end(&bytes);
        assert_eq!(end, Ok(Some(bytes.len())), "{}", client.name);
        let request = match Request::parse(&bytes, HeadLimits::default()) {
            Ok(request) => request,
            Err(fault) => panic!("{}: {fault}", client.name),
        };
        assert_eq!(request.offers_compression(), client.compression, "{}", client.name);
        assert!(request.subprotocols().eq(client.subprotocols.iter().copied()), "{}", client.name);
        assert_eq!(request.headers().count(), client.lines.len() - 1, "{}", client.name);
    }
}

#[test]
fn servers_are_accepted() {
    let accept = our_accept();
    let accept = |name: &str| format!("{name}: {accept}");
    for (name, lines) in [
        (
            "Python websockets",
            vec![
                "HTTP/1.1 101 Switching Protocols".to_owned(),
                "Date: Mon, 03 Nov 2025 10:00:00 GMT".to_owned(),
                "Upgrade: websocket".to_owned(),
                "Connection: Upgrade".to_owned(),
                accept("Sec-WebSocket-Accept"),
                "Server: Python/3.11 websockets/15.0".to_owned(),
            ],
        ),
        (
            "no reason phrase, lower-case names, keep-alive",
            vec![
                "HTTP/1.1 101".to_owned(),
                "upgrade: WebSocket".to_owned(),
                "connection: keep-alive, upgrade".to_owned(),
                accept("sec-websocket-accept"),
            ],
        ),
        (
            "Jetty, obs-text in an end-to-end header, empty reason",
            vec![
                "HTTP/1.1 101 ".to_owned(),
                "X-Motd: gr\u{fc}\u{df}e".to_owned(),
                accept("Sec-WebSocket-Accept"),
                "Connection: Upgrade".to_owned(),
                "Upgrade: WebSocket".to_owned(),
            ],
        ),
    ] {
        let bytes = head(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let response = parse_response(&bytes).unwrap();
        let accepted = response.verify(&our_key(), |_| false);
        assert_eq!(accepted.map(|accepted| accepted.subprotocol()), Ok(None), "{name}");
    }
}
