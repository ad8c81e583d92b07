//! Messages that are too large to be held leave in parts, and nothing of what is blocked leaves with them.
#![allow(clippy::unwrap_used)]

mod wire;

use wsi_policy::{Action, ContentFilter, Direction, FailureMode, Limits, Mode, Policy};
use wsi_ws::{Decoder, Opcode, Role};

use wire::{CLOSE_1008, Got, Wire, filter, frame, message, policy, text};

fn blocking(action: Action) -> Policy {
    let filter = ContentFilter { message_size_max: None, ..filter(action) };
    Policy { content_filters: vec![filter], ..policy() }
}

/// Messages above 100 KiB come in parts, of which at least 64 KiB leave at once.
fn holding_little(policy: Policy) -> Policy {
    let limits = Limits { held_size_max: 100 << 10, message_size_max: 16 << 20, ..policy.limits };
    Policy { limits, ..policy }
}

#[test]
fn a_large_message_leaves_in_parts_and_little_of_it_is_held() {
    let direction = Direction::ToServer;
    for policy in [policy(), blocking(CLOSE_1008)] {
        let mut wire = Wire::new(&holding_little(policy));
        let payload: String = (0..3_000_000).map(|i| char::from(b'a' + (i % 23) as u8)).collect();
        for (at, bytes) in frame(direction, true, Opcode::Text, payload.as_bytes()).chunks(50_000).enumerate()
        {
            wire.read(direction, bytes);
            assert!(wire.session.buffered_size() < 300 << 10, "{} held", wire.session.buffered_size());
            assert!(at < 8 || !wire.received[0].is_empty(), "nothing has left");
        }
        let ping = frame(direction, true, Opcode::Ping, b"?");
        wire.read(direction, &ping);
        wire.read(direction, &message(direction, "next"));
        assert_eq!(wire.rules(), [""; 0]);
        assert_eq!(
            wire.arrived(direction),
            [text(&payload), Got::Control(Opcode::Ping, b"?".into()), text("next")]
        );
    }
}

#[test]
fn no_byte_of_a_match_leaves_in_parts() {
    let direction = Direction::ToServer;
    for cut in [0, 1, 65_530, 65_536, 99_999] {
        let mut wire = Wire::new(&holding_little(blocking(CLOSE_1008)));
        let payload = format!("{}{}", "x".repeat(300_000 + cut), "<\\u0073cript");
        let bytes =
            frame(direction, true, Opcode::Text, format!("{payload}{}", "y".repeat(300_000)).as_bytes());
        wire.read_in_pieces(direction, &bytes, &[65_536]);
        assert_eq!(wire.rules(), ["content-filter-1/block-patterns-2"]);
        assert!(wire.left(direction) > 190_000, "it left in parts");
        assert!(wire.left(direction) <= 300_000 + cut, "{cut}: a byte of the match has left");
    }
}

#[test]
fn disguises_are_seen_through_in_parts() {
    let direction = Direction::ToServer;
    for token in ["e%78ec(", "exec&lpar;", "ｅxec(", "e\u{200b}xec(", r"%5cu0065xec(", "&#101;%25%37%38ec("]
    {
        for cut in [0, 3] {
            let mut wire = Wire::new(&holding_little(blocking(CLOSE_1008)));
            let start = "x ".repeat(150_000);
            let payload = format!("{}{token}{}", &start[cut..], "y".repeat(300_000));
            let bytes = frame(direction, true, Opcode::Text, payload.as_bytes());
            wire.read_in_pieces(direction, &bytes, &[65_536]);
            assert_eq!(wire.rules(), ["content-filter-1/block-patterns-1"], "{token}");
            assert!(wire.left(direction) > 190_000, "it left in parts");
            assert!(wire.left(direction) <= start.len() - cut, "{token}: a byte of the match has left");
        }
    }
}

#[test]
fn what_hides_too_deep_in_parts_is_told_once() {
    let direction = Direction::ToServer;
    let payload = format!("{}%2525252565{}exec(", "x".repeat(300_000), "%2525252565".repeat(20_000));
    let bytes = frame(direction, true, Opcode::Text, payload.as_bytes());
    let mut wire = Wire::new(&holding_little(blocking(CLOSE_1008)));
    wire.read_in_pieces(direction, &bytes, &[65_536]);
    assert_eq!(wire.rules(), ["could-not-inspect/over-depth"]);
    assert_eq!(wire.arrived(direction.reverse()), [Got::Close(Some(1011))]);

    let open = Policy { failure_mode: FailureMode::Open, ..blocking(CLOSE_1008) };
    let mut wire = Wire::new(&holding_little(open));
    wire.read_in_pieces(direction, &bytes, &[65_536]);
    assert_eq!(wire.rules(), ["could-not-inspect/over-depth", "content-filter-1/block-patterns-1"]);
}

#[test]
fn what_may_be_dropped_is_held_whole() {
    let direction = Direction::ToServer;
    let mut wire = Wire::new(&holding_little(blocking(Action::Drop)));
    let bytes = frame(direction, true, Opcode::Text, format!("{}exec(", "x".repeat(300_000)).as_bytes());
    wire.read_in_pieces(direction, &bytes, &[65_536]);
    wire.read(direction, &message(direction, "next"));
    assert_eq!(wire.arrived(direction), [text("next")]);
}

#[test]
fn detect_mode_tells_once_and_lets_all_of_it_pass() {
    let direction = Direction::ToClient;
    let mut wire = Wire::new(&holding_little(Policy { mode: Mode::Detect, ..blocking(Action::Drop) }));
    let payload = format!("{}exec({}exec(", "x".repeat(300_000), "y".repeat(300_000));
    wire.read_in_pieces(direction, &frame(direction, true, Opcode::Binary, payload.as_bytes()), &[30_000]);
    assert_eq!(wire.rules(), ["content-filter-1/block-patterns-1"]);
    assert_eq!(wire.arrived(direction), [Got::Message(Opcode::Binary, payload.into_bytes())]);
}

impl Wire {
    /// Bytes of payload that have left in data frames.
    fn left(&self, direction: Direction) -> usize {
        let mut decoder = Decoder::new(Role::Client);
        let mut bytes = self.received[direction.index()].clone();
        let (mut input, mut size) = (&mut bytes[..], 0);
        while let Some(piece) = decoder.decode(input).unwrap() {
            size += if piece.header.opcode.is_control() { 0 } else { piece.payload.len() };
            input = &mut input[piece.consumed..];
        }
        size
    }
}
