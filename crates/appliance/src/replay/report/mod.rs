//! What is told, for people and for machines.

mod json;
mod text;

use std::io::{self, Write};

use wsi_inspect::Opcode;

use super::{
    connection::{Connection, What},
    tally::Traffic,
    trial::Trial,
    verdict::Verdict,
};

/// Where it is told, and how much.
pub(super) struct Report<'a> {
    pub out: Box<dyn Write + 'a>,
    pub is_json: bool,
    /// Also what passed.
    pub is_whole: bool,
    pub capture: String,
    /// The capture's first time: people are told how long after it.
    pub base_ns: Option<u64>,
}

/// One message, control frame, upgrade or silence, and what became of it.
pub(super) struct Row<'a> {
    pub connection: &'a str,
    pub what: What,
    /// By configuration.
    pub verdicts: &'a [Verdict],
    /// `None`: there is one configuration.
    pub differs: Option<bool>,
}

impl Report<'_> {
    pub fn begin(&mut self, capture: &str) -> io::Result<()> {
        capture.clone_into(&mut self.capture);
        self.base_ns = None;
        if self.is_json { Ok(()) } else { writeln!(self.out, "{}", shown(capture)) }
    }

    pub fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let at_ns = row.what.at_ns();
        self.base_ns = self.base_ns.or(at_ns);
        let is_plain = matches!(row.verdicts, [Verdict::Passed | Verdict::NotRelayed | Verdict::Unfinished]);
        let is_of_interest = row.differs.unwrap_or(!is_plain);
        if !(self.is_whole || is_of_interest) {
            return Ok(());
        }
        if self.is_json {
            return writeln!(self.out, "{}", json::row(row, &self.capture));
        }
        let after_ns =
            at_ns.zip(self.base_ns).map(|(at_ns, base_ns)| i128::from(at_ns) - i128::from(base_ns));
        writeln!(self.out, "{}", text::row(row, after_ns))
    }

    /// A connection's end.
    pub fn end(&mut self, connection: &Connection) -> io::Result<()> {
        if self.is_json {
            return writeln!(self.out, "{}", json::connection(connection, &self.capture));
        }
        text::connection(connection).iter().try_for_each(|line| writeln!(self.out, "{line}"))
    }

    pub fn note(&mut self, text: &str) -> io::Result<()> {
        if self.is_json {
            return writeln!(self.out, "{}", json::note(text, &self.capture));
        }
        writeln!(self.out, "  note: {}", shown(text))
    }

    pub fn summary(&mut self, traffic: &Traffic, trials: &[Trial]) -> io::Result<()> {
        if self.is_json {
            writeln!(self.out, "{}", json::traffic(traffic))?;
            trials.iter().try_for_each(|trial| writeln!(self.out, "{}", json::trial(trial)))?;
        } else {
            write!(self.out, "{}", text::summary(traffic, trials))?;
        }
        self.out.flush()
    }
}

impl What {
    fn at_ns(&self) -> Option<u64> {
        match self {
            Self::Upgrade { at_ns } => *at_ns,
            Self::Item(item) => Some(item.at_ns),
            Self::Silence { at_ns } => Some(*at_ns),
        }
    }

    /// As `text`, `ping` or `upgrade`.
    fn name(&self) -> &'static str {
        match self {
            Self::Upgrade { .. } => "upgrade",
            Self::Item(item) => Opcode::new(item.opcode).map_or("reserved", Opcode::name),
            Self::Silence { .. } => "silence",
        }
    }
}

/// Names in captures are anybody's: nothing of them may steer a terminal.
fn shown(text: &str) -> String {
    text.chars().map(|one| if one.is_control() { '\u{fffd}' } else { one }).collect()
}
