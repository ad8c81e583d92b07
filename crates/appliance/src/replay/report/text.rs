//! Lines and tables.

use std::fmt::Write;

use wsi_config::policy::Direction;

use super::{Row, shown};
use crate::{
    replay::{
        connection::{Connection, What},
        tally::{Tally, Traffic},
        trial::Trial,
        verdict::Verdict,
    },
    report::size,
};

/// Two configurations are told apart by these.
const SIDES: [char; 2] = ['A', 'B'];
const LABEL_WIDTH: usize = 30;
const COLUMN_WIDTH: usize = 24;
const COUNTS_WIDTH: usize = 13;

/// `after_ns`: nanoseconds since the capture's first time.
pub(super) fn row(row: &Row<'_>, after_ns: Option<i128>) -> String {
    let after = after_ns.map_or("-".to_owned(), |after_ns| format!("{:+.3}s", after_ns as f64 / 1e9));
    let (direction, taken) = match row.what {
        What::Item(item) => (item.direction.name(), size(item.size)),
        What::Upgrade { .. } | What::Silence { .. } => ("", String::new()),
    };
    let name = shown(row.connection);
    let out = format!("  {name:<16}  {after:>9}  {direction:<9}  {:<8}  {taken:>9}", row.what.name());
    match row.verdicts {
        [only] => out + "  " + &verdict(only),
        both => both
            .iter()
            .zip(SIDES)
            .fold(out, |out, (each, side)| format!("{}\n    {side}  {}", out.trim_end(), verdict(each))),
    }
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Told(told) => {
            let also =
                if told.also.is_empty() { String::new() } else { format!("; also {}", told.also.join(", ")) };
            format!("{}  {}  {}{also}", told.deed(), told.rule, shown(&told.detail))
        }
        verdict => verdict.name().to_owned(),
    }
}

/// What is to be said at a connection's end.
pub(super) fn connection(connection: &Connection) -> Vec<String> {
    let name = shown(&connection.name);
    let mut lines = Vec::new();
    let has_sides = connection.courses.len() > 1;
    for (index, (count, was_refused)) in
        connection.not_relayed.iter().zip(&connection.was_refused).enumerate()
    {
        let [to_server, to_client] = *count;
        if to_server + to_client == 0 {
            continue;
        }
        let side = if has_sides { format!("{}: ", SIDES[index.min(1)]) } else { String::new() };
        let after = if *was_refused { "the upgrade that was refused" } else { "the close" };
        lines.push(format!(
            "  {name:<16}  {side}{} came after {after} (to server {to_server}, to client {to_client}); --go-on judges \
             what comes after",
            counted(to_server + to_client, "message")
        ));
    }
    for direction in Direction::BOTH {
        if let Some(why) = &connection.lost[direction.index()] {
            lines.push(format!("  {name}  {}  could not follow: {}", direction.name(), shown(why)));
        }
    }
    lines
}

pub(super) fn summary(traffic: &Traffic, trials: &[Trial]) -> String {
    let mut out = String::from("\n");
    let captures = format!("{}, with {}", traffic.captures, counted(traffic.connections, "connection"));
    line(&mut out, "captures", &[captures]);
    for direction in Direction::BOTH {
        let at = direction.index();
        let text = format!(
            "{}, {}; {}",
            counted(traffic.messages[at], "message"),
            size(traffic.bytes[at]),
            counted(traffic.control_frames[at], "control frame")
        );
        line(&mut out, direction.name(), &[text]);
    }
    for (label, count) in [
        ("messages without their end", traffic.unfinished.iter().sum()),
        ("connections not followed", traffic.not_followed),
        ("relayed by one only", traffic.not_compared),
    ] {
        if count > 0 {
            line(&mut out, label, &[count.to_string()]);
        }
    }
    if trials.len() > 1 {
        line(&mut out, "verdicts that differ", &[traffic.differences.to_string()]);
    }
    out.push('\n');
    let names: Vec<_> = trials.iter().map(|trial| shown(&trial.name)).collect();
    if trials.len() > 1 {
        line(&mut out, "", &SIDES.map(String::from));
    }
    line(&mut out, "configuration", &names);
    for (label, value) in ROWS {
        line(&mut out, label, &trials.iter().map(|trial| value(&trial.tally)).collect::<Vec<_>>());
    }
    out + &verdicts(trials)
}

type Value = fn(&Tally) -> String;

const ROWS: [(&str, Value); 9] = [
    ("upgrades refused", |tally| tally.refused_upgrades.to_string()),
    ("closes", |tally| tally.closes.to_string()),
    ("drops", |tally| tally.drops.to_string()),
    ("redactions", |tally| tally.redactions.to_string()),
    ("alerts", |tally| tally.alerts.to_string()),
    ("could not be inspected", |tally| tally.could_not_inspect.to_string()),
    ("messages that came after", |tally| tally.not_relayed.iter().sum::<u64>().to_string()),
    ("messages inspected", |tally| tally.inspected.to_string()),
    ("inspection time", time),
];

fn time(tally: &Tally) -> String {
    let each = tally.spent.as_secs_f64() * 1e6 / tally.inspected.max(1) as f64;
    format!("{:.1} ms, {each:.1} us each", tally.spent.as_secs_f64() * 1e3)
}

/// By rule: how many messages towards the server, and towards the client.
fn verdicts(trials: &[Trial]) -> String {
    let mut keys: Vec<_> = trials.iter().flat_map(|trial| trial.tally.verdicts.keys()).collect();
    keys.sort();
    keys.dedup();
    if keys.is_empty() {
        return String::new();
    }
    let mut out = String::from("\n  to server / to client\n");
    for key in keys {
        for trial in trials {
            let counts = match trial.tally.verdicts.get(key) {
                Some([to_server, to_client]) => format!("{to_server} / {to_client}"),
                None => "-".to_owned(),
            };
            // Writing to a String can't fail.
            let _ = write!(out, "  {counts:<COUNTS_WIDTH$}");
        }
        let (rule, deed) = key;
        let _ = writeln!(out, "  {deed}  {rule}");
    }
    out
}

fn line(out: &mut String, label: &str, columns: &[String]) {
    let columns: Vec<_> = columns.iter().map(|column| format!("{column:<COLUMN_WIDTH$}")).collect();
    let text = format!("  {label:<LABEL_WIDTH$}  {}", columns.join("  "));
    // Writing to a String can't fail.
    let _ = writeln!(out, "{}", text.trim_end());
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
