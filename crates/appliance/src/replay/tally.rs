//! What a run adds up to.

use std::{collections::BTreeMap, time::Duration};

use wsi_config::policy::{Action, Direction};
use wsi_inspect::Outcome;

use super::verdict::{Deed, Told, Verdict};

/// What was in the captures, whatever the policy. Arrays are by [`Direction::index`].
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub captures: u64,
    pub connections: u64,
    pub messages: [u64; 2],
    /// Payload, after inflating where a session did.
    pub bytes: [u64; 2],
    pub control_frames: [u64; 2],
    /// Messages whose end is not in the capture.
    pub unfinished: [u64; 2],
    /// Connections that could not be followed to their end.
    pub not_followed: u64,
    /// With two configurations: verdicts that differ.
    pub differences: u64,
    /// With two configurations: messages that only one of them had before it.
    pub not_compared: u64,
}

/// What one configuration said.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By rule and what was done: towards the server and the client.
    pub verdicts: BTreeMap<(String, Deed), [u64; 2]>,
    pub closes: u64,
    pub drops: u64,
    pub redactions: u64,
    pub alerts: u64,
    pub refused_upgrades: u64,
    pub could_not_inspect: u64,
    /// Messages.
    pub not_relayed: [u64; 2],
    /// Messages that were inspected to their end, or until a verdict.
    pub inspected: u64,
    pub spent: Duration,
}

impl Tally {
    /// `direction` is none where it is about the connection.
    pub fn add(&mut self, verdict: &Verdict, direction: Option<Direction>, is_message: bool) {
        match verdict {
            Verdict::NotRelayed if is_message => {
                self.not_relayed[direction.map_or(0, Direction::index)] += 1;
                return;
            }
            Verdict::NotRelayed | Verdict::Unfinished => return,
            Verdict::Passed => {}
            Verdict::Told(told) => self.add_told(told, direction),
        }
        self.inspected += u64::from(is_message);
    }

    fn add_told(&mut self, told: &Told, direction: Option<Direction>) {
        let counts = self.verdicts.entry((told.rule.clone(), told.deed())).or_default();
        counts[direction.map_or(0, Direction::index)] += 1;
        self.could_not_inspect += u64::from(told.could_not_inspect());
        match told.outcome {
            Outcome::Message(Action::Close(_)) => self.closes += 1,
            Outcome::Message(Action::Drop) => self.drops += 1,
            Outcome::Message(Action::Redact) => self.redactions += 1,
            Outcome::Message(Action::Alert) => self.alerts += 1,
            Outcome::Refused(_) => self.refused_upgrades += 1,
            Outcome::PassedUninspected => {}
        }
    }

    /// Something did not pass, or would not have.
    pub fn stopped(&self) -> bool {
        self.closes + self.drops + self.refused_upgrades > 0
    }
}
