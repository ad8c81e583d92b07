//! Who sent a message that was dropped is told so, by a message of its own.
#![allow(clippy::unwrap_used)]

mod wire;

use wsi_policy::{
    Action, ContentFilter, Direction, Directions, Limits, Mode, Policy, Rate, RateLimit, Rates,
};
use wsi_ws::Opcode;

use wire::{CLOSE_1008, Got, Wire, filter, frame, message, policy, text};

const BOTH: [Direction; 2] = Direction::BOTH;
const REPLY: &str = r#"{"error":"blocked"}"#;
/// As many answers wait for one endpoint.
const REPLIES_MAX: usize = 16;

fn answering(action: Action) -> ContentFilter {
    ContentFilter { reply: Some(REPLY.into()), ..filter(action) }
}

fn dropping() -> Policy {
    Policy { content_filters: vec![answering(Action::Drop)], ..policy() }
}

fn counts(wire: &Wire) -> (u64, u64) {
    let stats = &wire.worker.stats()[0];
    (stats.replies_sent, stats.replies_omitted)
}

#[test]
fn each_dropped_message_is_answered_and_its_neighbours_are_not() {
    for direction in BOTH {
        let mut wire = Wire::new(&dropping());
        let sent = ["a", "exec(", "b", "<script", "c"].map(|payload| message(direction, payload)).concat();
        wire.read(direction, &sent);
        assert_eq!(wire.arrived(direction), [text("a"), text("b"), text("c")]);
        assert_eq!(wire.arrived(direction.reverse()), [text(REPLY), text(REPLY)]);
        assert_eq!(counts(&wire), (2, 0));
    }
}

#[test]
fn a_message_in_any_shape_is_answered_once() {
    for direction in BOTH {
        for cut in 1..6 {
            let (a, b) = "<script".split_at(cut);
            let fragments = [
                frame(direction, false, Opcode::Text, a.as_bytes()),
                frame(direction, true, Opcode::Ping, b"alive"),
                frame(direction, true, Opcode::Continuation, b.as_bytes()),
            ];
            let mut wire = Wire::new(&dropping());
            wire.read_in_pieces(direction, &fragments.concat(), &[1, 3]);
            assert_eq!(wire.arrived(direction.reverse()), [text(REPLY)]);
        }
    }
}

#[test]
fn what_is_not_dropped_is_not_answered() {
    for (policy, opcode) in [
        (Policy { mode: Mode::Detect, ..dropping() }, Opcode::Text),
        (Policy { content_filters: vec![answering(Action::Alert)], ..policy() }, Opcode::Text),
        (dropping(), Opcode::Ping),
    ] {
        let mut wire = Wire::new(&policy);
        wire.read(Direction::ToServer, &frame(Direction::ToServer, true, opcode, b"<script"));
        assert_eq!(wire.rules().len(), 1);
        assert_eq!((wire.arrived(Direction::ToClient), counts(&wire)), (vec![], (0, 0)));
    }
    let mut wire = Wire::new(&Policy { content_filters: vec![answering(CLOSE_1008)], ..policy() });
    wire.read(Direction::ToServer, &message(Direction::ToServer, "<script"));
    assert_eq!(wire.arrived(Direction::ToClient), [Got::Close(Some(1008))]);
}

#[test]
fn each_rule_has_its_own_answer() {
    let rate = RateLimit {
        name: "rate-limit-1".into(),
        rates: Rates { messages: Some(Rate { per_second: 1, burst: 2 }), ..Rates::default() },
        action: Action::Drop,
        reply: Some("slower".into()),
        ..RateLimit::default()
    };
    let mut wire = Wire::new(&Policy { rate_limits: vec![rate], ..dropping() });
    let sent = ["<script", "b", "c"].map(|payload| message(Direction::ToServer, payload)).concat();
    wire.read(Direction::ToServer, &sent);
    assert_eq!(wire.arrived(Direction::ToServer), [text("b")]);
    assert_eq!(wire.arrived(Direction::ToClient), [text(REPLY), text("slower")]);
}

#[test]
fn answers_wait_for_a_message_that_leaves_in_parts() {
    let (direction, back) = (Direction::ToServer, Direction::ToClient);
    let limits = Limits { held_size_max: 100 << 10, message_size_max: 16 << 20, ..Limits::default() };
    let filter =
        ContentFilter { directions: Directions::ToServer, message_size_max: None, ..answering(Action::Drop) };
    let mut wire = Wire::new(&Policy { limits, content_filters: vec![filter], ..policy() });
    let large = "x".repeat(1 << 20);
    let bytes = message(back, &large);
    let (first, rest) = bytes.split_at(500_000);
    wire.read_in_pieces(back, first, &[50_000]);
    assert!(!wire.received[back.index()].is_empty(), "some of it has left");
    wire.read(direction, &[message(direction, "<script"), message(direction, "fine")].concat());
    assert_eq!(counts(&wire), (0, 0), "not within a message");
    wire.read_in_pieces(back, rest, &[50_000]);
    wire.read(back, &message(back, "next"));
    assert_eq!(wire.arrived(back), [text(&large), text(REPLY), text("next")]);
    assert_eq!(wire.arrived(direction), [text("fine")]);
}

#[test]
fn a_flood_of_dropped_messages_is_no_flood_of_answers() {
    for direction in BOTH {
        let mut wire = Wire::new(&dropping());
        wire.takes_replies = false;
        for _ in 0..1000 {
            wire.read(direction, &message(direction, "<script"));
        }
        wire.takes_replies = true;
        wire.take_replies();
        assert_eq!(wire.arrived(direction.reverse()), vec![text(REPLY); REPLIES_MAX]);
        assert_eq!(counts(&wire), (16, 984));
        wire.read(direction, &message(direction, "<script"));
        assert_eq!(counts(&wire), (17, 984), "it goes on when they are taken");
    }
}

#[test]
fn no_answer_follows_a_close() {
    let (direction, back) = (Direction::ToServer, Direction::ToClient);
    let mut wire = Wire::new(&dropping());
    wire.takes_replies = false;
    wire.read(direction, &message(direction, "<script"));
    wire.read(back, &frame(back, true, Opcode::Close, b"\x03\xe8"));
    wire.takes_replies = true;
    wire.read(direction, &message(direction, "<script"));
    assert_eq!(wire.arrived(back), [Got::Close(Some(1000))]);
    assert_eq!(counts(&wire), (0, 2));
}
