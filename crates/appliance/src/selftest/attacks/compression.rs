//! Compression (RFC 7692): what a rule names, in every kind of block, and streams that are bombs or no streams.

use wsi_config::policy::{Action, Direction};

use super::{Bounds, Class, Fault, SIZE_MAX, Subject, cuts};
use crate::selftest::{
    deflate::{Blocks, Stream, message},
    frames::{BINARY, CONTINUATION, FIN, PING, RSV1, TEXT, singles},
    trial::Variant,
};

/// A stored block without content.
const EMPTY_BLOCK: &[u8] = &[0, 0, 0, 0xff, 0xff];
/// The size of the bomb for the limit of ratio: zeros become about a thousandth.
const BOMB_SIZE: u64 = 4 << 20;

/// What a rule names, compressed; `opcode` is that of the messages that the rule looks at.
pub(in crate::selftest) fn of(subject: Subject<'_>, opcode: u8) -> Vec<Variant> {
    let (framer, token) = (subject.framer(), &subject.sample.token[..]);
    let first = RSV1 | opcode;
    let whole = |payload: &[u8]| framer.frame(FIN | first, payload);
    let mut variants = Vec::new();
    for (name, blocks) in
        [("stored", Blocks::Stored), ("fixed codes", Blocks::Fixed), ("dynamic codes", Blocks::Dynamic)]
    {
        let payload = message(blocks, token);
        variants.push(subject.compressed("kinds of blocks", name, whole(&payload)));
        let (last, behind) =
            (Stream::new(blocks).final_message(token), [&b"\x03\x00"[..], &payload].concat());
        let open = [&last[..], b"\x00"].concat();
        variants.push(subject.compressed("final blocks", format!("{name}, the last"), whole(&last)));
        variants.push(subject.compressed(
            "final blocks",
            format!("{name}, and a byte after it"),
            whole(&open),
        ));
        variants.push(subject.compressed("final blocks", format!("{name}, behind the last"), whole(&behind)));
    }
    let payload = message(Blocks::Fixed, token);
    for at in cuts(payload.len()) {
        let (a, b) = payload.split_at(at);
        let wire = framer.fragments(first, &[a, b]);
        variants.push(subject.compressed("fragmented", format!("at {at}"), wire));
        let wire = framer.fragments(first, &[b"", a, b"", b]);
        variants.push(subject.compressed("fragmented", format!("at {at}, the first empty"), wire));
    }
    if payload.len() as u64 <= subject.bounds.fragments_max {
        let wire = framer.fragments(first, &singles(&payload));
        variants.push(subject.compressed("fragmented", "one byte a fragment", wire));
    }
    let padded = [&EMPTY_BLOCK.repeat(1000)[..], &payload].concat();
    if subject.fits(padded.len()) {
        variants.push(subject.compressed("kinds of blocks", "behind 1,000 empty ones", whole(&padded)));
    }
    variants.extend(takeover(subject, first));
    variants.extend(behind_filler(subject, first));
    variants
}

/// Messages that are mostly references to one that was stopped.
fn takeover(subject: Subject<'_>, first: u8) -> Vec<Variant> {
    let (framer, token) = (subject.framer(), &subject.sample.token[..]);
    let mut stream = Stream::with_references();
    let wire: Vec<u8> = (0..3).flat_map(|_| framer.frame(FIN | first, &stream.message(token))).collect();
    let name = match subject.claim.action {
        Action::Drop => "references to a dropped message",
        _ => "references to a message before",
    };
    vec![subject.compressed("context takeover", name, wire)]
}

fn behind_filler(subject: Subject<'_>, first: u8) -> Option<Variant> {
    let token = &subject.sample.token[..];
    // Filler that inflates no further than the limit of ratio: text, not one letter.
    let size = 40_000;
    let filler = subject.sample.filler.filter(|_| subject.fits(size + token.len()))?;
    let payload = [&vec![filler; size][..], token].concat();
    let wire = subject.framer().frame(FIN | first, &message(Blocks::Fixed, &payload));
    Some(subject.compressed("kinds of blocks", "behind 40,000 bytes", wire))
}

/// Streams that break the protocol or a limit, on legs that compress.
pub(in crate::selftest) fn faults(direction: Direction, bounds: Bounds) -> Vec<Variant> {
    let fault = Fault { class: Class::Compression, group: "broken streams", direction };
    let framer = fault.framer();
    let good = message(Blocks::Fixed, b"{}");
    let half = message(Blocks::Dynamic, &b"abcaabbaabacab".repeat(20));
    let mut variants = vec![
        fault.variant("no stream", &[1007], framer.frame(FIN | RSV1 | TEXT, b"<script> hello")),
        fault.variant("a block of no kind", &[1007], framer.frame(FIN | RSV1 | TEXT, b"\x06")),
        fault.variant("half a stream", &[1007], framer.frame(FIN | RSV1 | BINARY, &half[..half.len() / 2])),
        fault.variant(
            "a reference to before the stream",
            &[1007],
            framer.frame(FIN | RSV1 | TEXT, b"\x03\x02\x00"),
        ),
        fault.variant(
            "the bit on a continuation",
            &[1002],
            [framer.frame(RSV1 | TEXT, &good[..1]), framer.frame(FIN | RSV1 | CONTINUATION, &good[1..])]
                .concat(),
        ),
        fault.variant("the bit on a ping", &[1002], framer.frame(FIN | RSV1 | PING, &good)),
        fault.variant("not UTF-8", &[1007], {
            let payload = message(Blocks::Fixed, b"ok \xff");
            framer.frame(FIN | RSV1 | TEXT, &payload)
        }),
    ];
    variants.extend(bombs(direction, bounds));
    variants.into_iter().map(|variant| Variant { compressed: true, ..variant }).collect()
}

fn bombs(direction: Direction, bounds: Bounds) -> Vec<Variant> {
    let fault = Fault { class: Class::Compression, group: "bombs", direction };
    let framer = fault.framer();
    let mut variants = Vec::new();
    let bomb = |size: u64| Stream::with_references().message(&vec![b'a'; size as usize]);
    if bounds.inflate_ratio_max < 900 || bounds.message_size_max < BOMB_SIZE {
        let payload = bomb(BOMB_SIZE);
        let codes = &[1008, 1009];
        variants.push(fault.variant("one frame", codes, framer.frame(FIN | RSV1 | BINARY, &payload)));
        let pieces: Vec<_> = payload.chunks(payload.len() / 4).collect();
        variants.push(fault.variant("in fragments", codes, framer.fragments(RSV1 | BINARY, &pieces)));
    }
    let size = bounds.message_size_max + 1;
    if size <= SIZE_MAX {
        // Bytes that hardly become fewer, so that the ratio is no matter.
        let mut noise = 1u32;
        let payload: Vec<u8> = (0..size)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                b"0123456789abcdef"[(noise >> 28) as usize]
            })
            .collect();
        let payload = message(Blocks::Dynamic, &payload);
        if (payload.len() as u64) < bounds.frame_size_max {
            let wire = framer.frame(FIN | RSV1 | BINARY, &payload);
            variants.push(fault.variant("a byte over the limit of a message", &[1009], wire));
        }
    }
    variants
}
