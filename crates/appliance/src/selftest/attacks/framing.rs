//! Framing: frames that no endpoint may send, and content where a reader of messages would not look for it.

use wsi_config::policy::Direction;

use super::{Bounds, Class, Fault, Subject};
use crate::selftest::{
    frames::{BINARY, CLOSE, CONTINUATION, CONTROL_SIZE_MAX, FIN, Length, PING, PONG, RSV1, TEXT},
    trial::{After, Expect, Variant},
};

const PROTOCOL: &[u16] = &[1002];
const TOO_BIG: &[u16] = &[1009];
/// Codes that may not stand in a close frame (RFC 6455 section 7.4).
const CODES: [u16; 13] = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535];

/// What a rule names, in control frames.
pub(in crate::selftest) fn of(subject: Subject<'_>) -> Vec<Variant> {
    let (framer, token) = (subject.framer(), &subject.sample.token);
    let variant = |name: &str, wire| subject.variant(Class::Framing, "in control frames", name, wire);
    let mut variants = Vec::new();
    if token.len() <= CONTROL_SIZE_MAX {
        variants.push(variant("in a ping", framer.frame(FIN | PING, token)));
        variants.push(variant("in a pong", framer.frame(FIN | PONG, token)));
        let within = [framer.frame(TEXT, b""), framer.frame(FIN | PING, token)].concat();
        variants.push(variant("in a ping within a message", within));
    }
    if token.len() <= CONTROL_SIZE_MAX - 2 && std::str::from_utf8(token).is_ok() {
        for code in [1000, 4999] {
            let wire = framer.close(code, token);
            variants.push(variant(&format!("in the reason of a close {code}"), wire).then(After::Silence));
        }
    }
    variants
}

/// Frames that break the protocol.
pub(in crate::selftest) fn faults(direction: Direction, bounds: Bounds) -> Vec<Variant> {
    [headers(direction), lengths(direction, bounds), order(direction), controls(direction)].concat()
}

fn headers(direction: Direction) -> Vec<Variant> {
    let fault = Fault { class: Class::Framing, group: "headers", direction };
    let framer = fault.framer();
    let variant = |name: String, wire| fault.variant(name, PROTOCOL, wire);
    let mut variants = vec![
        variant("wrong masking".into(), framer.wrongly_masked(FIN | TEXT, b"{}")),
        variant("wrong masking of a ping".into(), framer.wrongly_masked(FIN | PING, b"x")),
        variant("wrong masking of an empty frame".into(), framer.wrongly_masked(FIN | TEXT, b"")),
        variant("raw HTTP".into(), b"GET /admin HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec()),
    ];
    for bits in 1..8 {
        let first = FIN | bits << 4 | TEXT;
        variants.push(variant(format!("reserved bits {bits:03b}"), framer.frame(first, b"{}")));
        variants.push(variant(
            format!("reserved bits {bits:03b} on a ping"),
            framer.frame(FIN | bits << 4 | PING, b""),
        ));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        variants.push(variant(format!("reserved opcode {opcode}"), framer.frame(FIN | opcode, b"x")));
    }
    variants
}

fn lengths(direction: Direction, bounds: Bounds) -> Vec<Variant> {
    let fault = Fault { class: Class::Framing, group: "lengths", direction };
    let framer = fault.framer();
    let spelled = |length, size: usize| framer.spelled(FIN | BINARY, length, size as u64, &vec![b'x'; size]);
    let declared = |size| framer.spelled(FIN | BINARY, Length::Bits64, size, b"");
    let variant = |name, codes, wire| fault.variant(name, codes, wire);
    let mut variants = vec![
        variant("5 in 16 bits", PROTOCOL, spelled(Length::Bits16, 5)),
        variant("125 in 16 bits", PROTOCOL, spelled(Length::Bits16, 125)),
        variant("5 in 64 bits", PROTOCOL, spelled(Length::Bits64, 5)),
        variant("0 in 64 bits", PROTOCOL, spelled(Length::Bits64, 0)),
        variant("65535 in 64 bits", PROTOCOL, spelled(Length::Bits64, 65535)),
        variant("the highest bit set", PROTOCOL, declared(1 << 63)),
        variant("all bits set", PROTOCOL, declared(u64::MAX)).then(After::Silence),
        variant("63 bits", &[1002, 1009], declared(u64::MAX >> 1)),
        variant("four gigabytes, then silence", TOO_BIG, declared(1 << 32)).then(After::Silence),
        variant(
            "a ping of a terabyte",
            &[1002, 1009],
            framer.spelled(FIN | PING, Length::Bits64, 1 << 40, b""),
        )
        .then(After::Silence),
    ];
    let over = bounds.frame_size_max.saturating_add(1);
    let head = framer.spelled(FIN | BINARY, Length::Shortest, over, b"");
    variants.push(variant("a byte over the limit of a frame", TOO_BIG, head).then(After::Silence));
    if over <= super::SIZE_MAX {
        // What resynchronised in the payload would read these as messages.
        let inside = framer.text(b"inside");
        let inside = inside.repeat(over as usize / inside.len() + 1);
        variants.push(variant("frames within a frame over the limit", TOO_BIG, framer.text(&inside)));
    }
    variants
}

fn order(direction: Direction) -> Vec<Variant> {
    let fault = Fault { class: Class::Framing, group: "order", direction };
    let framer = fault.framer();
    let begun = framer.frame(TEXT, b"a");
    let after = |wire: Vec<u8>| [&begun[..], &wire].concat();
    let ping = framer.frame(FIN | PING, b"");
    [
        ("an orphan continuation", framer.frame(FIN | CONTINUATION, b"x")),
        ("an orphan continuation without an end", framer.frame(CONTINUATION, b"x")),
        ("a message within a message", after(framer.text(b"b"))),
        ("a binary message within a text", after(framer.frame(BINARY, b"b"))),
        ("a message within a message, after a ping", after([ping, framer.text(b"b")].concat())),
        ("a reserved bit on a continuation", after(framer.frame(FIN | RSV1 | CONTINUATION, b"b"))),
    ]
    .map(|(name, wire)| fault.variant(name, PROTOCOL, wire))
    .into()
}

fn controls(direction: Direction) -> Vec<Variant> {
    let fault = Fault { class: Class::Framing, group: "control frames", direction };
    let framer = fault.framer();
    let long = [b'x'; CONTROL_SIZE_MAX + 1];
    let mut variants: Vec<_> = [
        ("a fragmented ping", framer.frame(PING, b"a")),
        ("a fragmented pong", framer.frame(PONG, b"a")),
        ("a fragmented close", framer.frame(CLOSE, b"\x03\xe8")),
        ("a ping of 126 bytes", framer.frame(FIN | PING, &long)),
        ("a pong of 126 bytes", framer.frame(FIN | PONG, &long)),
        ("a close of 126 bytes", framer.frame(FIN | CLOSE, &[&b"\x03\xe8"[..], &long[..124]].concat())),
        ("a close of one byte", framer.frame(FIN | CLOSE, b"\x03")),
    ]
    .map(|(name, wire)| fault.variant(name, PROTOCOL, wire))
    .into();
    for code in CODES {
        variants.push(fault.variant(format!("close code {code}"), PROTOCOL, framer.close(code, b"")));
    }
    for (name, reason) in [("not UTF-8", &b"\xff\xfe"[..]), ("cut in a character", b"\xc3")] {
        let wire = framer.close(1000, reason);
        variants.push(fault.variant(format!("close reason {name}"), &[1007], wire));
    }
    // The close itself passes; what comes after it does not.
    let wire = [framer.close(1000, b""), framer.text(b"late"), framer.frame(FIN | PING, b"late")].concat();
    let mut late = fault.variant("frames after a close", &[1000], wire);
    late.expect = Expect::Passes { messages: Vec::new(), controls: Vec::new() };
    variants.push(late.then(After::Silence));
    variants
}
