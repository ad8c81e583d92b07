//! A record as a line of JSON.

use std::io::Write;

use wsi_inspect::{Opcode, Outcome};
use wsi_policy::{Action, Direction, EventKind, Mode};

use super::{
    excerpt::Evidence,
    json::{Line, write_hex},
    record::{Record, RecordEvent, VerdictRecord},
    time::write_rfc3339,
};
use crate::Names;

/// Appends `record` to `out` as one line, its end included.
pub(crate) fn encode(record: &Record, names: &Names, out: &mut Vec<u8>) {
    let origin = &record.origin;
    let mut line = Line::begin(out);
    line.plain("time", |out| write_rfc3339(record.time_ns, out));
    line.text("event", name(&record.event));
    // Writing to a Vec can't fail.
    line.plain("connection", |out| drop(write!(out, "{:x}-{:x}", origin.shard, origin.connection)));
    line.plain("client", |out| match origin.client.port() {
        // Hops name addresses without ports.
        0 => drop(write!(out, "{}", origin.client.ip())),
        _ => drop(write!(out, "{}", origin.client)),
    });
    line.text("listener", names.listener(origin.listener));
    line.text_or_null("policy", origin.policy.map(|policy| names.policy(policy)));
    line.number("revision", record.revision);
    match &record.event {
        RecordEvent::Handshake(handshake) => {
            line.text("path", &handshake.path);
            line.text("host", &handshake.host);
            line.text_or_null("origin", handshake.origin.as_deref());
            line.number("status", handshake.status);
            line.number("took_ms", record.age_ms);
        }
        RecordEvent::Open { subprotocol } => line.text_or_null("subprotocol", subprotocol.as_deref()),
        RecordEvent::Message { direction, opcode, size, fragments } => {
            line.text("direction", direction.name());
            line.text("opcode", opcode.name());
            line.number("size", *size);
            line.number("fragments", *fragments);
        }
        RecordEvent::Ping { direction, size } | RecordEvent::Pong { direction, size } => {
            line.text("direction", direction.name());
            line.number("size", *size);
        }
        RecordEvent::Close { code, initiator, totals } => {
            match code {
                Some(code) => line.number("code", code.as_u16()),
                None => line.null("code"),
            }
            line.text("initiator", initiator.name());
            line.number("lasted_ms", record.age_ms);
            let [to_server, to_client] = Direction::BOTH.map(Direction::index);
            line.number("messages_to_server", totals.messages[to_server]);
            line.number("messages_to_client", totals.messages[to_client]);
            line.number("bytes_to_server", totals.bytes[to_server]);
            line.number("bytes_to_client", totals.bytes[to_client]);
        }
        RecordEvent::Verdict(verdict) => {
            encode_verdict(verdict, names.rule(origin.policy, verdict.rule), &mut line);
        }
    }
    line.end();
}

fn name(event: &RecordEvent) -> &'static str {
    match event {
        RecordEvent::Handshake(_) => EventKind::Handshake.name(),
        RecordEvent::Open { .. } => EventKind::Open.name(),
        RecordEvent::Message { .. } => EventKind::Message.name(),
        RecordEvent::Ping { .. } => EventKind::Ping.name(),
        RecordEvent::Pong { .. } => EventKind::Pong.name(),
        RecordEvent::Close { .. } => EventKind::Close.name(),
        RecordEvent::Verdict(_) => "verdict",
    }
}

fn encode_verdict(verdict: &VerdictRecord, rule: &str, line: &mut Line<'_>) {
    line.text_or_null("direction", verdict.direction.map(Direction::name));
    line.text_or_null("opcode", verdict.opcode.map(Opcode::name));
    line.number("size", verdict.size);
    line.text("rule", rule);
    line.text("action", action(verdict.outcome));
    match verdict.outcome {
        Outcome::Message(Action::Close(code)) => line.number("code", code.as_u16()),
        Outcome::Refused(status) => line.number("status", status),
        Outcome::Message(Action::Alert | Action::Redact | Action::Drop) | Outcome::PassedUninspected => {}
    }
    let mode = match verdict.mode {
        Mode::Enforce => "enforce",
        Mode::Detect => "detect",
    };
    line.text("mode", mode);
    line.text("reason", &verdict.detail);
    match &verdict.evidence {
        Some(Evidence::Hash(hash)) => line.plain("payload_sha256", |out| write_hex(hash, out)),
        Some(Evidence::Excerpt(excerpt)) => line.text("excerpt", excerpt.as_str()),
        None => {}
    }
}

const fn action(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Message(Action::Alert) => "alert",
        Outcome::Message(Action::Redact) => "redact",
        Outcome::Message(Action::Drop) => "drop",
        Outcome::Message(Action::Close(_)) => "close",
        Outcome::PassedUninspected => "pass-uninspected",
        Outcome::Refused(_) => "refuse",
    }
}

#[cfg(test)]
mod tests;
