//! JSON lines. Members may be added; those that are there keep their names and meaning.

use serde_json::{Map, Value, json};
use wsi_config::policy::Direction;

use super::Row;
use crate::replay::{
    connection::{Connection, What},
    tally::Traffic,
    trial::Trial,
    verdict::Verdict,
};

/// Two configurations are told apart by these.
const SIDES: [&str; 2] = ["a", "b"];

pub(super) fn row(row: &Row<'_>, capture: &str) -> Value {
    let mut line = json!({
        "type": match row.what {
            What::Upgrade { .. } => "upgrade",
            What::Item(item) if item.is_control() => "control",
            What::Item(_) => "message",
            What::Silence { .. } => "silence",
        },
        "capture": capture,
        "connection": row.connection,
        "time_ms": row.what.at_ns().map(ms),
    });
    if let What::Item(item) = row.what {
        line["number"] = item.number.into();
        line["direction"] = item.direction.name().into();
        line["opcode"] = row.what.name().into();
        line["size"] = item.size.into();
    }
    match row.verdicts {
        [only] => merge(&mut line, verdict(only)),
        both => both.iter().zip(SIDES).for_each(|(each, side)| line[side] = Value::Object(verdict(each))),
    }
    line
}

pub(super) fn connection(connection: &Connection, capture: &str) -> Value {
    let [to_server, to_client] = Direction::BOTH.map(Direction::index);
    let courses = connection.courses.iter().zip(&connection.not_relayed).zip(&connection.was_refused);
    let sides: Vec<_> = courses
        .map(|((course, not_relayed), was_refused)| {
            json!({
                "policy": course.policy(),
                "opened": !was_refused,
                "not_relayed_to_server": not_relayed[to_server],
                "not_relayed_to_client": not_relayed[to_client],
            })
        })
        .collect();
    let mut line = json!({
        "type": "connection",
        "capture": capture,
        "connection": connection.name,
        "messages_to_server": connection.messages[to_server],
        "messages_to_client": connection.messages[to_client],
        "not_followed_to_server": connection.lost[to_server],
        "not_followed_to_client": connection.lost[to_client],
    });
    match sides.as_slice() {
        [Value::Object(only)] => merge(&mut line, only.clone()),
        both => both.iter().zip(SIDES).for_each(|(each, side)| line[side] = each.clone()),
    }
    line
}

pub(super) fn note(text: &str, capture: &str) -> Value {
    json!({ "type": "note", "capture": capture, "text": text })
}

pub(super) fn traffic(traffic: &Traffic) -> Value {
    let [to_server, to_client] = Direction::BOTH.map(Direction::index);
    json!({
        "type": "traffic",
        "captures": traffic.captures,
        "connections": traffic.connections,
        "messages_to_server": traffic.messages[to_server],
        "messages_to_client": traffic.messages[to_client],
        "bytes_to_server": traffic.bytes[to_server],
        "bytes_to_client": traffic.bytes[to_client],
        "control_frames_to_server": traffic.control_frames[to_server],
        "control_frames_to_client": traffic.control_frames[to_client],
        "unfinished_to_server": traffic.unfinished[to_server],
        "unfinished_to_client": traffic.unfinished[to_client],
        "connections_not_followed": traffic.not_followed,
        "differences": traffic.differences,
        "not_compared": traffic.not_compared,
    })
}

pub(super) fn trial(trial: &Trial) -> Value {
    let [to_server, to_client] = Direction::BOTH.map(Direction::index);
    let tally = &trial.tally;
    let verdicts: Vec<_> = tally
        .verdicts
        .iter()
        .map(|((rule, deed), counts)| {
            json!({
                "rule": rule,
                "verdict": deed.name,
                "code": deed.code,
                "mode": deed.mode_name,
                "to_server": counts[to_server], "to_client": counts[to_client],
            })
        })
        .collect();
    json!({
        "type": "summary",
        "configuration": trial.name,
        "refused_upgrades": tally.refused_upgrades,
        "closes": tally.closes,
        "drops": tally.drops,
        "redactions": tally.redactions,
        "alerts": tally.alerts,
        "could_not_inspect": tally.could_not_inspect,
        "not_relayed_to_server": tally.not_relayed[to_server],
        "not_relayed_to_client": tally.not_relayed[to_client],
        "messages_inspected": tally.inspected,
        "inspection_ns": u64::try_from(tally.spent.as_nanos()).unwrap_or(u64::MAX),
        "verdicts": verdicts,
    })
}

fn verdict(verdict: &Verdict) -> Map<String, Value> {
    let mut told = Map::new();
    told.insert("verdict".into(), verdict.name().into());
    if let Verdict::Told(each) = verdict {
        let deed = each.deed();
        told.insert("code".into(), deed.code.into());
        told.insert("rule".into(), each.rule.as_str().into());
        told.insert("mode".into(), deed.mode_name.into());
        told.insert("detail".into(), each.detail.as_str().into());
        told.insert("also".into(), each.also.as_slice().into());
    }
    told
}

fn merge(line: &mut Value, more: Map<String, Value>) {
    if let Value::Object(line) = line {
        line.extend(more);
    }
}

/// To the microsecond, which is what captures have.
fn ms(ns: u64) -> f64 {
    (ns / 1000) as f64 / 1000.0
}
