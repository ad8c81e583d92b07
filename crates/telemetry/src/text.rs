//! The Prometheus text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

use std::fmt::{Display, Write};

use wsi_policy::Direction;

/// How a metric's values behave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric: its head, and a line for each set of labels.
#[derive(Debug)]
pub(crate) struct Family<'a> {
    out: &'a mut String,
    name: &'static str,
}

impl<'a> Family<'a> {
    /// Begins a metric. `help` is one line without backslashes.
    pub fn new(out: &'a mut String, name: &'static str, kind: Kind, help: &'static str) -> Self {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String can't fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Self { out, name }
    }

    /// One line for each direction, after `policy` if there is one.
    pub fn by_direction(&mut self, policy: Option<&str>, counts: [u64; 2]) {
        for direction in Direction::BOTH {
            let labels = [("policy", policy.unwrap_or_default()), ("direction", direction.name())];
            self.sample(&labels[usize::from(policy.is_none())..], counts[direction.index()]);
        }
    }

    pub fn sample(&mut self, labels: &[(&'static str, &str)], value: u64) {
        self.sample_of("", labels, value);
    }

    /// One line of what a histogram consists of, by how its name ends.
    pub fn sample_of(&mut self, ending: &str, labels: &[(&'static str, &str)], value: impl Display) {
        self.out.push_str(self.name);
        self.out.push_str(ending);
        for (i, (label, text)) in labels.iter().enumerate() {
            self.out.push(if i == 0 { '{' } else { ',' });
            self.out.push_str(label);
            self.out.push_str("=\"");
            escape(text, self.out);
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }
}

fn escape(text: &str, out: &mut String) {
    for each in text.chars() {
        match each {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            each => out.push(each),
        }
    }
}
