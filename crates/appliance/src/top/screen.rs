//! A sample as text.

use std::{collections::BTreeMap, fmt::Write, net::SocketAddr, time::Duration};

use serde_json::Value;

use super::sample::{Sample, label};

/// Rules that are shown.
const RULES: usize = 10;
const TO_SERVER: &str = "direction=\"to_server\"";
const TO_CLIENT: &str = "direction=\"to_client\"";

/// What is going on now, with rates from what has changed since `before`.
pub(super) fn render(before: &Sample, now: &Sample, elapsed: Duration, address: SocketAddr) -> String {
    let screen = Screen { before, now, seconds: elapsed.as_secs_f64().max(0.001) };
    let mut out = String::new();
    screen.head(address, &mut out);
    screen.traffic(&mut out);
    screen.times(&mut out);
    screen.rules(&mut out);
    screen.connections(&mut out);
    out
}

struct Screen<'a> {
    before: &'a Sample,
    now: &'a Sample,
    seconds: f64,
}

// Writing to a String can't fail.
impl Screen<'_> {
    fn rate(&self, name: &str, labels: &[&str]) -> f64 {
        (self.now.sum(name, labels) - self.before.sum(name, labels)).max(0.0) / self.seconds
    }

    fn head(&self, address: SocketAddr, out: &mut String) {
        let status = &self.now.status;
        let policies = status["policies"].as_array().into_iter().flatten();
        let policies: Vec<_> =
            policies.map(|each| format!("{} ({})", text(&each["name"]), text(&each["mode"]))).collect();
        let _ = writeln!(
            out,
            "websocket-inspector {} at {address}: {}, revision {}; {}",
            text(&status["version"]),
            text(&status["state"]),
            status["revision"],
            policies.join(", ")
        );
    }

    fn traffic(&self, out: &mut String) {
        let sum = |name| self.now.sum(name, &[]);
        let _ = writeln!(
            out,
            "\nconnections {:.0}, {:.1}/s opened; {} held; {:.0} passed uninspected, {:.0} audit records lost",
            sum("wsi_connections_open"),
            self.rate("wsi_sessions_opened_total", &[]),
            bytes(sum("wsi_held_bytes")),
            sum("wsi_passed_uninspected_total"),
            sum("wsi_audit_lost_total")
        );
        let _ = writeln!(out, "\n{:<12}{:>14}{:>14}{:>14}", "", "messages/s", "payload/s", "verdicts/s");
        for (name, direction) in [("to server", TO_SERVER), ("to client", TO_CLIENT)] {
            let _ = writeln!(
                out,
                "{name:<12}{:>14.1}{:>14}{:>14.1}",
                self.rate("wsi_messages_total", &[direction]),
                bytes(self.rate("wsi_message_bytes_total", &[direction])),
                self.rate("wsi_verdicts_total", &[direction])
            );
        }
    }

    fn times(&self, out: &mut String) {
        let stages = self.now.status["inspection"].as_array().into_iter().flatten();
        let mut stages = stages.peekable();
        if stages.peek().is_none() {
            return;
        }
        let _ = writeln!(
            out,
            "\n{:<12}{:>14}{:>14}{:>14}{:>14}{:>14}",
            "inspection", "p50", "p99", "p99.9", "most", "timed"
        );
        for stage in stages {
            let took = |name: &str| duration(stage[name].as_f64().unwrap_or_default());
            let [p50, p99, p999, max] = ["p50_ns", "p99_ns", "p999_ns", "max_ns"].map(took);
            let (name, timed) = (text(&stage["stage"]), stage["timed"].as_u64().unwrap_or_default());
            let _ = writeln!(out, "{name:<12}{p50:>14}{p99:>14}{p999:>14}{max:>14}{timed:>14}");
        }
    }

    fn rules(&self, out: &mut String) {
        let mut rules: BTreeMap<(&str, &str), (f64, f64)> = BTreeMap::new();
        for (key, count) in &self.now.metrics {
            if !key.starts_with("wsi_verdicts_total{") || *count == 0.0 {
                continue;
            }
            let rule = (label(key, "policy").unwrap_or_default(), label(key, "rule").unwrap_or_default());
            let before = self.before.metrics.get(key).copied().unwrap_or_default();
            let sums = rules.entry(rule).or_default();
            sums.0 += (count - before).max(0.0) / self.seconds;
            sums.1 += count;
        }
        if rules.is_empty() {
            return;
        }
        let mut rules: Vec<_> = rules.into_iter().collect();
        rules.sort_by(|(_, a), (_, b)| b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal));
        let _ = writeln!(out, "\n{:<54}{:>14}{:>14}", "rule", "verdicts/s", "all");
        for ((policy, rule), (rate, count)) in rules.into_iter().take(RULES) {
            let name = format!("{policy} {rule}");
            let _ = writeln!(out, "{:<54}{rate:>14.1}{count:>14.0}", cut(name.trim_start(), 53));
        }
    }

    fn connections(&self, out: &mut String) {
        if self.now.connections.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "\n{:<14}{:<28}{:<26}{:>14}{:>14}",
            "connection", "client", "policy", "to server", "to client"
        );
        for each in &self.now.connections {
            let size = |name: &str| bytes(each[name].as_f64().unwrap_or_default());
            let _ = writeln!(
                out,
                "{:<14}{:<28}{:<26}{:>14}{:>14}",
                text(&each["id"]),
                cut(text(&each["client"]), 27),
                cut(text(&each["policy"]), 25),
                size("bytes_to_server"),
                size("bytes_to_client")
            );
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

/// At most `width` characters.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn bytes(count: f64) -> String {
    scaled(count, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

fn duration(ns: f64) -> String {
    scaled(ns, 1000.0, &["ns", "µs", "ms", "s"])
}

/// In the largest unit that leaves at least 1.
fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut units = units.iter();
    let mut unit = units.next();
    for next in units {
        if value < step {
            break;
        }
        value /= step;
        unit = Some(next);
    }
    let digits = if value < 10.0 && value.fract() != 0.0 { 1 } else { 0 };
    format!("{value:.digits$} {}", unit.unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(messages: f64, verdicts: f64) -> Sample {
        let metrics = [
            ("wsi_connections_open".to_owned(), 3.0),
            (format!("wsi_messages_total{{policy=\"chat\",{TO_SERVER}}}"), messages),
            (format!("wsi_message_bytes_total{{policy=\"chat\",{TO_SERVER}}}"), messages * 2048.0),
            (format!("wsi_verdicts_total{{policy=\"chat\",rule=\"words-1\",{TO_SERVER}}}"), verdicts),
            (format!("wsi_verdicts_total{{policy=\"chat\",rule=\"words-2\",{TO_SERVER}}}"), 0.0),
        ];
        Sample {
            metrics: metrics.into_iter().collect(),
            status: json!({
                "version": "1.2.3", "state": "ready", "revision": 4,
                "policies": [{ "name": "chat", "mode": "detect" }],
                "inspection": [{ "stage": "all", "timed": 9, "p50_ns": 640, "p99_ns": 1500, "p999_ns": 12_000, "max_ns": 2_500_000 }],
            }),
            connections: vec![json!({
                "id": "0-1f", "client": "10.0.0.1:5000", "policy": "chat",
                "bytes_to_server": 1536, "bytes_to_client": 10,
            })],
        }
    }

    #[test]
    fn rates_are_of_what_changed() {
        let address = ([127, 0, 0, 1], 9090).into();
        let text = render(&sample(100.0, 1.0), &sample(300.0, 6.0), Duration::from_secs(2), address);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        for expected in [
            "websocket-inspector 1.2.3 at 127.0.0.1:9090: ready, revision 4; chat (detect)",
            "to server 100.0 200 KiB 2.5",
            "to client 0.0 0 B 0.0",
            "all 640 ns 1.5 µs 12 µs 2.5 ms 9",
            "chat words-1 2.5 6",
            "0-1f 10.0.0.1:5000 chat 1.5 KiB 10 B",
        ] {
            let words: Vec<_> = expected.split_whitespace().collect();
            assert!(lines.contains(&words), "{expected}\n{text}");
        }
        assert!(!text.contains("words-2"), "what never happened takes no line");
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!((cut("abcdef", 6), cut("äbcdefg", 4)), ("abcdef".to_owned(), "äbc…".to_owned()));
    }
}
