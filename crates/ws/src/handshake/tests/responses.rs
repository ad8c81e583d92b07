//! What an upstream's answer must be, rule by rule.

use super::super::HandshakeError::{self, *};
use super::super::accept_value;
use super::{CLIENT_KEY, head, our_accept, our_key, parse_response, response_with};

fn verdict(bytes: &[u8]) -> Result<Option<String>, HandshakeError> {
    let response = parse_response(bytes)?;
    let accepted = response.verify(&our_key(), |name| ["a", "b"].contains(&name))?;
    Ok(accepted.subprotocol().map(str::to_owned))
}

#[test]
fn right_ones() {
    assert_eq!(verdict(&response_with(&[])), Ok(None));
    assert_eq!(verdict(&response_with(&["Set-Cookie: a=b", "Set-Cookie: c=d"])), Ok(None));
    assert_eq!(verdict(&response_with(&["Sec-WebSocket-Protocol: b"])), Ok(Some("b".into())));
    assert_eq!(verdict(&response_with(&["Connection: keep-alive"])), Ok(None));
}

#[test]
fn one_line_too_many() {
    let accept = format!("sec-websocket-accept: {}", our_accept());
    for (line, fault) in [
        ("Sec-WebSocket-Extensions: permessage-deflate", UpstreamExtension),
        ("Sec-WebSocket-Extensions:", UpstreamExtension),
        ("Sec-WebSocket-Protocol: c", UpstreamSubprotocol),
        ("Sec-WebSocket-Protocol: A", UpstreamSubprotocol),
        ("Sec-WebSocket-Protocol: a, b", UpstreamSubprotocol),
        ("Sec-WebSocket-Protocol:", UpstreamSubprotocol),
        ("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a", UpstreamDuplicateHeader),
        ("Sec-WebSocket-Protocol: \u{e4}", UpstreamHead),
        ("Upgrade: websocket", UpstreamDuplicateHeader),
        (&accept, UpstreamDuplicateHeader),
        ("Content-Length: 0", UpstreamBody),
        ("Transfer-Encoding: chunked", UpstreamBody),
        ("Connection: Set-Cookie", UpstreamConnection),
        ("Connection: a b", UpstreamConnection),
        (" folded", UpstreamHead),
        ("Space : x", UpstreamHead),
        ("X: \u{1}", UpstreamHead),
        ("X: a\nY: b", UpstreamHead),
        ("X: a\rY: b", UpstreamHead),
        ("X: a\0", UpstreamHead),
    ] {
        assert_eq!(verdict(&response_with(&[line])), Err(fault), "{line:?}");
    }
}

#[test]
fn one_line_wrong_or_missing() {
    let client_accept = String::from_utf8(accept_value(CLIENT_KEY.as_bytes()).into()).unwrap();
    let accept = our_accept();
    let right = ["HTTP/1.1 101 OK", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: "];
    let right =
        right.map(|line| if line.ends_with(' ') { format!("{line}{accept}") } else { line.to_owned() });
    let with = |at: usize, line: &str| {
        let mut lines = right.each_ref().map(String::as_str).to_vec();
        lines[at] = line;
        lines.retain(|line| !line.is_empty());
        verdict(&head(&lines))
    };
    assert_eq!(with(0, &right[0]), Ok(None));
    for (at, line, fault) in [
        (0, "HTTP/1.0 101 OK".to_owned(), UpstreamHead),
        (0, "HTTP/1.1 0101 OK".to_owned(), UpstreamHead),
        (0, "HTTP/1.1  101 OK".to_owned(), UpstreamHead),
        (0, "HTTP/1.1 101OK".to_owned(), UpstreamHead),
        (0, "HTTP/1.1 +01 OK".to_owned(), UpstreamHead),
        (0, "HTTP/1.1 101 \u{1b}[0m".to_owned(), UpstreamHead),
        (0, "http/1.1 101 OK".to_owned(), UpstreamHead),
        (0, "HTTP/2 101".to_owned(), UpstreamHead),
        (0, "ICY 101 OK".to_owned(), UpstreamHead),
        (0, "HTTP/1.1 100 Continue".to_owned(), UpstreamInterim),
        (0, "HTTP/1.1 103 Early Hints".to_owned(), UpstreamInterim),
        (0, "HTTP/1.1 099 x".to_owned(), UpstreamStatus),
        (0, "HTTP/1.1 600 x".to_owned(), UpstreamStatus),
        (0, "HTTP/1.1 200 OK".to_owned(), UpstreamStatus),
        (1, String::new(), UpstreamUpgrade),
        (1, "Upgrade: websocket, h2c".to_owned(), UpstreamUpgrade),
        (1, "Upgrade: h2c".to_owned(), UpstreamUpgrade),
        (2, String::new(), UpstreamConnection),
        (2, "Connection: close".to_owned(), UpstreamConnection),
        (3, String::new(), UpstreamAccept),
        (3, "Sec-WebSocket-Accept:".to_owned(), UpstreamAccept),
        (3, format!("Sec-WebSocket-Accept: {client_accept}"), UpstreamAccept),
        (3, format!("Sec-WebSocket-Accept: {}", accept.to_ascii_lowercase()), UpstreamAccept),
        (3, format!("Sec-WebSocket-Accept: {accept}="), UpstreamAccept),
        (3, format!("Sec_WebSocket_Accept: {accept}"), UpstreamAccept),
    ] {
        assert_eq!(with(at, &line), Err(fault), "{line:?}");
    }
}

#[test]
fn a_subprotocol_is_a_token_whatever_the_caller_says() {
    let bytes = response_with(&["Sec-WebSocket-Protocol: a, b"]);
    let response = parse_response(&bytes).unwrap();
    assert_eq!(response.verify(&our_key(), |_| true).err(), Some(UpstreamSubprotocol));
}

#[test]
fn refusals_are_read() {
    for (line, status) in [
        ("HTTP/1.1 401 Unauthorized", 401),
        ("HTTP/1.0 403 Forbidden", 403),
        ("HTTP/1.1 302", 302),
        ("HTTP/1.1 200 OK", 200),
    ] {
        let bytes = head(&[line, "Content-Length: 12", "Transfer-Encoding: chunked"]);
        let response = parse_response(&bytes).unwrap();
        assert_eq!((response.status(), response.is_upgrade()), (status, false));
        assert_eq!(response.verify(&our_key(), |_| true).err(), Some(UpstreamStatus));
    }
}

#[test]
fn compression_as_it_was_offered() {
    let verdict = |lines: &[&str]| {
        let bytes = response_with(lines);
        let response = parse_response(&bytes).unwrap();
        response.verify_extended(&our_key(), |_| false, true).map(|accepted| accepted.compression())
    };
    assert_eq!(verdict(&[]), Ok(None));
    let right = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"9\"";
    let agreement = verdict(&[right]).unwrap().unwrap();
    assert_eq!((agreement.by_client.window_bits, agreement.by_server.window_bits), (Some(9), None));
    for lines in [
        &["Sec-WebSocket-Extensions:"][..],
        &["Sec-WebSocket-Extensions: permessage-deflate,"],
        &["Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate"],
        &["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Extensions: permessage-deflate"],
        &["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"],
        &["Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=16"],
        &["Sec-WebSocket-Extensions: permessage-deflate; unknown"],
        &["Sec-WebSocket-Extensions: x-webkit-deflate-frame"],
    ] {
        assert_eq!(verdict(lines), Err(UpstreamExtension), "{lines:?}");
    }
}
