//! Any compressed payload in any split: inflating never panics, stays within its limits, and says the same; what came out
//! survives being compressed and inflated again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wsi_ws::{
    Assembled, Assembler, Decoder, HEADER_SIZE_MAX, Header, Opcode, ProtocolError, RSV1, Role, WireLimits,
    deflate::{Compressor, Flow},
};

const LIMITS: WireLimits =
    WireLimits { frame_size_max: 8192, message_size_max: 100_000, fragments_max: 64, inflate_ratio_max: 100 };

type Got = Result<Vec<u8>, ProtocolError>;

// The first byte chooses the flow and the size of fragments, the second how the stream is split; the rest is the payload of two
// equal messages.
fuzz_target!(|input: &[u8]| {
    let [choice, split, payload @ ..] = input else { return };
    let window_bits = (choice & 2 != 0).then_some(9 + (choice >> 2) % 7);
    let flow = Flow { no_context_takeover: choice & 1 != 0, window_bits };
    let stream = frames(payload, usize::from(choice >> 2) * 8 + 1).repeat(2);
    let whole = read(&stream, flow, usize::MAX);
    assert_eq!(whole, read(&stream, flow, usize::from(*split) + 1));

    let mut compressor = Compressor::new(flow);
    let messages: Vec<_> = whole.into_iter().flatten().filter(|message| message.len() < 6000).collect();
    let mut again = Vec::new();
    let mut expected = Vec::new();
    for message in messages {
        let mut compressed = Vec::new();
        if compressor.compress(&message, &mut compressed) {
            assert!(compressed.len() < message.len());
            again.extend(frames(&compressed, usize::MAX));
            expected.push(Ok(message));
        }
    }
    assert_eq!(read(&again, flow, usize::MAX), expected);
});

/// A compressed message from a server, in at most 64 fragments.
fn frames(payload: &[u8], size: usize) -> Vec<u8> {
    let size = size.max(payload.len() / 64 + 1);
    let mut pieces: Vec<_> = payload.chunks(size).collect();
    if pieces.is_empty() {
        pieces.push(&[]);
    }
    let mut bytes = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let opcode = if index == 0 { Opcode::Binary } else { Opcode::Continuation };
        let fin = index + 1 == pieces.len();
        let mut head = [0; HEADER_SIZE_MAX];
        let size = Header { fin, opcode, mask: None, payload_size: piece.len() as u64 }.encode(&mut head);
        head[0] |= if index == 0 { RSV1 } else { 0 };
        bytes.extend_from_slice(&head[..size]);
        bytes.extend_from_slice(piece);
    }
    bytes
}

fn read(stream: &[u8], flow: Flow, size: usize) -> Vec<Got> {
    let (mut decoder, mut assembler) = (Decoder::with_deflate(Role::Server), Assembler::with_deflate(flow));
    let mut got = Vec::new();
    for chunk in stream.chunks(size) {
        if let Err(fault) = feed(&mut decoder, &mut assembler, &mut chunk.to_vec(), &mut got) {
            got.push(Err(fault));
            break;
        }
        assert!(assembler.buffered_size() <= LIMITS.message_size_max as usize + HEADER_SIZE_MAX);
    }
    got
}

fn feed(
    decoder: &mut Decoder,
    assembler: &mut Assembler,
    mut input: &mut [u8],
    got: &mut Vec<Got>,
) -> Result<(), ProtocolError> {
    while let Some(piece) = decoder.decode(input)? {
        if let Assembled::Message(message) = assembler.accept(&piece, input, &LIMITS, &mut Vec::new)? {
            got.push(Ok(message.payload().to_vec()));
        }
        input = &mut input[piece.consumed..];
    }
    Ok(())
}
