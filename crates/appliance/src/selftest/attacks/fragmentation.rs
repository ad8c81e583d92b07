//! Fragmentation: a message is judged whole, however it is cut.

use wsi_config::policy::Direction;

use super::{Bounds, Class, FRAMES_MAX, Fault, SIZE_MAX, Subject, cuts};
use crate::selftest::{
    frames::{BINARY, CONTINUATION, FIN, PING, TEXT, singles},
    trial::Variant,
};

/// Behind this much, engines that read a prefix have stopped reading.
const FILLER_SIZE: usize = 70_000;
const PIECE_SIZE: usize = 4096;

/// What a rule names, cut in every way; `opcode` is that of the messages that the rule looks at.
pub(in crate::selftest) fn of(subject: Subject<'_>, class: Class, opcode: u8) -> Vec<Variant> {
    let (framer, token) = (subject.framer(), &subject.sample.token[..]);
    let variant = |group, name: String, wire| subject.variant(class, group, name, wire);
    let ping = framer.frame(FIN | PING, b"");
    let mut variants = vec![variant("whole", "in one frame".into(), framer.frame(FIN | opcode, token))];
    for at in cuts(token.len()) {
        let (a, b) = token.split_at(at);
        let (cut, with_empty) = (&[a, b][..], &[b"", a, b"", b, b""][..]);
        variants.push(variant("cut in two", format!("at {at}"), framer.fragments(opcode, cut)));
        let wire = framer.fragments(opcode, with_empty);
        variants.push(variant("with empty fragments", format!("at {at}"), wire));
        let wire = framer.fragments_with(opcode, cut, &ping);
        variants.push(variant("with a ping between", format!("at {at}"), wire));
    }
    if token.len() as u64 <= subject.bounds.fragments_max {
        let wire = framer.fragments(opcode, &singles(token));
        variants.push(variant("one byte a fragment", "all".into(), wire));
    }
    let empties = subject.bounds.fragments_max.saturating_sub(2).min(1000) as usize;
    let pieces: Vec<&[u8]> = std::iter::repeat_n(&b""[..], empties).chain([token]).collect();
    let wire = framer.fragments(opcode, &pieces);
    variants.push(variant("with empty fragments", format!("{empties} before it"), wire));
    variants
}

/// What a rule names, behind more bytes than some look at, and behind more than are held at once.
pub(in crate::selftest) fn behind_filler(subject: Subject<'_>) -> Vec<Variant> {
    let Some(filler) = subject.sample.filler.filter(|_| fits_behind_filler(subject)) else {
        return Vec::new();
    };
    let mut variants = behind(subject, "behind 70,000 bytes", &[filler; FILLER_SIZE]);
    let Bounds { held_size_max, message_size_max, .. } = subject.bounds;
    let size = held_size_max.saturating_add(FILLER_SIZE as u64);
    if size.saturating_add(subject.sample.token.len() as u64) <= message_size_max && size <= SIZE_MAX {
        variants.extend(behind(subject, "behind what is held", &vec![filler; size as usize]));
    }
    variants
}

fn behind(subject: Subject<'_>, group: &'static str, filler: &[u8]) -> Vec<Variant> {
    let (framer, token) = (subject.framer(), &subject.sample.token[..]);
    let Bounds { frame_size_max, fragments_max, .. } = subject.bounds;
    let payload = [filler, token].concat();
    let half = token.len() / 2;
    let mut attacks = Vec::new();
    for (name, size) in [("in pieces of 4 KiB", PIECE_SIZE), ("in pieces of 100 bytes", 100)] {
        let pieces: Vec<_> = payload.chunks(size).collect();
        if pieces.len() as u64 <= fragments_max {
            attacks.push((name, framer.fragments(TEXT, &pieces)));
        }
    }
    if payload.len() as u64 <= frame_size_max {
        // The token lies across the end of the first 64 KiB.
        let across = &payload[filler.len() - (65_536 - half)..];
        let cut = [filler, &token[..half], &token[half..]];
        attacks.extend([
            ("in one frame", framer.text(&payload)),
            ("in two", framer.fragments(TEXT, &[filler, token])),
            ("cut in the token", framer.fragments(TEXT, &cut)),
            ("across 64 KiB", framer.text(across)),
            ("in binary", framer.frame(FIN | BINARY, &payload)),
            ("before it", framer.text(&[token, filler].concat())),
        ]);
    }
    if subject.fits(payload.len() + FILLER_SIZE) {
        // Where an early part leaves before what follows it is judged.
        let early = [filler, &token[..half]].concat();
        let late = [&token[half..], &filler[..FILLER_SIZE]].concat();
        attacks.push(("cut in the token, and more behind", framer.fragments(TEXT, &[&early, &late])));
    }
    let variant = |(name, wire)| subject.variant(Class::Fragmentation, group, name, wire);
    attacks.into_iter().map(variant).collect()
}

pub(in crate::selftest) fn fits_behind_filler(subject: Subject<'_>) -> bool {
    let size = (FILLER_SIZE + subject.sample.token.len()) as u64;
    size <= subject.bounds.message_size_max && subject.bounds.frame_size_max >= PIECE_SIZE as u64
}

/// Messages in more pieces, or of more bytes, than anybody has to hold.
pub(in crate::selftest) fn faults(direction: Direction, bounds: Bounds) -> Vec<Variant> {
    let fault = Fault { class: Class::Fragmentation, group: "limits", direction };
    let framer = fault.framer();
    let mut variants = Vec::new();
    let over = bounds.fragments_max + 1;
    if over <= FRAMES_MAX {
        let more = |payload: &[u8]| framer.frame(CONTINUATION, payload).repeat(over as usize - 1);
        // A small limit of size is passed first.
        let codes: &[u16] = if over <= bounds.message_size_max { &[1008] } else { &[1008, 1009] };
        let singles = [framer.frame(BINARY, b"x"), more(b"x")].concat();
        variants.push(fault.variant("one fragment too many", codes, singles));
        let empty = [framer.frame(TEXT, b"a"), more(b"")].concat();
        variants.push(fault.variant("empty continuations without end", &[1008], empty));
    }
    let size = bounds.message_size_max + 1;
    if size <= SIZE_MAX {
        let payload = vec![b'x'; size as usize];
        let piece = (size.div_ceil(3).min(bounds.frame_size_max)).max(1) as usize;
        let pieces: Vec<_> = payload.chunks(piece).collect();
        if pieces.len() as u64 <= bounds.fragments_max {
            let wire = framer.fragments(BINARY, &pieces);
            variants.push(fault.variant("a byte over the limit of a message", &[1009], wire));
        }
    }
    let fault = Fault { group: "characters", ..fault };
    for (name, pieces) in [
        ("cut for good", [&b"a\xf0\x9f"[..], b"b"]),
        ("without an end", [b"a\xf0\x9f", b""]),
        ("with two beginnings", [b"a\xf0", b"\xf0\x9f\x98\x80"]),
    ] {
        variants.push(fault.variant(format!("a character {name}"), &[1007], framer.fragments(TEXT, &pieces)));
    }
    variants
}
