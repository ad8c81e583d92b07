//! What a session tells.

use wsi_config::policy::{Action, Direction, Mode};
use wsi_inspect::{Event, EventSink, Outcome, RuleId};

/// What is told during one call.
#[derive(Debug, Default)]
pub(super) struct Ears {
    pub policy: Option<usize>,
    pub told: Vec<Heard>,
    pub passed: bool,
    pub size: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Heard {
    pub rule: RuleId,
    pub direction: Option<Direction>,
    pub outcome: Outcome,
    pub mode: Mode,
    pub detail: String,
}

impl Ears {
    /// The connection is over.
    pub fn ends(&self) -> bool {
        self.told.iter().any(|heard| {
            heard.mode == Mode::Enforce && matches!(heard.outcome, Outcome::Message(Action::Close(_)))
        })
    }
}

impl EventSink for Ears {
    fn policy_chosen(&mut self, policy: usize) {
        self.policy = Some(policy);
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Verdict(verdict) => {
                if verdict.opcode.is_some() {
                    self.size = Some(verdict.size as u64);
                }
                self.told.push(Heard {
                    rule: verdict.rule,
                    direction: verdict.direction,
                    outcome: verdict.outcome,
                    mode: verdict.mode,
                    detail: verdict.detail.to_owned(),
                });
            }
            Event::Message { size, .. } => {
                self.size = Some(size as u64);
                self.passed = true;
            }
            Event::Ping { .. } | Event::Pong { .. } => self.passed = true,
            Event::Handshake { .. } | Event::Open { .. } | Event::Close { .. } => {}
        }
    }
}
