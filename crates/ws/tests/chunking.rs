//! Any split of any byte stream gives the same events.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use wsi_ws::{
    Assembled, Assembler, Decoder, HEADER_SIZE_MAX, Header, Opcode, ProtocolError, Role, WireLimits, mask,
};

const LIMITS: WireLimits =
    WireLimits { frame_size_max: 66_000, message_size_max: 70_000, fragments_max: 8, inflate_ratio_max: 100 };

#[derive(Debug, PartialEq)]
enum Event {
    Message(Opcode, Vec<u8>),
    Control(Opcode, Vec<u8>),
    Fault(ProtocolError),
}

/// Reads `stream` in pieces of the given sizes, repeated, up to the first fault.
fn events(stream: &[u8], sender: Role, sizes: &[usize]) -> Vec<Event> {
    let (mut decoder, mut assembler, mut events) = (Decoder::new(sender), Assembler::default(), Vec::new());
    let mut sizes = sizes.iter().cycle();
    let mut rest = stream.to_vec();
    while !rest.is_empty() {
        let after = rest.split_off((*sizes.next().unwrap()).clamp(1, rest.len()));
        if let Err(fault) = feed(&mut decoder, &mut assembler, &mut rest, &mut events) {
            events.push(Event::Fault(fault));
            return events;
        }
        rest = after;
    }
    events
}

fn feed(
    decoder: &mut Decoder,
    assembler: &mut Assembler,
    mut input: &mut [u8],
    events: &mut Vec<Event>,
) -> Result<(), ProtocolError> {
    while let Some(piece) = decoder.decode(input)? {
        let payload = input[piece.payload.clone()].to_vec();
        match assembler.accept(&piece, input, &LIMITS, &mut Vec::new)? {
            Assembled::Pending => {}
            Assembled::InPlace(Opcode::Text) if std::str::from_utf8(&payload).is_err() => {
                return Err(ProtocolError::InvalidUtf8);
            }
            Assembled::InPlace(opcode) => events.push(Event::Message(opcode, payload)),
            Assembled::Message(message) => {
                events.push(Event::Message(message.opcode, message.payload().to_vec()))
            }
            Assembled::ControlInPlace(opcode) => events.push(Event::Control(opcode, payload)),
            Assembled::Control { opcode, payload } => events.push(Event::Control(opcode, payload)),
        }
        input = &mut input[piece.consumed..];
    }
    Ok(())
}

/// A frame as a sender of `role` would write it.
fn frame(role: Role, fin: bool, opcode: Opcode, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let key = (role == Role::Client).then_some(key);
    let mut head = [0; HEADER_SIZE_MAX];
    let size = Header { fin, opcode, mask: key, payload_size: payload.len() as u64 }.encode(&mut head);
    let mut bytes = head[..size].to_vec();
    bytes.extend_from_slice(payload);
    if let Some(key) = key {
        mask::apply(&mut bytes[size..], key, 0);
    }
    bytes
}

#[derive(Clone, Debug)]
enum Sent {
    Message { text: bool, fragments: Vec<Vec<u8>>, ping_between: bool },
    Control { opcode: Opcode, payload: Vec<u8> },
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..200),
        1 => (65_530..65_540usize).prop_map(|size| vec![b'x'; size]),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        (any::<bool>(), prop::collection::vec(payload(), 1..3), any::<bool>()).prop_map(
            |(text, fragments, ping_between)| {
                let fragments = fragments
                    .into_iter()
                    .map(|bytes| if text { vec![b't'; bytes.len().min(300)] } else { bytes })
                    .map(|mut bytes| {
                        bytes.truncate(30_000);
                        bytes
                    })
                    .collect();
                Sent::Message { text, fragments, ping_between }
            }
        ),
        (prop_oneof![Just(Opcode::Ping), Just(Opcode::Pong)], prop::collection::vec(any::<u8>(), 0..=125))
            .prop_map(|(opcode, payload)| Sent::Control { opcode, payload }),
    ]
}

fn stream(role: Role, script: &[Sent], key: [u8; 4]) -> (Vec<u8>, Vec<Event>) {
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for sent in script {
        match sent {
            Sent::Message { text, fragments, ping_between } => {
                let opcode = if *text { Opcode::Text } else { Opcode::Binary };
                for (i, fragment) in fragments.iter().enumerate() {
                    let opcode = if i == 0 { opcode } else { Opcode::Continuation };
                    bytes.extend(frame(role, i + 1 == fragments.len(), opcode, fragment, key));
                    if *ping_between && i + 1 < fragments.len() {
                        bytes.extend(frame(role, true, Opcode::Ping, b"between", key));
                        expected.push(Event::Control(Opcode::Ping, b"between".to_vec()));
                    }
                }
                expected.push(Event::Message(opcode, fragments.concat()));
            }
            Sent::Control { opcode, payload } => {
                bytes.extend(frame(role, true, *opcode, payload, key));
                expected.push(Event::Control(*opcode, payload.clone()));
            }
        }
    }
    (bytes, expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn frames_round_trip_in_any_split(
        script in prop::collection::vec(sent(), 0..6),
        from_client: bool,
        key: [u8; 4],
        sizes in prop::collection::vec(1..3000usize, 1..6),
    ) {
        let role = if from_client { Role::Client } else { Role::Server };
        let (bytes, expected) = stream(role, &script, key);
        prop_assert_eq!(events(&bytes, role, &sizes), expected);
    }

    #[test]
    fn any_bytes_in_any_split_are_judged_alike(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        from_client: bool,
        sizes in prop::collection::vec(1..40usize, 1..6),
    ) {
        let role = if from_client { Role::Client } else { Role::Server };
        prop_assert_eq!(events(&bytes, role, &sizes), events(&bytes, role, &[usize::MAX]));
    }
}

#[test]
fn one_byte_at_a_time() {
    let script = [
        Sent::Message {
            text: true,
            fragments: vec![vec![], b"he".into(), b"llo".into()],
            ping_between: true,
        },
        Sent::Control { opcode: Opcode::Pong, payload: vec![7; 125] },
        Sent::Message { text: false, fragments: vec![vec![0xff; 126]], ping_between: false },
    ];
    for role in [Role::Client, Role::Server] {
        let (bytes, expected) = stream(role, &script, [1, 2, 3, 4]);
        assert_eq!(events(&bytes, role, &[1]), expected);
    }
}

#[test]
fn order_and_limits() {
    let continuation = frame(Role::Server, true, Opcode::Continuation, b"x", [0; 4]);
    assert_eq!(fault(&continuation), ProtocolError::OrphanContinuation);

    let open = frame(Role::Server, false, Opcode::Text, b"x", [0; 4]);
    assert_eq!(fault(&[open.clone(), open.clone()].concat()), ProtocolError::NestedMessage);

    let empty = frame(Role::Server, false, Opcode::Continuation, b"", [0; 4]);
    assert_eq!(fault(&[open.clone(), empty.repeat(8)].concat()), ProtocolError::TooManyFragments);

    // The size is refused by the header alone, before a byte of payload has come.
    let big = frame(Role::Server, true, Opcode::Binary, &[0; 66_001], [0; 4]);
    assert_eq!(fault(&big[..10]), ProtocolError::FrameTooBig);
    let half = frame(Role::Server, false, Opcode::Binary, &[0; 40_000], [0; 4]);
    let rest = frame(Role::Server, true, Opcode::Continuation, &[0; 40_000], [0; 4]);
    assert_eq!(fault(&[half, rest[..4].to_vec()].concat()), ProtocolError::MessageTooBig);

    // Text is refused at the first fragment that can't become UTF-8, not at the end.
    assert_eq!(fault(&frame(Role::Server, false, Opcode::Text, b"\xff", [0; 4])), ProtocolError::InvalidUtf8);
    let cut = frame(Role::Server, true, Opcode::Continuation, b"\xe2\x82", [0; 4]);
    assert_eq!(fault(&[open, cut].concat()), ProtocolError::InvalidUtf8);
}

fn fault(stream: &[u8]) -> ProtocolError {
    match events(stream, Role::Server, &[usize::MAX]).pop() {
        Some(Event::Fault(fault)) => fault,
        other => panic!("no fault but {other:?}"),
    }
}
