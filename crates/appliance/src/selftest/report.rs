//! What the self-test found, for people and for machines.

use std::fmt::Write;

use serde_json::{Value, json};
use wsi_config::policy::{Mode, Policy};

use super::{
    runner::{Detail, Findings, Row},
    suite::Suite,
    trial::{Expect, Outcome, Variant},
};

/// Bytes of an attack that are shown.
const SHOWN_SIZE_MAX: usize = 48;

/// One policy and what was found about it.
pub(super) struct Report {
    pub name: String,
    pub mode: Mode,
    pub findings: Findings,
    pub not_claimed: Vec<String>,
    pub untried: Vec<String>,
}

impl Report {
    pub fn new(policy: &Policy, suite: Suite, findings: Findings) -> Self {
        let encodings = findings
            .not_claimed
            .iter()
            .map(|(words, (tried, passed))| format!("{words}; {passed} of {tried} pass"));
        let not_claimed = suite.not_claimed.into_iter().chain(encodings).collect();
        Self { name: policy.name.clone(), mode: policy.mode, findings, not_claimed, untried: suite.untried }
    }

    pub fn holds(&self) -> bool {
        self.findings.slipped() + self.findings.wrong() == 0
    }

    /// The table and what belongs to it.
    pub fn text(&self, verbose: bool) -> String {
        let mut out = String::new();
        // Writing to a String can't fail.
        let _ = writeln!(out, "policy {:?}{}\n", self.name, mode_note(self.mode));
        let stopped = if self.mode == Mode::Detect { "TOLD" } else { "STOPPED" };
        let _ = writeln!(
            out,
            "  {:<14} {:<22} {:>6} {:>8} {:>8} {:>6}  HOW",
            "CLASS", "ATTACKS", "TRIED", stopped, "SLIPPED", "WRONG"
        );
        for ((class, group), row) in &self.findings.rows {
            let _ = writeln!(
                out,
                "  {:<14} {group:<22} {:>6} {:>8} {:>8} {:>6}  {}",
                class.name(),
                row.tried,
                row.right,
                row.slipped,
                row.wrong,
                how(row)
            );
            if verbose {
                let own =
                    self.findings.log.iter().filter(|each| (each.class, each.group) == (*class, *group));
                own.for_each(|detail| {
                    let _ = writeln!(out, "      {}, {}: {}", detail.name, detail.way, end(&detail.outcome));
                });
            }
        }
        out + &self.details() + &self.sections()
    }

    fn details(&self) -> String {
        let Findings { slips, .. } = &self.findings;
        let mut out = String::new();
        let total = self.findings.slipped() + self.findings.wrong();
        if total > 0 {
            let _ = writeln!(out, "\n  slipped or went wrong, {} of {total}:", slips.len());
        }
        for slip in slips {
            let _ = writeln!(out, "    {} / {}: {}, {}", slip.class.name(), slip.group, slip.name, slip.way);
            let _ = writeln!(out, "      sent     {}", hex(&slip.sent));
            match &slip.outcome {
                Outcome::Slipped { bytes, rule } => {
                    let _ = writeln!(out, "      arrived  {}  {:?}", hex(bytes), shown(bytes));
                    let _ = writeln!(out, "      past     {rule}");
                }
                outcome => {
                    let _ = writeln!(out, "      {}", end(outcome));
                }
            }
        }
        out
    }

    fn sections(&self) -> String {
        let benign = self.findings.benign.iter().map(|(rule, names)| format!("{rule}: {}", names.join("  ")));
        let mut out = String::new();
        for (title, lines) in [
            ("not claimed by this policy", self.not_claimed.clone()),
            ("not tried", self.untried.clone()),
            ("benign messages that your rules stop", benign.collect()),
        ] {
            if !lines.is_empty() {
                let _ = writeln!(out, "\n  {title}:");
            }
            for line in lines {
                let _ = writeln!(out, "    {line}");
            }
        }
        out
    }

    pub fn json(&self) -> Value {
        let rows = self.findings.rows.iter().map(|((class, group), row)| {
            json!({
                "class": class.name(), "attacks": group, "tried": row.tried, "stopped": row.right,
                "slipped": row.slipped, "wrong": row.wrong, "how": row.how,
            })
        });
        json!({
            "policy": self.name,
            "mode": if self.mode == Mode::Detect { "detect" } else { "enforce" },
            "slipped": self.findings.slipped(),
            "wrong": self.findings.wrong(),
            "rows": rows.collect::<Vec<_>>(),
            "details": self.findings.slips.iter().map(detail_json).collect::<Vec<_>>(),
            "not_claimed": self.not_claimed,
            "not_tried": self.untried,
            "benign_stopped": self.findings.benign,
        })
    }
}

/// An attack on an open connection as one line, for whoever wants to send it over a socket.
pub(super) fn emitted(policy: &str, variant: &Variant) -> Value {
    let (expect, codes) = match &variant.expect {
        Expect::Stopped(_) => ("stopped", &[][..]),
        Expect::Refused { codes, .. } => ("refused", *codes),
        Expect::AtMost(..) => ("at-most", &[][..]),
        Expect::Passes { .. } => ("passes", &[][..]),
    };
    let arrives: Vec<_> = match &variant.expect {
        Expect::Passes { messages, controls } => messages
            .iter()
            .chain(controls)
            .map(|(opcode, payload)| json!([opcode, whole_hex(payload)]))
            .collect(),
        _ => Vec::new(),
    };
    json!({
        "policy": policy, "class": variant.class.name(), "attacks": variant.group, "name": variant.name,
        "direction": variant.direction.name(), "compressed": variant.compressed,
        "after": variant.after.name(), "expect": expect, "codes": codes,
        "arrives": arrives,
        "token": whole_hex(&variant.token), "bytes": whole_hex(&variant.wire),
    })
}

fn detail_json(detail: &Detail) -> Value {
    let (kind, bytes, rule) = match &detail.outcome {
        Outcome::Right(how) => ("right", None, how),
        Outcome::Slipped { bytes, rule } => ("slipped", Some(hex(bytes)), rule),
        Outcome::Wrong(why) => ("wrong", None, why),
    };
    json!({
        "class": detail.class.name(), "attacks": detail.group, "name": detail.name, "way": detail.way,
        "outcome": kind, "sent": hex(&detail.sent), "arrived": bytes, "why": rule,
    })
}

const fn mode_note(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "",
        Mode::Detect => ", in detect mode: rules tell and stop nothing; the protocol and the limits hold",
    }
}

fn how(row: &Row) -> String {
    let ways: Vec<_> = row
        .how
        .iter()
        .map(|(how, count)| if *count == row.tried { how.clone() } else { format!("{how} x{count}") })
        .collect();
    ways.join(", ")
}

fn end(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Right(how) => how.clone(),
        Outcome::Slipped { rule, .. } => format!("SLIPPED past {rule}"),
        Outcome::Wrong(why) => format!("WRONG: {why}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(SHOWN_SIZE_MAX)];
    let more = if head.len() < bytes.len() { format!("... ({} bytes)", bytes.len()) } else { String::new() };
    whole_hex(head) + &more
}

fn whole_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_SIZE_MAX)]).into_owned()
}
