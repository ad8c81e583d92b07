//! Fragmentation: a message is judged whole, however it is cut.

use wsi_config::policy::Direction;

use super::{Bounds, Class, FRAMES_MAX, Fault, SIZE_MAX, Subject, cuts};
use crate::selftest::{
    frames::{BINARY, CONTINUATION, FIN, PING, TEXT, singles},
    trial::Variant,
};

/// Behind this much, engines that read a prefix have stopped reading.
const FILLER_SIZE: usize = 70_000;

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

/// What a rule names, behind more bytes than some look at.
pub(in crate::selftest) fn behind_filler(subject: Subject<'_>) -> Vec<Variant> {
    let (framer, token) = (subject.framer(), &subject.sample.token[..]);
    let Some(filler) = subject.sample.filler.filter(|_| fits_behind_filler(subject)) else {
        return Vec::new();
    };
    let payload = [&vec![filler; FILLER_SIZE][..], token].concat();
    let variant = |name: &str, wire| subject.variant(Class::Fragmentation, "behind 70,000 bytes", name, wire);
    let (head, half) = (&payload[..FILLER_SIZE], token.len() / 2);
    // The token lies across the end of the first 64 KiB.
    let across = &payload[FILLER_SIZE - (65_536 - half)..];
    let many: Vec<_> = payload.chunks(100).collect();
    let mut variants = vec![
        variant("in one frame", framer.text(&payload)),
        variant("in two", framer.fragments(TEXT, &[head, token])),
        variant("cut in the token", framer.fragments(TEXT, &[head, &token[..half], &token[half..]])),
        variant("across 64 KiB", framer.text(across)),
        variant("in binary", framer.frame(FIN | BINARY, &payload)),
        variant("before it", framer.text(&[token, head].concat())),
    ];
    if many.len() as u64 <= subject.bounds.fragments_max {
        variants.push(variant("in 100 bytes a fragment", framer.fragments(TEXT, &many)));
    }
    variants
}

pub(in crate::selftest) fn fits_behind_filler(subject: Subject<'_>) -> bool {
    subject.fits(FILLER_SIZE + subject.sample.token.len())
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
