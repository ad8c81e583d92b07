//! Plain counters of one policy on one core.

use wsi_policy::Direction;

use crate::rules::RuleId;

/// Counts since start. Arrays of two are indexed by [`Direction::index`].
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub messages: [u64; 2],
    pub message_bytes: [u64; 2],
    pub control_frames: [u64; 2],
    pub passed_uninspected: u64,
    /// Messages and control frames that passed redacted, and those that were to be and could not.
    pub redacted: u64,
    pub redact_failures: u64,
    /// Messages that passed rewritten, and those that were to be and could not.
    pub rewritten: u64,
    pub rewrite_failures: u64,
    /// Replies to senders of dropped messages, and those that were left out because the sender did not take them.
    pub replies_sent: u64,
    pub replies_omitted: u64,
    /// Upgrades that were answered with 101, and with anything else.
    pub upgrades_accepted: u64,
    pub upgrades_refused: u64,
    /// Verdicts other than allow, by [`RuleId::index`]; detect mode counts too.
    pub verdicts: Vec<[u64; 2]>,
}

impl Stats {
    pub(crate) fn new(rules: usize) -> Self {
        Self { verdicts: vec![[0; 2]; rules], ..Self::default() }
    }

    #[inline]
    pub(crate) fn record_message(&mut self, direction: Direction, size: usize) {
        self.messages[direction.index()] += 1;
        self.message_bytes[direction.index()] += size as u64;
    }

    pub(crate) fn record_verdict(&mut self, direction: Direction, rule: RuleId) {
        if let Some(count) = self.verdicts.get_mut(rule.index()) {
            count[direction.index()] += 1;
        }
    }
}
