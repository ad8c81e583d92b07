//! `agent`: a policy.

mod content_filter;
mod discriminator;
mod handshake;
mod limits;
mod pattern;
mod rate_limit;
mod reading;
mod registry;
mod rewrite;
mod schema_file;
mod state;
mod transport;
mod validation;

use std::collections::HashSet;
use std::path::Path;

use kdl::KdlNode;
use wsi_policy::CloseCode;
use wsi_policy::{Action, Directions, EventKind, EventSet, FailureMode, Mode, Policy};

pub use self::content_filter::KNOWN_RULE_SETS;

use self::discriminator::Found;
use crate::diagnostics::Findings;
use crate::document::{self, Block, Choice};

const TIMEOUT_MS_MAX: u64 = 60_000;
/// So that an answer is small beside what a connection may hold anyway.
const REPLY_SIZE_MAX: usize = 4096;

/// Without `events`: the life of a connection, but not each of its messages.
const EVENTS_DEFAULT: [EventKind; 3] = [EventKind::Handshake, EventKind::Open, EventKind::Close];

/// All policies in the order of the text.
pub(crate) fn read_all(root: Block<'_>, base: &Path, findings: &mut Findings) -> Vec<Policy> {
    let mut names = HashSet::new();
    root.nodes("agent").map(|node| read(node, base, &mut names, findings)).collect()
}

fn read<'d>(node: &'d KdlNode, base: &Path, names: &mut HashSet<&'d str>, findings: &mut Findings) -> Policy {
    let block = Block::of(node);
    block.value("type").and_then(|value| value.choice(&[("websocket_inspector", Ok(()))], findings));
    let failure_modes = [("open", Ok(FailureMode::Open)), ("closed", Ok(FailureMode::Closed))];
    let modes = [("enforce", Ok(Mode::Enforce)), ("detect", Ok(Mode::Detect))];
    let name = document::own_name(node, names, findings);
    let discriminator = Found::of(block, findings);
    let around =
        validation::Surroundings { policy: &name, agent: block, discriminator: &discriminator, base };
    let validations = validation::read_all(around, findings);
    if block.node("transport").is_some() {
        warn_of_proxy(block, findings);
    }
    Policy {
        transport: transport::read(block, findings),
        events: read_events(block, findings),
        timeout_ms: block
            .value("timeout-ms")
            .and_then(|value| value.integer(1..=TIMEOUT_MS_MAX, findings))
            .unwrap_or(Policy::TIMEOUT_MS_DEFAULT),
        failure_mode: choose(block, "failure-mode", &failure_modes, findings).unwrap_or_default(),
        mode: choose(block, "mode", &modes, findings).unwrap_or_default(),
        handshake: handshake::read(block, findings),
        limits: limits::read(block, findings),
        rate_limits: rate_limit::read_all(around, &validations, findings),
        violations: rate_limit::read_violations(block, findings),
        states: state::read_all(around, &validations, findings),
        validations,
        content_filters: content_filter::read_all(&name, block, findings),
        rewrites: rewrite::read_all(&name, block, base, findings),
        name,
    }
}

fn read_events(block: Block<'_>, findings: &mut Findings) -> EventSet {
    let Some(values) = block.values("events") else { return EVENTS_DEFAULT.into_iter().collect() };
    let choices = EventKind::ALL.map(|kind| (kind.name(), Ok(kind)));
    values.into_iter().filter_map(|value| value.choice(&choices, findings)).collect()
}

fn choose<T: Copy>(
    block: Block<'_>,
    name: &'static str,
    choices: &[Choice<T>],
    findings: &mut Findings,
) -> Option<T> {
    block.value(name)?.choice(choices, findings)
}

fn read_directions(block: Block<'_>, default: Directions, findings: &mut Findings) -> Directions {
    let choices = [
        ("to-server", Ok(Directions::ToServer)),
        ("to-client", Ok(Directions::ToClient)),
        ("both", Ok(Directions::Both)),
    ];
    choose(block, "direction", &choices, findings).unwrap_or(default)
}

/// `reply` of a rule with `action`.
fn read_reply(block: Block<'_>, action: Action, findings: &mut Findings) -> Option<String> {
    let value = block.value("reply")?;
    let text = value.string(findings)?;
    if text.len() > REPLY_SIZE_MAX {
        let message = format!("this reply is longer than {REPLY_SIZE_MAX} bytes");
        findings.mistake(value.span(), message, "send a code or a link instead");
    }
    // What can't be redacted is dropped.
    if !matches!(action, Action::Drop | Action::Redact) {
        let message =
            "`reply` has no effect: it is sent when this rule drops a message, and its action is another";
        findings.warning(value.span(), message);
        return None;
    }
    Some(text.to_owned())
}

/// A proxy passes a message or withholds it: it sends nothing of ours.
fn warn_of_proxy(agent: Block<'_>, findings: &mut Findings) {
    for rewrite in agent.nodes("rewrite") {
        let message = "behind a Sentinel proxy a message that this would change is dropped: such a proxy can't pass it changed";
        findings.warning(rewrite.name().span(), message);
    }
    for rule in ["validation", "rate-limit", "content-filter"].into_iter().flat_map(|name| agent.nodes(name))
    {
        let block = Block::of(rule);
        if let Some(reply) = block.node("reply") {
            let message =
                "`reply` has no effect behind a Sentinel proxy, which can't be given messages to send";
            findings.warning(reply.name().span(), message);
        }
        if let Some(action) = block.value("action").filter(|value| value.text().as_deref() == Some("redact"))
        {
            let message = "behind a Sentinel proxy this drops: such a proxy can't pass a message changed";
            findings.warning(action.span(), message);
        }
    }
}

/// `action` of a rule that closes with `code` by default; `more` are the choices beside close and drop.
fn read_action(
    block: Block<'_>,
    code: CloseCode,
    more: &[Choice<Action>],
    findings: &mut Findings,
) -> Action {
    let close = Action::Close(code);
    let mut choices = vec![("close", Ok(close)), ("drop", Ok(Action::Drop))];
    choices.extend_from_slice(more);
    choose(block, "action", &choices, findings).unwrap_or(close)
}
