//! `rate-limit`: token buckets of one connection.

use wsi_policy::CloseCode;
use wsi_policy::{Directions, Rate, RateLimit};

use super::{choose, read_action, read_directions, read_reply};
use crate::diagnostics::Findings;
use crate::document::{self, Block};

const MESSAGES_MAX: u64 = 1_000_000;
/// So that a bucket that counts in billionths of a byte still fits 64 bits.
const BYTES_MAX: u64 = 16 << 30;

pub(super) fn read_all(agent: Block<'_>, findings: &mut Findings) -> Vec<RateLimit> {
    let nodes = agent.nodes("rate-limit").enumerate();
    nodes
        .map(|(at, node)| {
            let block = Block::of(node);
            if block.node("messages-per-second").is_none() && block.node("bytes-per-second").is_none() {
                let help = "add messages-per-second 100, or bytes-per-second \"1MiB\"";
                findings.mistake(node.name().span(), "this `rate-limit` limits nothing", help);
            }
            read(block, format!("rate-limit-{}", at + 1), findings)
        })
        .collect()
}

fn read(block: Block<'_>, name: String, findings: &mut Findings) -> RateLimit {
    let scopes = [
        ("connection", Ok(())),
        ("client-ip", Err("use \"connection\", and bound the connections of a client in front")),
        ("message-type", Err("use \"connection\"; a rate then holds for all messages together")),
    ];
    choose(block, "per", &scopes, findings);
    let action = read_action(block, CloseCode::POLICY_VIOLATION, &[], findings);
    RateLimit {
        name,
        messages: read_messages(block, findings),
        bytes: read_bytes(block, findings),
        directions: read_directions(block, Directions::ToServer, findings),
        action,
        reply: read_reply(block, action, findings),
    }
}

fn read_messages(block: Block<'_>, findings: &mut Findings) -> Option<Rate> {
    let burst = block.value("burst").and_then(|value| value.integer(1..=MESSAGES_MAX, findings));
    needs_rate(block, "burst", "messages-per-second", findings);
    let per_second = block.value("messages-per-second")?.integer(1..=MESSAGES_MAX, findings)?;
    Some(Rate { per_second, burst: burst.unwrap_or(per_second) })
}

fn read_bytes(block: Block<'_>, findings: &mut Findings) -> Option<Rate> {
    let burst = block.value("burst-bytes").and_then(|value| value.size(1..=BYTES_MAX, findings));
    needs_rate(block, "burst-bytes", "bytes-per-second", findings);
    let per_second = block.value("bytes-per-second")?.size(1..=BYTES_MAX, findings)?;
    Some(Rate { per_second, burst: burst.unwrap_or(per_second) })
}

fn needs_rate(block: Block<'_>, burst: &'static str, rate: &'static str, findings: &mut Findings) {
    if let (Some(node), None) = (block.node(burst), block.node(rate)) {
        let message = format!("`{burst}` has no meaning without `{rate}`");
        findings.mistake(document::name_span(node), message, format!("add `{rate}`, or remove `{burst}`"));
    }
}
