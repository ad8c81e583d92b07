//! What a proxy is told of frames and upgrades, and what its weaknesses come to.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::Ordering;

use serde_json::json;
use support::{Agent, ID, SECOND_NS, close, frame_event, policy, request, response, status, v1, verdict};
use wsi_agent::Link;
use wsi_inspect::frames::GRACE_NS;
use wsi_policy::{Change, Directions, FailureMode, MessageTypes, Mode, Policy, Rewrite, RewriteFormat};

const OTHER: &str = "ccFHYjTuvn7";

fn opened(policy: &Policy) -> (Agent, Link) {
    let mut agent = Agent::new(policy);
    let mut link = agent.link();
    assert_eq!(status(&agent.send(&mut link, &request(ID, &[])).unwrap()), 0);
    assert_eq!(status(&agent.send(&mut link, &response(ID, &[])).unwrap()), 0);
    (agent, link)
}

fn told_once(agent: &Agent, what: &str) {
    let count = agent.told.0.iter().filter(|told| told.contains(what)).count();
    assert_eq!(count, 1, "{what} in {:?}", agent.told.0);
}

#[test]
fn the_life_of_a_connection_is_told() {
    let (mut agent, mut link) = opened(&policy());
    for (to_server, opcode, data) in [
        (true, "text", &b"hello"[..]),
        (false, "ping", b"x"),
        (true, "pong", b"x"),
        (true, "close", b"\x03\xe8"),
    ] {
        assert_eq!(agent.frame(&mut link, to_server, opcode, true, data), json!("allow"));
    }
    assert_eq!(agent.sessions.len(), 1);
    assert_eq!(agent.frame(&mut link, false, "close", true, b"\x03\xe8"), json!("allow"));
    assert_eq!(agent.sessions.len(), 0, "both have closed");
    let told = ["handshake 101", "open", "message 5 in 1", "ping", "pong", "close 1000 by client"];
    assert_eq!(agent.told.0, told);
}

#[test]
fn a_server_that_breaks_the_policy_is_closed_at_once() {
    let (mut agent, mut link) = opened(&policy());
    assert!(close(1008)(&agent.text(&mut link, false, "<script>")));
    assert_eq!(agent.text(&mut link, false, "more"), json!("drop"));
    assert_eq!(agent.text(&mut link, true, "hello"), json!("drop"));
    assert_eq!(
        agent.frame(&mut link, true, "close", true, b"\x03\xf0"),
        json!("allow"),
        "the echo of our close"
    );
    assert_eq!(agent.frame(&mut link, true, "close", true, b"\x03\xf0"), json!("drop"));
    told_once(&agent, "Close(CloseCode(1008))");
    told_once(&agent, "close 1008 by inspector");
}

#[test]
fn a_client_that_breaks_the_policy_gets_its_code_in_place_of_the_next_frame() {
    let (mut agent, mut link) = opened(&policy());
    assert_eq!(agent.text(&mut link, true, "<script>"), json!("drop"));
    assert_eq!(agent.text(&mut link, true, "hello"), json!("drop"), "nothing of it passes any more");
    assert_eq!(agent.frame(&mut link, true, "close", true, b"\x03\xe8<script"), json!("drop"));
    assert!(close(1008)(&agent.text(&mut link, false, "anything")));
    assert_eq!(agent.text(&mut link, false, "more"), json!("drop"));
    agent.now_ns += GRACE_NS;
    assert!(close(1008)(&agent.text(&mut link, true, "still here")), "the hard way");
    told_once(&agent, "Close(CloseCode(1008))");
}

#[test]
fn drop_withholds_a_message_and_the_connection_goes_on() {
    for to_server in [true, false] {
        let (mut agent, mut link) = opened(&policy());
        assert_eq!(agent.text(&mut link, to_server, "let us gamble now"), json!("drop"));
        assert_eq!(agent.text(&mut link, to_server, "hello"), json!("allow"));
        // At the first fragment: the whole message is withheld, control frames between are not.
        assert_eq!(agent.frame(&mut link, to_server, "text", false, b"gamble now"), json!("drop"));
        assert_eq!(agent.frame(&mut link, to_server, "ping", true, b""), json!("allow"));
        assert_eq!(agent.frame(&mut link, to_server, "continuation", false, b"and"), json!("drop"));
        assert_eq!(agent.frame(&mut link, to_server, "continuation", true, b"then"), json!("drop"));
        assert_eq!(agent.text(&mut link, to_server, "hello"), json!("allow"));
    }
}

#[test]
fn what_would_be_redacted_is_dropped() {
    for to_server in [true, false] {
        let (mut agent, mut link) = opened(&policy());
        assert_eq!(agent.text(&mut link, to_server, "a secret"), json!("drop"));
        assert_eq!(agent.frame(&mut link, to_server, "ping", true, b"secret"), json!("drop"));
        assert_eq!(agent.frame(&mut link, to_server, "text", false, b"secret and more"), json!("drop"));
        assert_eq!(agent.frame(&mut link, to_server, "continuation", true, b"of it"), json!("drop"));
        assert_eq!(agent.text(&mut link, to_server, "hello"), json!("allow"));
        assert!(agent.told.0.iter().filter(|told| *told == "Drop").count() == 3, "{:?}", agent.told.0);
    }
    let (mut agent, mut link) = opened(&policy());
    assert_eq!(agent.frame(&mut link, false, "text", false, b"sec"), json!("allow"));
    assert!(close(1008)(&agent.frame(&mut link, false, "continuation", true, b"ret")));
}

#[test]
fn what_would_be_rewritten_is_dropped() {
    let rewrite = Rewrite {
        name: "rewrite-1".into(),
        format: RewriteFormat::Json,
        at: "/a".into(),
        change: Change::Remove,
        directions: Directions::Both,
        messages: MessageTypes::Text,
    };
    let policy = Policy { rewrites: vec![rewrite], ..policy() };
    let (mut agent, mut link) = opened(&policy);
    assert_eq!(agent.text(&mut link, true, r#"{"a":1}"#), json!("drop"));
    assert_eq!(agent.text(&mut link, true, r#"{"b":1}"#), json!("allow"));
    assert_eq!(agent.text(&mut link, true, "no document"), json!("drop"));
    assert_eq!(agent.frame(&mut link, false, "text", false, br#"{"a":"#), json!("allow"));
    assert!(close(1008)(&agent.frame(&mut link, false, "continuation", true, b"1}")));
}

#[test]
fn drop_after_a_fragment_has_passed_is_close() {
    let (mut agent, mut link) = opened(&policy());
    assert_eq!(agent.frame(&mut link, false, "text", false, b"gam"), json!("allow"));
    assert!(close(1008)(&agent.frame(&mut link, false, "continuation", true, b"ble")));
    told_once(&agent, "Close(CloseCode(1008))");
}

/// The message never becomes complete at its receiver, wherever it is cut, and the cut that completes the signature with
/// something behind it is not allowed either.
#[test]
fn a_signature_in_fragments_is_found() {
    let text = "so: <script>alert(1)</script>";
    for first in 1..text.len() - 1 {
        for second in first..text.len() {
            let (mut agent, mut link) = opened(&policy());
            let parts = [(&text[..first], "text"), (&text[first..second], "continuation")];
            let mut sent = 0;
            let mut is_closed = false;
            for (part, opcode) in parts {
                let verdict = agent.frame(&mut link, false, opcode, false, part.as_bytes());
                is_closed = close(1008)(&verdict);
                if is_closed {
                    break;
                }
                sent += part.len();
                assert!(sent <= "so: <script".len() + 1, "{sent} bytes passed");
            }
            let last = agent.frame(&mut link, false, "continuation", true, &text.as_bytes()[second..]);
            assert!(is_closed || close(1008)(&last), "{first} {second}: {last}");
        }
    }
}

#[test]
fn large_fragmented_messages_are_scanned_in_proportion() {
    let policy =
        Policy { limits: wsi_policy::Limits { message_size_max: 1 << 20, ..Default::default() }, ..policy() };
    let (mut agent, mut link) = opened(&policy);
    assert_eq!(agent.frame(&mut link, true, "text", false, &b"x".repeat(600_000)), json!("allow"));
    assert_eq!(agent.frame(&mut link, true, "continuation", false, b"<scr"), json!("allow"));
    assert_eq!(agent.frame(&mut link, true, "continuation", true, b"ipt>"), json!("drop"));
    assert!(close(1008)(&agent.text(&mut link, false, "x")));
}

#[test]
fn protocol_and_limits() {
    let with = |limits: wsi_policy::Limits| Policy { limits, mode: Mode::Detect, ..policy() };
    let limits = wsi_policy::Limits { message_size_max: 100, fragments_max: 3, ..Default::default() };
    let cases: [(&str, bool, &[u8], u16); 11] = [
        ("reserved", true, b"", 1002),
        ("continuation", true, b"", 1002),
        ("ping", false, b"", 1002),
        ("ping", true, &[b'x'; 126], 1002),
        ("close", true, b"\x03", 1002),
        ("close", true, b"\x03\xed", 1002),
        ("close", true, b"\x03\xe8\xff", 1007),
        ("text", true, b"\xff", 1007),
        ("text", false, b"\xff", 1007),
        ("text", true, &[b'x'; 101], 1009),
        ("binary", false, &[b'x'; 101], 1009),
    ];
    for (opcode, fin, data, code) in cases {
        let (mut agent, mut link) = opened(&with(limits));
        assert!(close(code)(&agent.frame(&mut link, false, opcode, fin, data)), "{opcode} {data:?}");
    }
    let (mut agent, mut link) = opened(&with(limits));
    for opcode in ["text", "continuation", "continuation"] {
        assert_eq!(agent.frame(&mut link, false, opcode, false, b"x"), json!("allow"));
    }
    assert!(close(1008)(&agent.frame(&mut link, false, "continuation", true, b"x")));
    let (mut agent, mut link) = opened(&with(limits));
    assert_eq!(agent.frame(&mut link, false, "text", false, b"x"), json!("allow"));
    assert!(close(1002)(&agent.frame(&mut link, false, "text", true, b"x")));
    let (mut agent, mut link) = opened(&with(limits));
    assert_eq!(agent.frame(&mut link, false, "text", false, b"x"), json!("allow"));
    agent.now_ns += 31 * SECOND_NS;
    assert!(close(1008)(&agent.frame(&mut link, false, "continuation", true, b"x")));
}

#[test]
fn what_follows_a_close_is_withheld() {
    let (mut agent, mut link) = opened(&policy());
    assert_eq!(agent.frame(&mut link, true, "close", true, b""), json!("allow"));
    assert_eq!(agent.text(&mut link, true, "hello"), json!("drop"));
    assert_eq!(agent.text(&mut link, false, "hello"), json!("allow"));
}

#[test]
fn detect_mode_only_tells() {
    let (mut agent, mut link) = opened(&Policy { mode: Mode::Detect, ..policy() });
    assert_eq!(agent.text(&mut link, true, "<script>"), json!("allow"));
    assert_eq!(agent.frame(&mut link, true, "text", false, b"<scr"), json!("allow"));
    assert_eq!(agent.frame(&mut link, true, "continuation", true, b"ipt>"), json!("allow"));
    assert_eq!(agent.told.0.iter().filter(|told| told.contains("Close(CloseCode(1008))")).count(), 2);
}

#[test]
fn upgrades() {
    let mut policy = policy();
    policy.handshake.origins = Some(vec!["https://a.example".into()]);
    policy.handshake.subprotocols = Some(vec!["chat".into()]);
    let good = ("origin", "https://a.example");
    let deflate = "permessage-deflate; client_max_window_bits";
    let cases: [(&[(&str, &str)], u64); 9] = [
        (&[good], 0),
        (&[good, ("sec-websocket-protocol", "other, chat")], 0),
        (&[], 403),
        (&[("origin", "https://a.example.evil")], 403),
        (&[good, ("sec-websocket-protocol", "other")], 400),
        (&[good, ("sec-websocket-extensions", deflate)], 400),
        (
            &[
                good,
                ("sec-websocket-extensions", "x-test"),
                ("sec-websocket-extensions", "PerMessage-Deflate"),
            ],
            400,
        ),
        (&[good, ("sec-websocket-extensions", "x-permessage-deflate-frame")], 400),
        (&[good, ("x-y", "a\r\nsec-websocket-version: 13")], 400),
    ];
    for (headers, expected) in cases {
        let mut agent = Agent::new(&policy);
        let mut link = agent.link();
        assert_eq!(status(&agent.send(&mut link, &request(ID, headers)).unwrap()), expected, "{headers:?}");
        assert_eq!(agent.sessions.len(), usize::from(expected == 0), "{headers:?}");
    }
    policy.handshake.compression_uninspected = true;
    let mut agent = Agent::new(&policy);
    let mut link = agent.link();
    let offer = request(ID, &[good, ("sec-websocket-extensions", deflate)]);
    assert_eq!(status(&agent.send(&mut link, &offer).unwrap()), 0);
    told_once(&agent, "PassedUninspected");
    assert_eq!(agent.worker.stats()[0].passed_uninspected, 1);
}

#[test]
fn answers_to_upgrades() {
    let cases: [(&[(&str, &str)], u64); 5] = [
        (&[("sec-websocket-protocol", "a")], 0),
        (&[("sec-websocket-protocol", "c")], 502),
        (&[("sec-websocket-extensions", "permessage-deflate")], 502),
        (&[("sec-websocket-extensions", "")], 502),
        (&[("sec-websocket-accept", "dGhlIHNhbXBsZSBub25jZQ==")], 502),
    ];
    for (headers, expected) in cases {
        let mut agent = Agent::new(&policy());
        let mut link = agent.link();
        agent.send(&mut link, &request(ID, &[("sec-websocket-protocol", "a, b")])).unwrap();
        assert_eq!(status(&agent.send(&mut link, &response(ID, headers)).unwrap()), expected, "{headers:?}");
        assert_eq!(agent.sessions.len(), usize::from(expected == 0), "{headers:?}");
    }
    // Of a request that was not told.
    let mut agent = Agent::new(&policy());
    let mut link = agent.link();
    assert_eq!(status(&agent.send(&mut link, &response(ID, &cases[2].0[..1])).unwrap()), 502);
    assert_eq!(status(&agent.send(&mut link, &response(ID, &[])).unwrap()), 0);
}

#[test]
fn other_requests_are_allowed() {
    let mut agent = Agent::new(&policy());
    let mut link = agent.link();
    let event = String::from_utf8(request("x", &[])[5..].to_vec()).unwrap().replace("websocket\"]", "h2c\"]");
    assert_eq!(status(&agent.send(&mut link, &support::v2(0x10, event.as_bytes())).unwrap()), 0);
    assert!(agent.sessions.is_empty() && agent.told.0.is_empty());
}

#[test]
fn ids_that_a_client_chose_are_refused() {
    let (mut agent, mut link) = opened(&policy());
    let mut second = agent.link();
    assert_eq!(status(&agent.send(&mut second, &request(ID, &[])).unwrap()), 409, "it is live");
    for id in ["c1", "mine", "", &"a".repeat(64), "a\"b"] {
        assert_eq!(status(&agent.send(&mut second, &request(id, &[])).unwrap()), 400, "{id}");
    }
    assert_eq!(agent.text(&mut link, true, "hello"), json!("allow"), "the one that was there goes on");
}

#[test]
fn indices_must_follow() {
    for index in [1, 2, 9, u64::MAX] {
        let (mut agent, mut link) = opened(&policy());
        assert_eq!(
            verdict(&agent.send(&mut link, &frame_event(ID, true, 0, "text", true, b"a")).unwrap()),
            json!("allow")
        );
        let index = if index == 1 { 0 } else { index };
        let bad = frame_event(ID, true, index, "text", true, b"a");
        assert!(close(1008)(&verdict(&agent.send(&mut link, &bad).unwrap())), "{index}");
        for (to_server, index) in [(true, 1), (false, 0), (false, 1)] {
            let next = frame_event(ID, to_server, index, "text", true, b"a");
            assert!(close(1008)(&verdict(&agent.send(&mut link, &next).unwrap())), "condemned");
        }
        told_once(&agent, "Close(CloseCode(1008))");
    }
}

#[test]
fn unknown_ids() {
    let mut agent = Agent::new(&policy());
    let mut link = agent.link();
    let mut send = |agent: &mut Agent, id, index, text: &[u8]| {
        verdict(&agent.send(&mut link, &frame_event(id, true, index, "text", true, text)).unwrap())
    };
    assert!(close(1008)(&send(&mut agent, ID, 3, b"a")), "its beginning was missed");
    assert!(close(1008)(&send(&mut agent, "mine", 0, b"a")));
    assert!(agent.sessions.is_empty());
    assert_eq!(send(&mut agent, ID, 0, b"a"), json!("allow"), "request_headers are not subscribed");
    assert_eq!(send(&mut agent, ID, 1, b"<script"), json!("drop"));
}

#[test]
fn a_policy_that_fails_open_goes_on_after_a_gap() {
    let policy = Policy { failure_mode: FailureMode::Open, ..policy() };
    let mut agent = Agent::new(&policy);
    let mut link = agent.link();
    let mut send = |agent: &mut Agent, index, opcode, fin, text: &[u8]| {
        verdict(&agent.send(&mut link, &frame_event(ID, false, index, opcode, fin, text)).unwrap())
    };
    assert_eq!(
        send(&mut agent, 7, "continuation", true, b"<script"),
        json!("allow"),
        "the rest of a message"
    );
    assert_eq!(send(&mut agent, 8, "text", true, b"hello"), json!("allow"));
    assert_eq!(send(&mut agent, 12, "text", true, b"hello"), json!("allow"));
    assert_eq!(agent.worker.stats()[0].passed_uninspected, 2);
    assert!(close(1008)(&send(&mut agent, 13, "text", true, b"<script")), "inspected all the same");
    assert!(close(1008)(&send(&mut agent, 13, "text", true, b"a")), "a repeat");
}

#[test]
fn late_verdicts_are_not_given() {
    let (mut agent, mut link) = opened(&policy());
    assert_eq!(agent.text(&mut link, true, "hello"), json!("allow"));
    agent.taken_ns.store(60_000_000, Ordering::Relaxed);
    let event = frame_event(ID, true, 1, "text", true, b"hello");
    assert_eq!(agent.send(&mut link, &event).unwrap(), b"");
    agent.taken_ns.store(0, Ordering::Relaxed);
    let event = frame_event(ID, true, 2, "text", true, b"hello");
    assert!(close(1011)(&verdict(&agent.send(&mut link, &event).unwrap())));
    assert_eq!(agent.sessions.stats().late, 1);
}

#[test]
fn the_table_is_bounded() {
    let mut agent = Agent::with_options(&policy(), 2, Some(100 * SECOND_NS));
    let mut link = agent.link();
    let ids = ["ccF9ysBDDX1", "ccF9ysBDDX2", "ccF9ysBDDX3"];
    let mut send = |agent: &mut Agent, id, index| {
        agent.now_ns += 1;
        verdict(&agent.send(&mut link, &frame_event(id, true, index, "text", true, b"a")).unwrap())
    };
    send(&mut agent, ids[0], 0);
    send(&mut agent, ids[1], 0);
    send(&mut agent, ids[0], 1);
    send(&mut agent, ids[2], 0);
    assert_eq!((agent.sessions.len(), agent.sessions.stats().sessions_evicted), (2, 1));
    assert_eq!(send(&mut agent, ids[0], 2), json!("allow"), "the one that was silent longest was forgotten");
    assert!(close(1008)(&send(&mut agent, ids[1], 1)));
    agent.now_ns += 101 * SECOND_NS;
    assert!(close(1001)(&send(&mut agent, ids[0], 3)), "too old");
    agent.now_ns += 2 * 3600 * SECOND_NS;
    for _ in 0..2 {
        agent.sessions.sweep(agent.now_ns, &mut agent.worker, &mut agent.told);
        agent.now_ns += 3600 * SECOND_NS;
    }
    assert!(agent.sessions.is_empty());
    assert_eq!(agent.sessions.stats().sessions_idle, 2);
}

#[test]
fn requests_that_are_never_answered_do_not_block_their_id() {
    let mut agent = Agent::new(&policy());
    let mut link = agent.link();
    assert_eq!(status(&agent.send(&mut link, &request(ID, &[])).unwrap()), 0);
    assert_eq!(status(&agent.send(&mut link, &request(ID, &[])).unwrap()), 409);
    agent.now_ns += 6 * SECOND_NS;
    assert_eq!(status(&agent.send(&mut link, &request(ID, &[])).unwrap()), 0);
    assert_eq!(status(&agent.send(&mut link, &request(OTHER, &[])).unwrap()), 0);
}

#[test]
fn version_1_speaks_of_the_same_sessions() {
    let mut agent = Agent::new(&policy());
    let mut link = Link::new(&agent.sessions);
    let mut send = |agent: &mut Agent, index, text: &[u8]| {
        let payload = support::frame_payload("c1", false, index, "text", true, text);
        let bytes = agent.send(&mut link, &v1("web_socket_frame", &payload)).unwrap();
        serde_json::from_slice::<serde_json::Value>(&bytes[4..]).unwrap()
    };
    assert_eq!(send(&mut agent, 0, b"hi")["websocket_decision"], json!("allow"));
    assert!(close(1008)(&send(&mut agent, 1, b"<script>")["websocket_decision"]));
}
