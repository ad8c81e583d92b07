//! Lifecycle: peers that vanish or wait at the worst moment. What is half there must not arrive as if it were whole.

use wsi_config::policy::Direction;

use super::{Class, Fault, Subject};
use crate::selftest::{
    frames::{BINARY, FIN, RSV1, TEXT},
    trial::{After, Expect, Variant},
};

/// What a rule names, in messages that never end.
pub(in crate::selftest) fn of(subject: Subject<'_>) -> Vec<Variant> {
    let token = &subject.sample.token[..];
    let fault = Fault { class: Class::Lifecycle, group: "unfinished messages", direction: subject.direction };
    let framer = fault.framer();
    let begun = framer.frame(TEXT, token);
    let whole = framer.frame(FIN | BINARY, token);
    let cut = whole[..whole.len() - 1].to_vec();
    let vanished: &[u16] = if subject.direction == Direction::ToServer { &[1001] } else { &[1011] };
    let variant = |name: &str, codes, wire, after, verdict| Variant {
        token: token.to_vec(),
        after,
        expect: Expect::Refused { codes, verdict },
        ..fault.variant(name, codes, wire)
    };
    vec![
        variant("a first fragment, then gone", vanished, begun.clone(), After::Vanishes, false),
        variant("half a frame, then gone", vanished, cut, After::Vanishes, false),
        // Idle before the message is late, if the policy says so: then there is no verdict.
        variant("a first fragment, then silence", &[1001, 1008], begun, After::Patience, false),
    ]
}

/// Compressed messages that never end.
pub(in crate::selftest) fn compressed(direction: Direction) -> Vec<Variant> {
    let fault = Fault { class: Class::Lifecycle, group: "unfinished messages", direction };
    let wire = fault.framer().frame(RSV1 | TEXT, b"\x02");
    let codes: &[u16] = if direction == Direction::ToServer { &[1001] } else { &[1011] };
    let variant = fault.variant("half a stream, then gone", codes, wire).then(After::Vanishes);
    vec![Variant { compressed: true, expect: Expect::Refused { codes, verdict: false }, ..variant }]
}
