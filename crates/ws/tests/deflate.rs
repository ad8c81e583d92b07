//! Compressed messages, read and written beside zlib.
#![allow(clippy::unwrap_used)]

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use proptest::prelude::*;
use wsi_ws::{
    Assembled, Assembler, Decoder, HEADER_SIZE_MAX, Header, Opcode, ProtocolError, RSV1, Role, WireLimits,
    deflate::{Compressor, Flow},
};

const LIMITS: WireLimits = WireLimits {
    frame_size_max: 1 << 20,
    message_size_max: 1 << 20,
    fragments_max: 200_000,
    inflate_ratio_max: 100,
};
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];

/// What a server sends that compresses with zlib.
struct Sender {
    zlib: Compress,
    flow: Flow,
}

impl Sender {
    fn new(flow: Flow) -> Self {
        let bits = flow.window_bits.unwrap_or(15);
        Self { zlib: Compress::new_with_window_bits(Compression::default(), false, bits), flow }
    }

    fn compress(&mut self, payload: &[u8]) -> Vec<u8> {
        if payload.is_empty() {
            // zlib has nothing to flush (RFC 7692 section 7.2.3.6).
            return vec![0];
        }
        let before = self.zlib.total_in();
        let mut out = Vec::with_capacity(payload.len() + 1024);
        self.zlib.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
        assert_eq!(self.zlib.total_in() - before, payload.len() as u64);
        assert!(out.ends_with(TAIL));
        out.truncate(out.len() - TAIL.len());
        if self.flow.no_context_takeover {
            self.zlib.reset();
        }
        out
    }
}

/// Inflates with zlib and its own idea of the window.
struct Receiver {
    zlib: Decompress,
    flow: Flow,
}

impl Receiver {
    fn new(flow: Flow) -> Self {
        let bits = flow.window_bits.unwrap_or(15);
        Self { zlib: Decompress::new_with_window_bits(false, bits), flow }
    }

    fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        let input = [payload, TAIL].concat();
        let mut out = Vec::with_capacity(1 << 20);
        let before = self.zlib.total_in();
        self.zlib.decompress_vec(&input, &mut out, FlushDecompress::Sync).unwrap();
        assert_eq!(self.zlib.total_in() - before, input.len() as u64);
        if self.flow.no_context_takeover {
            self.zlib.reset(false);
        }
        out
    }
}

/// Frames of a compressed message, cut at `cuts`, with a ping after each fragment but the last.
fn frames(opcode: Opcode, payload: &[u8], cuts: &[usize]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), payload);
    for (index, cut) in cuts.iter().map(Some).chain([None]).enumerate() {
        let (piece, after) = rest.split_at(cut.map_or(rest.len(), |cut| cut % (rest.len() + 1)));
        rest = after;
        let opcode = if index == 0 { opcode } else { Opcode::Continuation };
        let at = bytes.len();
        bytes.extend(frame(cut.is_none(), opcode, piece));
        if index == 0 {
            bytes[at] |= RSV1;
        }
        if cut.is_some() {
            bytes.extend(frame(true, Opcode::Ping, b"between"));
        }
    }
    bytes
}

fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut head = [0; HEADER_SIZE_MAX];
    let size = Header { fin, opcode, mask: None, payload_size: payload.len() as u64 }.encode(&mut head);
    [&head[..size], payload].concat()
}

type Got = Result<Vec<u8>, ProtocolError>;

/// Reads a server's stream in pieces of `size` bytes up to the first fault; pings are left out.
fn read(stream: &[u8], flow: Flow, limits: &WireLimits, size: usize) -> Vec<Got> {
    let (mut decoder, mut assembler) = (Decoder::with_deflate(Role::Server), Assembler::with_deflate(flow));
    let mut got = Vec::new();
    for chunk in stream.chunks(size) {
        let mut bytes = chunk.to_vec();
        if let Err(fault) = feed(&mut decoder, &mut assembler, &mut bytes, limits, &mut got) {
            got.push(Err(fault));
            break;
        }
        assert!(assembler.buffered_size() as u64 <= limits.message_size_max + 15);
    }
    got
}

fn feed(
    decoder: &mut Decoder,
    assembler: &mut Assembler,
    mut input: &mut [u8],
    limits: &WireLimits,
    got: &mut Vec<Got>,
) -> Result<(), ProtocolError> {
    while let Some(piece) = decoder.decode(input)? {
        match assembler.accept(&piece, input, limits, &mut Vec::new)? {
            Assembled::InPlace(_) => got.push(Ok(input[piece.payload.clone()].to_vec())),
            Assembled::Message(message) => got.push(Ok(message.payload().to_vec())),
            _ => {}
        }
        input = &mut input[piece.consumed..];
    }
    Ok(())
}

/// The last that comes of one message, the same for any split.
fn outcome(stream: &[u8], limits: &WireLimits) -> Got {
    let whole = read(stream, Flow::default(), limits, usize::MAX);
    for size in [1, 7, 4096] {
        assert_eq!(read(stream, Flow::default(), limits, size), whole, "in pieces of {size}");
    }
    whole.last().unwrap().clone()
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let words = ["{\"user\":", "\"ann\"", ",", "\"text\":\"hello hello\"}", "\u{20ac}", "0123456789"];
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(words.to_vec()), 0..200)
            .prop_map(|words| words.concat().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..3000),
    ]
}

fn flow() -> impl Strategy<Value = Flow> {
    (any::<bool>(), prop::option::of(9..=15u8))
        .prop_map(|(no_context_takeover, window_bits)| Flow { no_context_takeover, window_bits })
}

proptest! {
    #[test]
    fn what_zlib_compresses_is_read(
        messages in prop::collection::vec((payload(), prop::collection::vec(0..500usize, 0..4)), 1..12),
        flow in flow(),
        size in 1..2000usize,
    ) {
        let mut sender = Sender::new(flow);
        let stream: Vec<_> = messages
            .iter()
            .flat_map(|(payload, cuts)| frames(Opcode::Binary, &sender.compress(payload), cuts))
            .collect();
        let expected: Vec<Got> = messages.into_iter().map(|(payload, _)| Ok(payload)).collect();
        prop_assert_eq!(read(&stream, flow, &LIMITS, size), expected);
    }

    #[test]
    fn zlib_reads_what_is_compressed(messages in prop::collection::vec(payload(), 1..12), flow in flow()) {
        let (mut compressor, mut receiver) = (Compressor::new(flow), Receiver::new(flow));
        for payload in messages {
            let mut out = b"before".to_vec();
            if compressor.compress(&payload, &mut out) {
                prop_assert!(out.len() - 6 < payload.len());
                prop_assert_eq!(receiver.inflate(&out[6..]), payload);
            } else {
                prop_assert_eq!(out, b"before");
            }
        }
    }

    #[test]
    fn any_bytes_give_the_same_in_any_split(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1..20usize) {
        let stream = frames(Opcode::Text, &bytes, &[]);
        let whole = read(&stream, Flow::default(), &LIMITS, usize::MAX);
        prop_assert_eq!(read(&stream, Flow::default(), &LIMITS, size), whole);
    }
}

#[test]
fn a_compressor_that_can_not_does_not_spoil_the_next_message() {
    let flow = Flow::default();
    let (mut compressor, mut receiver) = (Compressor::new(flow), Receiver::new(flow));
    let text = b"a text that repeats itself, a text that repeats itself".repeat(5);
    // Nothing in it repeats: every step differs.
    let noise: Vec<u8> = (0..5000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761)).to_be_bytes()).collect();
    let noise: Vec<u8> = noise.chunks(4).map(|word| word[0] ^ word[2].rotate_left(3)).collect();
    for payload in [&text, &noise, &[noise.clone(), text.clone()].concat(), &text] {
        let mut out = Vec::new();
        if compressor.compress(payload, &mut out) {
            assert_eq!(receiver.inflate(&out), *payload);
        }
    }
    let mut out = Vec::new();
    assert!(compressor.compress(&text, &mut out) && out.len() < 40, "it refers back: {} bytes", out.len());
}

/// What is left of a message in the compressor would add up: after a few dozen it panicked, or compressed for ever.
#[test]
fn any_number_of_messages_that_do_not_compress() {
    let mut state = 1_u64;
    let mut noise = |size: usize| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 56) as u8
        };
        (0..size).map(|_| next()).collect()
    };
    for (flow, size) in [(None, 1_000), (None, 4_096), (None, 8_192), (Some(9), 256), (Some(15), 70_000)]
        .map(|(window_bits, size)| (Flow { no_context_takeover: false, window_bits }, size))
    {
        let (mut compressor, mut receiver) = (Compressor::new(flow), Receiver::new(flow));
        for number in 0..300 {
            let mut out = Vec::new();
            assert!(!compressor.compress(&noise(size), &mut out) && out.is_empty(), "{size} {number}");
            if number % 50 == 49 {
                let text = format!("{number} and {number} and {number} and {number}").repeat(4);
                assert!(compressor.compress(text.as_bytes(), &mut out));
                assert_eq!(receiver.inflate(&out), text.as_bytes());
            }
        }
    }
}

#[test]
fn takeover_makes_later_messages_smaller_and_its_absence_does_not() {
    let text = b"{\"type\":\"quote\",\"symbol\":\"ABCD\",\"bid\":101.5,\"ask\":101.75,\"venue\":\"XETRA\"}";
    for no_context_takeover in [false, true] {
        let mut compressor = Compressor::new(Flow { no_context_takeover, window_bits: None });
        let sizes = [0; 2].map(|_| {
            let mut out = Vec::new();
            assert!(compressor.compress(text, &mut out));
            out.len()
        });
        assert_eq!(sizes[1] < sizes[0], !no_context_takeover);
    }
}

/// RFC 7692 section 7.2.3, example by example, and the blocks that senders may choose.
#[test]
fn blocks_of_every_kind() {
    for payload in [
        &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..],
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        // Without the byte after BFINAL that the section asks for.
        b"\xf3\x48\xcd\xc9\xc9\x07\x00",
    ] {
        for cut in 0..payload.len() {
            let stream = frames(Opcode::Text, payload, &[cut]).repeat(3);
            for size in [1, usize::MAX] {
                let got = read(&stream, Flow::default(), &LIMITS, size);
                assert_eq!(got, vec![Ok(b"Hello".to_vec()); 3], "{payload:x?} cut at {cut}");
            }
        }
    }
    // Context takeover: "Hello" again as a reference to the first.
    let both = [
        frames(Opcode::Text, b"\xf2\x48\xcd\xc9\xc9\x07\x00", &[]),
        frames(Opcode::Text, b"\xf2\x00\x11\x00\x00", &[]),
    ];
    assert_eq!(read(&both.concat(), Flow::default(), &LIMITS, 3), vec![Ok(b"Hello".to_vec()); 2]);
    // What was never sent, or was forgotten, can't be referred to.
    assert_eq!(outcome(&both[1], &LIMITS), Err(ProtocolError::InvalidDeflate));
    let without = Flow { no_context_takeover: true, window_bits: None };
    let got = read(&both.concat(), without, &LIMITS, 3);
    assert_eq!(got, [Ok(b"Hello".to_vec()), Err(ProtocolError::InvalidDeflate)]);
}

#[test]
fn blocks_after_a_final_one_are_read() {
    let twice = frames(Opcode::Text, b"\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00", &[]);
    assert_eq!(outcome(&twice, &LIMITS), Ok(b"HelloHello".to_vec()));
}

#[test]
fn empty_messages() {
    for payload in [&b""[..], b"\x00", b"\x02\x00", b"\x03\x00"] {
        let stream =
            [frames(Opcode::Text, payload, &[]), frames(Opcode::Text, b"\xf2\x48\xcd\xc9\xc9\x07\x00", &[])];
        let got = read(&stream.concat(), Flow::default(), &LIMITS, 2);
        assert_eq!(got, [Ok(vec![]), Ok(b"Hello".to_vec())], "{payload:x?}");
    }
    // RSV1 stands on the first fragment, be it empty or not.
    let mut stream = frames(Opcode::Text, b"\xf2\x48\xcd\xc9\xc9\x07\x00", &[0, 0]);
    assert_eq!(outcome(&stream, &LIMITS), Ok(b"Hello".to_vec()));
    stream[0] &= !RSV1;
    assert_eq!(outcome(&stream, &LIMITS), Err(ProtocolError::InvalidUtf8), "the same bytes, not compressed");
}

#[test]
fn what_is_no_deflate() {
    for payload in [
        // The reserved kind of block, a stored block whose length contradicts itself, a code that is no code.
        &b"\x07"[..],
        b"\x00\x05\x00\x05\x00hello",
        b"\xed\xff\xff\xff\xff\xff",
        // Cut within a stored block: the tail is not its content.
        b"\x00\x09\x00\xf6\xffhello",
    ] {
        assert_eq!(
            outcome(&frames(Opcode::Binary, payload, &[]), &LIMITS),
            Err(ProtocolError::InvalidDeflate)
        );
    }
    assert_eq!(ProtocolError::InvalidDeflate.close_code().as_u16(), 1007);
}

#[test]
fn reserved_bits_stand_only_where_agreed() {
    for (opcode, bits, is_fine) in [
        (Opcode::Text, RSV1, true),
        (Opcode::Text, RSV1 | 0x20, false),
        (Opcode::Binary, 0x10, false),
        (Opcode::Ping, RSV1, false),
        (Opcode::Close, RSV1, false),
        (Opcode::Continuation, RSV1, false),
    ] {
        let mut bytes = frame(true, opcode, b"");
        bytes[0] |= bits;
        let seen = |mut decoder: Decoder| {
            decoder.decode(&mut bytes.clone()).map(|piece| piece.unwrap().is_compressed)
        };
        let expected = if is_fine { Ok(true) } else { Err(ProtocolError::ReservedBits) };
        assert_eq!(seen(Decoder::with_deflate(Role::Server)), expected, "{opcode:?}");
        assert_eq!(seen(Decoder::new(Role::Server)), Err(ProtocolError::ReservedBits));
    }
    let mut compressed = frames(Opcode::Text, b"\xf2\x48\xcd\xc9\xc9\x07\x00", &[3]);
    let continuation = compressed.len() - 6;
    compressed[continuation] |= RSV1;
    assert_eq!(outcome(&compressed, &LIMITS), Err(ProtocolError::ReservedBits));
}

#[test]
fn a_bomb_is_stopped_while_it_inflates() {
    let bomb = Sender::new(Flow::default()).compress(&vec![b'a'; 900_000]);
    assert_eq!(outcome(&frames(Opcode::Text, &bomb, &[]), &LIMITS), Err(ProtocolError::InflateRatio));
    // Before the message is complete, and with a small part of it.
    let part = &frames(Opcode::Text, &bomb, &[200])[..210];
    assert_eq!(outcome(part, &LIMITS), Err(ProtocolError::InflateRatio));

    let limits = WireLimits { inflate_ratio_max: 1032, ..LIMITS };
    assert!(outcome(&frames(Opcode::Text, &bomb, &[]), &limits).is_ok());
    let limits = WireLimits { message_size_max: 899_999, ..limits };
    assert_eq!(outcome(&frames(Opcode::Text, &bomb, &[]), &limits), Err(ProtocolError::MessageTooBig));
    let limits = WireLimits { message_size_max: 900_000, ..limits };
    assert!(outcome(&frames(Opcode::Text, &bomb, &[]), &limits).is_ok());

    // Small texts may repeat themselves.
    let small = Sender::new(Flow::default()).compress(&vec![b'a'; 60_000]);
    assert!(outcome(&frames(Opcode::Text, &small, &[]), &LIMITS).is_ok());
}

#[test]
fn a_bomb_across_messages_is_stopped_by_the_first_of_them() {
    let mut sender = Sender::new(Flow::default());
    let first = sender.compress(&vec![b'a'; 60_000]);
    let second = sender.compress(&vec![b'a'; 200_000]);
    let stream = [frames(Opcode::Text, &first, &[]), frames(Opcode::Text, &second, &[])].concat();
    assert_eq!(outcome(&stream, &LIMITS), Err(ProtocolError::InflateRatio));
}

#[test]
fn the_size_counts_what_was_inflated() {
    let limits = WireLimits { message_size_max: 3000, frame_size_max: 3000, ..LIMITS };
    let noise: Vec<u8> = (0..3001u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    // Stored: larger on the wire than the message, and fine.
    let mut sender = Sender::new(Flow::default());
    sender.zlib.set_level(Compression::none()).unwrap();
    let fits = sender.compress(&noise[..3000]);
    assert!(fits.len() > 3000);
    assert_eq!(outcome(&frames(Opcode::Binary, &fits, &[]), &limits), Ok(noise[..3000].to_vec()));
    let over = sender.compress(&noise);
    assert_eq!(outcome(&frames(Opcode::Binary, &over, &[]), &limits), Err(ProtocolError::MessageTooBig));
    // Compressed bytes that inflate to nothing are bounded too, by their header.
    let empty = frames(Opcode::Binary, &[0, 0, 0, 0xff, 0xff].repeat(800), &[]);
    assert_eq!(outcome(&empty[..4], &limits), Err(ProtocolError::MessageTooBig));
}

#[test]
fn a_hundred_thousand_empty_blocks() {
    for block in [&b"\x00\x00\x00\xff\xff"[..], b"\x02\x00\x00\x00\xff\xff", b"\x03\x00"] {
        let payload = [&block.repeat(100_000)[..], b"\xf2\x48\xcd\xc9\xc9\x07\x00"].concat();
        let stream = frames(Opcode::Text, &payload, &[]);
        assert_eq!(read(&stream, Flow::default(), &LIMITS, 50_000), [Ok(b"Hello".to_vec())]);
    }
}

#[test]
fn text_is_judged_inflated() {
    let mut sender = Sender::new(Flow::default());
    let bad = sender.compress(b"fine until \xff here");
    assert_eq!(outcome(&frames(Opcode::Text, &bad, &[]), &LIMITS), Err(ProtocolError::InvalidUtf8));
    let cut = Sender::new(Flow::default()).compress("\u{20ac}".as_bytes()[..2].as_ref());
    assert_eq!(outcome(&frames(Opcode::Text, &cut, &[]), &LIMITS), Err(ProtocolError::InvalidUtf8));
    // Seen before the message is complete.
    let bad = Sender::new(Flow::default()).compress(b"\xff");
    let open = frames(Opcode::Text, &[&bad[..], &[0; 100]].concat(), &[bad.len()]);
    assert_eq!(outcome(&open[..2 + bad.len()], &LIMITS), Err(ProtocolError::InvalidUtf8));
}

/// A sender that uses more of its window than it promised is understood: 32 KiB are held for everyone.
#[test]
fn a_window_larger_than_promised() {
    let far: Vec<u8> = (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let message = [&far[..], &far[..]].concat();
    let compressed = Sender::new(Flow::default()).compress(&message);
    assert!(compressed.len() < 25_000);
    let narrow = Flow { no_context_takeover: false, window_bits: Some(9) };
    for size in [10, usize::MAX] {
        let got = read(&frames(Opcode::Binary, &compressed, &[]), narrow, &LIMITS, size);
        assert_eq!(got, [Ok(message.clone())]);
    }
}

#[test]
fn memory_is_given_back_where_nothing_refers_to_it() {
    let mut sender = Sender::new(Flow::default());
    let messages = [0; 2].map(|_| frames(Opcode::Text, &sender.compress(b"some text of some length"), &[]));
    for (no_context_takeover, second_is_read) in [(false, true), (true, false)] {
        let flow = Flow { no_context_takeover, window_bits: None };
        let (mut decoder, mut assembler) =
            (Decoder::with_deflate(Role::Server), Assembler::with_deflate(flow));
        let mut got = Vec::new();
        feed(&mut decoder, &mut assembler, &mut messages[0].clone(), &LIMITS, &mut got).unwrap();
        assembler.release();
        let second = feed(&mut decoder, &mut assembler, &mut messages[1].clone(), &LIMITS, &mut got);
        assert_eq!(second.is_ok(), second_is_read);
    }
    // Within a message it is not.
    let flow = Flow { no_context_takeover: true, window_bits: None };
    let (mut decoder, mut assembler) = (Decoder::with_deflate(Role::Server), Assembler::with_deflate(flow));
    let mut got = Vec::new();
    for byte in &mut messages[0].clone() {
        feed(&mut decoder, &mut assembler, std::slice::from_mut(byte), &LIMITS, &mut got).unwrap();
        assembler.release();
    }
    assert_eq!(got, [Ok(b"some text of some length".to_vec())]);
}

#[test]
fn zlib_agrees_that_a_stream_ends() {
    // What the tests above lean on: the example with BFINAL ends zlib's stream too.
    let mut out = Vec::with_capacity(64);
    let status = Decompress::new(false).decompress_vec(
        b"\xf3\x48\xcd\xc9\xc9\x07\x00",
        &mut out,
        FlushDecompress::Sync,
    );
    assert_eq!((status.unwrap(), out), (Status::StreamEnd, b"Hello".to_vec()));
}
