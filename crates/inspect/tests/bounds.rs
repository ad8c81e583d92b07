//! What a session costs in one step, what it holds, and how it ends where its caller finds that to be too much.
#![allow(clippy::unwrap_used)]

mod wire;

use wsi_inspect::{Context, Role, Transmit};
use wsi_policy::Direction;
use wsi_ws::Opcode;

use wire::{Got, Wire, frame, message, policy, text};

#[test]
fn a_step_is_bounded_in_frames_and_steps_lose_none() {
    let direction = Direction::ToServer;
    let mut wire = Wire::new(&policy());
    let mut input: Vec<u8> = (0..10_000).flat_map(|_| message(direction, "")).collect();
    let (mut at, mut frames, mut sent) = (0, 0, 0);
    while at < input.len() {
        let mut context = Context { now_ns: 0, worker: &mut wire.worker, sink: &mut wire.told };
        let step = wire.session.handle_input(direction, &mut input[at..], &mut context);
        assert!((1..=1024).contains(&step.frames), "{} frames in one step", step.frames);
        let Transmit::InPlace(range) = step.transmit else { panic!("nothing was sent") };
        (at, frames, sent) = (at + step.consumed, frames + step.frames, sent + range.len());
    }
    assert_eq!((frames, sent), (10_000, input.len()));
}

#[test]
fn memory_is_counted_while_it_is_held() {
    let mut wire = Wire::new(&policy());
    assert_eq!(wire.session.memory_size(), 0);
    wire.read(Direction::ToClient, &frame(Direction::ToClient, false, Opcode::Text, b"begun"));
    assert!(wire.session.memory_size() >= 5);
    wire.read(Direction::ToClient, &frame(Direction::ToClient, true, Opcode::Continuation, b""));
    assert_eq!(wire.session.memory_size(), 0);
}

#[test]
fn only_the_endpoint_that_does_not_read_is_accused() {
    for (role, towards, other_way) in [
        (Role::Client, Direction::ToClient, Direction::ToServer),
        (Role::Server, Direction::ToServer, Direction::ToClient),
    ] {
        let mut wire = Wire::new(&policy());
        wire.read(towards, &message(towards, "waits"));
        let mut context = Context { now_ns: 7, worker: &mut wire.worker, sink: &mut wire.told };
        wire.session.handle_stalled(role, &mut context);
        wire.time_passes(7);
        assert!(wire.session.is_over());
        assert_eq!(wire.rules(), ["limits/write-timeout-ms"]);
        assert_eq!(wire.arrived(towards), [text("waits"), Got::Close(Some(1008))]);
        assert_eq!(wire.arrived(other_way), [Got::Close(Some(1001))]);
    }
}

#[test]
fn a_session_for_which_there_is_no_memory_asks_both_to_come_back() {
    let mut wire = Wire::new(&policy());
    wire.read(Direction::ToServer, &frame(Direction::ToServer, false, Opcode::Text, b"begun"));
    let mut context = Context { now_ns: 7, worker: &mut wire.worker, sink: &mut wire.told };
    wire.session.handle_memory_max(Direction::ToServer, &mut context);
    wire.time_passes(7);
    assert!(wire.session.is_over());
    assert_eq!(wire.rules(), ["limits/max-memory"]);
    for direction in Direction::BOTH {
        assert_eq!(wire.arrived(direction), [Got::Close(Some(1013))]);
    }
}
