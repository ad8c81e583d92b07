//! `content-filter`: what a payload must not hold.

use kdl::KdlNode;
use wsi_policy::CloseCode;
use wsi_policy::{Action, ContentFilter, Directions};

use super::{limits, pattern, read_action, read_directions};
use crate::diagnostics::Findings;
use crate::document::Block;

/// The built-in sets that `rules` may name.
pub const KNOWN_RULE_SETS: [&str; 3] = ["xss", "sqli", "command-injection"];

const DECODING_NOT_BUILT: &str = "remove it; \"json\" undoes the escapes of JSON strings, \"none\" nothing";

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
    let actions = [
        ("alert", Ok(Action::Alert)),
        ("redact", Err("use \"drop\" or \"close\"; a message passes whole or not at all")),
    ];
    ContentFilter {
        name,
        patterns: patterns.into_iter().filter_map(|value| pattern::read(value, findings)).collect(),
        rule_sets: read_rule_sets(block, findings),
        directions: read_directions(block, Directions::Both, findings),
        normalize_json: read_normalize(block, findings),
        action: read_action(block, CloseCode::POLICY_VIOLATION, &actions, findings),
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

/// Whether escapes of JSON are undone: yes, unless "none" is said.
fn read_normalize(block: Block<'_>, findings: &mut Findings) -> bool {
    let choices = [
        ("json", Ok(true)),
        ("none", Ok(false)),
        ("percent", Err(DECODING_NOT_BUILT)),
        ("html", Err(DECODING_NOT_BUILT)),
        ("unicode", Err(DECODING_NOT_BUILT)),
        ("base64", Err(DECODING_NOT_BUILT)),
    ];
    let values = block.values("normalize").unwrap_or_default();
    let chosen: Vec<_> = values.iter().filter_map(|value| value.choice(&choices, findings)).collect();
    match (chosen.contains(&true), chosen.contains(&false), block.node("normalize")) {
        (true, true, Some(node)) => {
            let message = "`normalize` can't be \"json\" and \"none\" at once";
            findings.mistake(node.name().span(), message, "remove one of them");
            true
        }
        (json, none, _) => json || !none,
    }
}

fn read_size(block: Block<'_>, findings: &mut Findings) -> Option<u64> {
    block.value("max-message-size")?.size(1..=limits::MESSAGE_SIZE_MAX, findings)
}
