//! Resources: more messages, bytes or control frames than a policy grants.

use wsi_config::policy::{Direction, Rate, RateLimit};

use super::{Bounds, Class, FRAMES_MAX, Fault, SIZE_MAX};
use crate::selftest::{
    frames::{BINARY, FIN, Framer, PING, TEXT},
    trial::{After, Claim, Expect, Variant},
};

/// Bytes of each message against a rate of bytes.
const CHUNK_SIZE: u64 = 1 << 10;
/// Fragments of a message that must count as one.
const FRAGMENTS: usize = 100;

/// Bursts beyond what `limit` grants. What is too large to be tried is named in the second list.
pub(in crate::selftest) fn bursts(limit: &RateLimit, direction: Direction) -> (Vec<Variant>, Vec<String>) {
    let (mut variants, mut untried) = (Vec::new(), Vec::new());
    if let Some(rate) = limit.rates.messages {
        if rate.burst <= FRAMES_MAX {
            variants.extend(messages(limit, rate, direction));
        } else {
            untried.push(format!("{}: a burst of {} messages is not tried", limit.name, rate.burst));
        }
    }
    // Where messages run out first, there is no burst of bytes.
    let lasts = limit.rates.messages.is_none_or(|rate| rate.burst > bytes_count(limit.rates.bytes));
    if let Some(rate) = limit.rates.bytes.filter(|_| lasts) {
        if rate.burst <= SIZE_MAX {
            variants.push(bytes(limit, rate, direction));
        } else {
            untried.push(format!("{}: a burst of {} bytes is not tried", limit.name, rate.burst));
        }
    }
    (variants, untried)
}

fn bytes_count(rate: Option<Rate>) -> u64 {
    rate.map_or(0, |rate| rate.burst / CHUNK_SIZE + 1)
}

fn messages(limit: &RateLimit, rate: Rate, direction: Direction) -> Vec<Variant> {
    let framer = Framer::new(direction);
    // Bounded above; where bytes run out first, so does the burst.
    let over = rate.burst as usize + 1;
    let count = limit.rates.bytes.map_or(rate.burst, |bytes| bytes.burst.min(rate.burst)) as usize;
    let text = framer.frame(FIN | TEXT, b"x").repeat(over);
    let mixed = [framer.frame(FIN | TEXT, b"x"), framer.frame(FIN | BINARY, b"x")].concat();
    let mut variants = vec![
        burst(limit, direction, "of messages", count, text),
        burst(limit, direction, "of text and binary in turns", count, mixed.repeat(over.div_ceil(2))),
    ];
    if (over * FRAGMENTS) as u64 <= FRAMES_MAX && limit.rates.bytes.is_none() {
        let fragmented = framer.fragments(TEXT, &[b"x" as &[u8]; FRAGMENTS]);
        variants.push(burst(
            limit,
            direction,
            "of messages in 100 fragments",
            count,
            fragmented.repeat(over),
        ));
    }
    variants
}

fn bytes(limit: &RateLimit, rate: Rate, direction: Direction) -> Variant {
    let frame = Framer::new(direction).frame(FIN | TEXT, &[b'x'; CHUNK_SIZE as usize]);
    let count = rate.burst / CHUNK_SIZE;
    burst(limit, direction, "of bytes", count as usize, frame.repeat(count as usize + 1))
}

fn burst(limit: &RateLimit, direction: Direction, name: &str, count: usize, wire: Vec<u8>) -> Variant {
    Variant {
        class: Class::Resources,
        group: "bursts",
        name: format!("{name}, {}", limit.name),
        direction,
        wire,
        compressed: false,
        after: After::Silence,
        token: Vec::new(),
        expect: Expect::AtMost(count, Claim { rule: limit.name.clone(), action: limit.action }),
    }
}

/// A flood of pings, which no rule of messages counts.
pub(in crate::selftest) fn floods(direction: Direction, bounds: Bounds) -> Vec<Variant> {
    let fault = Fault { class: Class::Resources, group: "floods", direction };
    let count = bounds.control_frames_per_second.saturating_mul(2) + 1;
    if count > FRAMES_MAX {
        return Vec::new();
    }
    let wire = fault.framer().frame(FIN | PING, b"").repeat(count as usize);
    vec![fault.variant("of pings", &[1008], wire).then(After::Silence)]
}
