//! Puts one policy to its attacks.

use std::{collections::BTreeMap, sync::Arc};

use wsi_config::policy::{Direction, Policy};
use wsi_inspect::Engine;

use super::{
    attacks::{Class, upgrades},
    relay::{Inspected, Relay},
    suite::{Suite, WHOLE},
    trial::{Delivery, Outcome, Variant},
};

/// Slips and the like of each row that are kept with their bytes; all are counted.
const DETAILS_MAX: usize = 3;

/// Makes the relay that is tried, under an engine.
pub(super) type Build<'a> = &'a dyn Fn(Arc<Engine>) -> Result<Box<dyn Relay>, String>;

/// The relay that `run` would use.
///
/// # Errors
/// Hyperscan's, when scratch space can't be had.
pub(super) fn product(engine: Arc<Engine>) -> Result<Box<dyn Relay>, String> {
    Ok(Box::new(Inspected::new(engine)?))
}

/// What became of all attacks on one policy.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub rows: BTreeMap<(Class, &'static str), Row>,
    /// Attacks that got through, or did not end as they should; the first [`DETAILS_MAX`] of each row.
    pub slips: Vec<Detail>,
    /// Benign messages that a rule of the user's own stops, by rule.
    pub benign: BTreeMap<String, Vec<String>>,
    /// What the policy does not claim to stop: how many were tried, and how many passed.
    pub not_claimed: BTreeMap<String, (usize, usize)>,
    /// Every attack and what became of it.
    pub log: Vec<Detail>,
}

#[derive(Debug, Default)]
pub(super) struct Row {
    pub tried: usize,
    pub right: usize,
    pub slipped: usize,
    /// Neither: it did not get through, but did not end as it should.
    pub wrong: usize,
    pub how: BTreeMap<String, usize>,
}

/// One attack and what became of it.
#[derive(Debug)]
pub(super) struct Detail {
    pub class: Class,
    pub group: &'static str,
    pub name: String,
    /// In words.
    pub way: String,
    pub sent: Vec<u8>,
    pub outcome: Outcome,
}

impl Findings {
    /// # Errors
    /// What keeps the relay from being made.
    pub fn of(policy: &Policy, suite: &Suite, build: Build<'_>) -> Result<Self, String> {
        let mut relays =
            suite.engines.iter().map(|engine| build(Arc::clone(engine))).collect::<Result<Vec<_>, _>>()?;
        let mut findings = Self::default();
        findings.try_upgrades(policy, &mut *relays[WHOLE]);
        for trial in &suite.trials {
            let variant = &trial.variant;
            for delivery in variant.deliveries() {
                let tried = trial.engines.iter().map(|place| {
                    let outcome = variant.play(&mut *relays[*place], &suite.offer, *delivery);
                    outcome.unwrap_or_else(|| Outcome::Wrong("compression was not agreed on".into()))
                });
                // A rule must do alone what it claims, and all of them together no less.
                let outcome = tried.max_by_key(gravity).unwrap_or_else(|| Outcome::Right("untried".into()));
                match &trial.not_claimed {
                    Some(words) => findings.note_not_claimed(words, &outcome),
                    None => findings.note(detail(variant, *delivery, outcome)),
                }
            }
        }
        Ok(findings)
    }

    pub fn slipped(&self) -> usize {
        self.rows.values().map(|row| row.slipped).sum()
    }

    pub fn wrong(&self) -> usize {
        self.rows.values().map(|row| row.wrong).sum()
    }

    fn try_upgrades(&mut self, policy: &Policy, relay: &mut dyn Relay) {
        let note = |findings: &mut Self, group, name: &str, way: &str, sent: &[u8], outcome| {
            findings.note(Detail {
                class: Class::Handshake,
                group,
                name: name.to_owned(),
                way: way.to_owned(),
                sent: sent.to_vec(),
                outcome,
            });
        };
        for attack in upgrades::all(policy).iter().chain(&upgrades::two_origins(policy)) {
            for bytewise in [false, true] {
                // A head of megabytes is refused long before its end.
                if bytewise && attack.request.len() > 100_000 {
                    continue;
                }
                let way = if bytewise { Delivery::Bytewise } else { Delivery::OneWrite }.name();
                let outcome = attack.play(relay, bytewise);
                note(self, attack.group, &attack.name, way, &attack.request, outcome);
            }
        }
        for (name, outcome) in upgrades::quiet(policy, relay) {
            note(self, "what is passed on", name, "", b"", outcome);
        }
    }

    fn note_not_claimed(&mut self, words: &str, outcome: &Outcome) {
        let (tried, passed) = self.not_claimed.entry(words.to_owned()).or_default();
        *tried += 1;
        *passed += usize::from(matches!(outcome, Outcome::Slipped { .. }));
    }

    fn note(&mut self, detail: Detail) {
        let row = self.rows.entry((detail.class, detail.group)).or_default();
        row.tried += 1;
        match &detail.outcome {
            Outcome::Right(how) => {
                row.right += 1;
                *row.how.entry(how.clone()).or_default() += 1;
            }
            Outcome::Wrong(rule) if detail.class == Class::Benign && is_own_rule(rule) => {
                *row.how.entry("stopped by your rules".into()).or_default() += 1;
                let stopped = self.benign.entry(rule.clone()).or_default();
                if !stopped.contains(&detail.name) {
                    stopped.push(detail.name.clone());
                }
            }
            Outcome::Slipped { .. } => {
                row.slipped += 1;
                self.keep(&detail);
            }
            Outcome::Wrong(_) => {
                row.wrong += 1;
                self.keep(&detail);
            }
        }
        self.log.push(detail);
    }

    fn keep(&mut self, detail: &Detail) {
        let is_alike = |slip: &&Detail| (slip.class, slip.group) == (detail.class, detail.group);
        if self.slips.iter().filter(is_alike).count() < DETAILS_MAX {
            let Detail { class, group, .. } = *detail;
            self.slips.push(Detail {
                class,
                group,
                name: detail.name.clone(),
                way: detail.way.clone(),
                sent: detail.sent.clone(),
                outcome: detail.outcome.clone(),
            });
        }
    }
}

fn detail(variant: &Variant, delivery: Delivery, outcome: Outcome) -> Detail {
    let to = if variant.direction == Direction::ToServer { "to the server" } else { "to the client" };
    Detail {
        class: variant.class,
        group: variant.group,
        name: variant.name.clone(),
        way: format!("{to}, {}", delivery.name()),
        sent: variant.wire.clone(),
        outcome,
    }
}

fn gravity(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Right(_) => 0,
        Outcome::Wrong(_) => 1,
        Outcome::Slipped { .. } => 2,
    }
}

/// A pattern or limit that the user wrote, rather than a built-in rule, which must know better.
fn is_own_rule(rule: &str) -> bool {
    rule.contains("/block-patterns-") || rule.ends_with("/max-message-size") || rule.starts_with("limits/")
}
