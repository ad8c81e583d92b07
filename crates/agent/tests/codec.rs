//! Any bytes, in any split: never a panic, never an "allow" that was not asked for.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use serde_json::json;
use support::{Agent, ID, frame_event, frame_payload, handshake, policy, v1, v2};
use wsi_agent::{Fault, Framing, Kind, Link, Next};

fn cut(stream: &[u8], sizes: &[usize]) -> Result<Vec<(Kind, Vec<u8>)>, Fault> {
    let (mut framing, mut held, mut messages) = (Framing::default(), Vec::new(), Vec::new());
    let (mut rest, mut sizes) = (stream, sizes.iter().cycle());
    while !rest.is_empty() {
        let (part, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        rest = after;
        held.extend_from_slice(part);
        while let Next::Message(envelope) = framing.next(&held)? {
            messages.push((envelope.kind, held[envelope.body.clone()].to_vec()));
            held.drain(..envelope.size);
        }
    }
    Ok(messages)
}

proptest! {
    #[test]
    fn any_split_gives_the_same_messages(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
        sizes in prop::collection::vec(1_usize..400, 1..8),
    ) {
        let events = payloads.iter().map(|payload| frame_event(ID, true, 0, "binary", true, payload));
        let stream = events.collect::<Vec<_>>().concat();
        let whole = cut(&stream, &[usize::MAX]).unwrap();
        prop_assert_eq!(whole.len(), payloads.len());
        prop_assert_eq!(cut(&stream, &sizes).unwrap(), whole);
    }

    #[test]
    fn any_bytes_are_an_error_or_an_answer(kind in 0_u8..0x50, body in prop::collection::vec(any::<u8>(), 1..64)) {
        let mut agent = Agent::new(&policy());
        let mut link = agent.link();
        if let Ok(bytes) = agent.send(&mut link, &v2(kind, &body)) {
            prop_assert!(matches!(kind, 0x40 | 0x41), "{kind} {bytes:?}");
        }
    }

    /// A byte that is changed makes a frame that is refused, or another frame that is inspected: "<script" stays closed.
    #[test]
    fn a_changed_byte_lets_nothing_pass(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut agent = Agent::new(&policy());
        let mut link = agent.link();
        let mut body = frame_payload(ID, true, 0, "text", true, b"<script>").to_string().into_bytes();
        let payload_at = String::from_utf8_lossy(&body).find("PHNj").unwrap();
        let at = at.index(body.len());
        prop_assume!(!(payload_at..payload_at + 12).contains(&at));
        body[at] = byte;
        if let Ok(bytes) = agent.send(&mut link, &v2(0x15, &body)) {
            prop_assert!(!String::from_utf8_lossy(&bytes).contains("\"websocket_decision\":\"allow\""));
        }
    }
}

#[test]
fn faults() {
    let frame = |from: &str, to: &str| {
        let text = frame_payload(ID, true, 0, "text", true, b"hello").to_string();
        assert!(text.contains(from));
        v2(0x15, text.replace(from, to).as_bytes())
    };
    let cases = [
        (frame("aGVsbG8=", "aGVsbG8"), Fault::Base64),
        (frame("aGVsbG8=", "aGVsbG9="), Fault::Base64),
        (frame("aGVsbG8=", "aGVs bG8="), Fault::Base64),
        (frame("aGVsbG8=", "aGVsbG8=\\u000a"), Fault::Base64),
        (frame("\"fin\":true,", ""), Fault::Fields),
        (frame("\"fin\":true,", "\"fin\":true,\"fin\":true,"), Fault::Fields),
        (frame("\"fin\":true,", "\"fin\":1,"), Fault::Json),
        (frame("\"frame_index\":0", "\"frame_index\":-1"), Fault::Json),
        (frame("\"frame_index\":0", "\"frame_index\":18446744073709551616"), Fault::Json),
        (frame("\"opcode\":\"text\"", "\"opcode\":\"TEXT\""), Fault::Fields),
        (frame("\"fin\"", "\"\\u0066in\""), Fault::Json),
        (v2(0x15, b""), Fault::Json),
        (v2(0x15, b"{}"), Fault::Fields),
        (v2(0x15, b"{}{}"), Fault::Fields),
        (v2(0x15, b"[]"), Fault::Json),
        (v2(0x10, b"{}"), Fault::Fields),
        (v2(0x12, b"nonsense"), Fault::Json),
        (v2(0x16, b"{}"), Fault::UnknownType),
        (v2(0x20, b"{}"), Fault::UnknownType),
        (v2(0xff, b"{}"), Fault::UnknownType),
        (handshake(json!(null)), Fault::Handshake),
        (vec![0, 0, 0, 0, 0x15], Fault::Json),
        (vec![1, 0, 0, 1, 0x15], Fault::TooLarge),
        (vec![0xff, 0xff, 0xff, 0xff, 0x15], Fault::TooLarge),
    ];
    for (bytes, fault) in cases {
        let mut agent = Agent::new(&policy());
        let mut link = agent.link();
        assert_eq!(agent.send(&mut link, &bytes), Err(fault), "{}", String::from_utf8_lossy(&bytes));
    }
    let mut agent = Agent::new(&policy());
    let mut unshaken = Link::new(&agent.sessions);
    let event = frame_event(ID, true, 0, "text", true, b"hello");
    assert_eq!(agent.send(&mut unshaken, &event), Err(Fault::Handshake));
    let v1_cases = [
        (v1("websocket_frame", &json!({})), Fault::UnknownType),
        (v1("guardrail_inspect", &json!({})), Fault::UnknownType),
        (v1("web_socket_frame", &json!({})), Fault::Fields),
        (vec![0, 0xa0, 0, 1, b'{'], Fault::TooLarge),
    ];
    for (bytes, fault) in v1_cases {
        let mut link = Link::new(&agent.sessions);
        assert_eq!(agent.send(&mut link, &bytes), Err(fault), "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn other_spellings_of_the_same_json_are_read() {
    let mut agent = Agent::new(&policy());
    let mut link = agent.link();
    let body = format!(
        " {{ \"opcode\" : \"text\" ,\"fin\":true,\"route_id\":null,\"x\":[1,{{\"a\":\"\\\"\"}}],\n\"data\":\"aGk\\u002f\", \
         \"frame_index\":0,\"client_to_server\":true,\"correlation_id\":\"{ID}\"}} "
    );
    let bytes = agent.send(&mut link, &v2(0x15, body.as_bytes())).unwrap();
    assert_eq!(support::verdict(&bytes), json!("allow"));
}

#[test]
fn pings_are_echoed_and_cancels_are_silent() {
    let mut agent = Agent::new(&policy());
    let mut link = agent.link();
    assert_eq!(agent.send(&mut link, &v2(0x41, b"{\"t\":1}")).unwrap(), v2(0x42, b"{\"t\":1}"));
    assert_eq!(agent.send(&mut link, &v2(0x40, b"{}")).unwrap(), b"");
}
