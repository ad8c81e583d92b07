//! Any bytes in any split: the decoder and the assembler never panic, stay within their limits, and say the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wsi_ws::{Assembled, Assembler, Decoder, Opcode, Piece, ProtocolError, Role, WireLimits};

const LIMITS: WireLimits =
    WireLimits { frame_size_max: 4096, message_size_max: 6000, fragments_max: 16, inflate_ratio_max: 100 };

#[derive(Debug, PartialEq)]
enum Event {
    Message(Opcode, Vec<u8>),
    Control(Opcode, Vec<u8>),
    Fault(ProtocolError),
}

// The first byte chooses the sender and how the rest is split.
fuzz_target!(|input: &[u8]| {
    let Some((&choice, stream)) = input.split_first() else { return };
    let sender = if choice & 1 == 0 { Role::Client } else { Role::Server };
    let whole = read(stream, sender, usize::MAX);
    let pieces = read(stream, sender, usize::from(choice >> 1) + 1);
    assert_eq!(whole, pieces);
});

fn read(stream: &[u8], sender: Role, size: usize) -> Vec<Event> {
    let (mut decoder, mut assembler, mut events) = (Decoder::new(sender), Assembler::default(), Vec::new());
    for chunk in stream.chunks(size) {
        if let Err(fault) = feed(&mut decoder, &mut assembler, &mut chunk.to_vec(), &mut events) {
            events.push(Event::Fault(fault));
            break;
        }
        assert!(assembler.buffered_size() <= LIMITS.message_size_max as usize + 14);
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
        if let Some(event) = accept(assembler, &piece, input)? {
            events.push(event);
        }
        input = &mut input[piece.consumed..];
    }
    Ok(())
}

fn accept(assembler: &mut Assembler, piece: &Piece, input: &[u8]) -> Result<Option<Event>, ProtocolError> {
    let payload = input[piece.payload.clone()].to_vec();
    Ok(match assembler.accept(piece, input, &LIMITS, &mut Vec::new)? {
        Assembled::Pending => None,
        Assembled::InPlace(Opcode::Text) if std::str::from_utf8(&payload).is_err() => {
            return Err(ProtocolError::InvalidUtf8);
        }
        Assembled::InPlace(opcode) => Some(Event::Message(opcode, payload)),
        Assembled::Message(message) => {
            assert!(message.opcode != Opcode::Text || std::str::from_utf8(message.payload()).is_ok());
            Some(Event::Message(message.opcode, message.payload().to_vec()))
        }
        Assembled::ControlInPlace(opcode) => Some(Event::Control(opcode, payload)),
        Assembled::Control { opcode, payload } => Some(Event::Control(opcode, payload)),
    })
}
