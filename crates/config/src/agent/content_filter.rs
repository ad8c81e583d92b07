//! `content-filter`: what a payload must not hold.

use kdl::KdlNode;
use wsi_policy::CloseCode;
use wsi_policy::{Action, ContentFilter, Directions, Normalize};

use super::{limits, pattern, read_action, read_directions, read_reply};
use crate::diagnostics::Findings;
use crate::document::Block;

/// The built-in sets that `rules` may name.
pub const KNOWN_RULE_SETS: [&str; 3] = ["xss", "sqli", "command-injection"];

/// Each match may become as long.
const REDACT_WITH_SIZE_MAX: usize = 256;

pub(super) fn read_all(policy: &str, agent: Block<'_>, findings: &mut Findings) -> Vec<ContentFilter> {
    let nodes = agent.nodes("content-filter").enumerate();
    nodes.map(|(at, node)| read(policy, node, format!("content-filter-{}", at + 1), findings)).collect()
}

fn read(policy: &str, node: &KdlNode, name: String, findings: &mut Findings) -> ContentFilter {
    let block = Block::of(node);
    if ["block-patterns", "rules", "max-message-size"].into_iter().all(|own| block.node(own).is_none()) {
        let help = "add `block-patterns`, `rules` or `max-message-size`";
        findings.mistake(node.name().span(), "this `content-filter` blocks nothing", help);
    }
    let patterns = block.values("block-patterns").unwrap_or_default();
    for (at, value) in patterns.iter().enumerate() {
        findings.rule(policy, format!("{name}/block-patterns-{}", at + 1), value.span());
    }
    let actions = [("alert", Ok(Action::Alert)), ("redact", Ok(Action::Redact))];
    let action = read_action(block, CloseCode::POLICY_VIOLATION, &actions, findings);
    ContentFilter {
        name,
        patterns: patterns.into_iter().filter_map(|value| pattern::read(value, findings)).collect(),
        rule_sets: read_rule_sets(block, findings),
        directions: read_directions(block, Directions::Both, findings),
        normalize: read_normalize(block, findings),
        action,
        redact_with: read_redact_with(block, action, findings),
        reply: read_reply(block, action, findings),
        message_size_max: read_size(block, findings),
    }
}

fn read_rule_sets(block: Block<'_>, findings: &mut Findings) -> Vec<String> {
    let choices = KNOWN_RULE_SETS.map(|name| (name, Ok(name)));
    let mut names: Vec<String> = Vec::new();
    for value in block.values("rules").unwrap_or_default() {
        match value.choice(&choices, findings) {
            Some(name) if !names.iter().any(|earlier| earlier == name) => names.push(name.to_owned()),
            _ => {}
        }
    }
    names
}

/// What is undone before matching: everything but base64, unless the node says otherwise.
fn read_normalize(block: Block<'_>, findings: &mut Findings) -> Normalize {
    let Some(node) = block.node("normalize") else { return Normalize::default() };
    let choices = ["json", "percent", "html", "unicode", "base64", "none"].map(|name| (name, Ok(name)));
    let values = block.values("normalize").unwrap_or_default();
    let chosen: Vec<_> = values.iter().filter_map(|value| value.choice(&choices, findings)).collect();
    let names = |name| chosen.contains(&name);
    if names("none") && chosen.iter().any(|name| *name != "none") {
        let message = "`normalize \"none\"` says that nothing is undone, and the other values what is";
        findings.mistake(node.name().span(), message, "remove \"none\" or the others");
    }
    Normalize {
        json: names("json"),
        percent: names("percent"),
        html: names("html"),
        unicode: names("unicode"),
        base64: names("base64"),
    }
}

/// What takes the place of a match.
fn read_redact_with(block: Block<'_>, action: Action, findings: &mut Findings) -> Option<String> {
    let value = block.value("redact-with")?;
    let text = value.string(findings)?;
    if text.len() > REDACT_WITH_SIZE_MAX {
        let message = format!("this text is longer than {REDACT_WITH_SIZE_MAX} bytes");
        findings.mistake(value.span(), message, "write a word, as \"[removed]\"");
    }
    if action != Action::Redact {
        findings.warning(value.span(), "`redact-with` has no effect without action \"redact\"");
    }
    Some(text.to_owned())
}

fn read_size(block: Block<'_>, findings: &mut Findings) -> Option<u64> {
    block.value("max-message-size")?.size(1..=limits::MESSAGE_SIZE_MAX, findings)
}
