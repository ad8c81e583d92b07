//! `sequence`, `order` and `duplicate`: what a message must be, given those before it.

use std::collections::HashSet;

use kdl::KdlNode;
use wsi_policy::CloseCode;
use wsi_policy::{
    Action, Compare, Directions, Discriminator, Duplicate, MessageFormat, Order, Sequence, State, StateCheck,
    StateRule, Transition, UnknownTypes, Validation,
};

use super::discriminator::{self, Found};
use super::validation::Surroundings;
use super::{choose, read_directions, reading};
use crate::diagnostics::Findings;
use crate::document::{self, Block, Value, property};
use crate::names;

const CLOSE: Action = Action::Close(CloseCode::POLICY_VIOLATION);
const KEYS_MAX: u64 = 4_096;
const STEP_MAX: u64 = 1_000_000_000;
const STATES_MAX: usize = 256;
const WINDOW_MAX: u64 = 1_000;
const WITHIN_MS_MAX: u64 = 3_600_000;
const REPEATS_MAX: u64 = 1_000;

/// All rules with a memory, of each kind in the order of the text.
pub(super) fn read_all(
    around: Surroundings<'_>,
    validations: &[Validation],
    findings: &mut Findings,
) -> Vec<StateRule> {
    let mut rules = Vec::new();
    for (kind, read) in [
        ("sequence", read_sequence as Read),
        ("order", read_order as Read),
        ("duplicate", read_duplicate as Read),
    ] {
        for (at, node) in around.agent.nodes(kind).enumerate() {
            let rule = Rule { node, name: format!("{kind}-{}", at + 1), around, validations };
            rules.extend(read(&rule, findings));
        }
    }
    rules
}

type Read = fn(&Rule<'_>, &mut Findings) -> Option<StateRule>;

/// A node, and what it stands in.
struct Rule<'a> {
    node: &'a KdlNode,
    name: String,
    around: Surroundings<'a>,
    validations: &'a [Validation],
}

impl<'a> Rule<'a> {
    fn block(&self) -> Block<'a> {
        Block::of(self.node)
    }

    fn finish(
        &self,
        keys_max: Option<u64>,
        directions: Directions,
        check: StateCheck,
        findings: &mut Findings,
    ) -> StateRule {
        let block = self.block();
        StateRule {
            name: self.name.clone(),
            reading: reading::read(block, self.validations, findings),
            key: self.pointer("key", findings),
            keys_max: keys_max.and_then(|max| u32::try_from(max).ok()).unwrap_or(StateRule::KEYS_MAX_DEFAULT),
            directions: read_directions(block, directions, findings),
            check,
        }
    }

    fn pointer(&self, name: &'static str, findings: &mut Findings) -> Option<String> {
        let value = self.block().value(name)?;
        findings.rule(self.around.policy, format!("{}/{name}", self.name), value.span());
        discriminator::read_pointer(value, findings)
    }

    fn integer(&self, name: &'static str, min: u64, max: u64, findings: &mut Findings) -> Option<u64> {
        self.block().value(name)?.integer(min..=max, findings)
    }
}

fn read_sequence(rule: &Rule<'_>, findings: &mut Findings) -> Option<StateRule> {
    let block = rule.block();
    let step = rule.integer("step", 1, STEP_MAX, findings);
    if let (Some(value), None) = (block.value("on-gap"), block.node("step")) {
        let help = "add step 1: without it any larger number may follow";
        findings.mistake(value.span(), "`on-gap` has no meaning without `step`", help);
    }
    let (on_gap, on_repeat) =
        (read_action(block, "on-gap", CLOSE, findings), read_action(block, "on-repeat", CLOSE, findings));
    let keys_max = rule.integer("max-keys", 1, KEYS_MAX, findings);
    let field = rule.pointer("field", findings)?;
    let check = StateCheck::Sequence(Sequence { field, step, on_gap, on_repeat });
    Some(rule.finish(keys_max, Directions::ToServer, check, findings))
}

fn read_duplicate(rule: &Rule<'_>, findings: &mut Findings) -> Option<StateRule> {
    let block = rule.block();
    let window = rule.integer("window", 1, WINDOW_MAX, findings);
    let compares = [("exact", Ok(Compare::Exact)), ("similar", Ok(Compare::Similar))];
    let duplicate = Duplicate {
        field: rule.pointer("field", findings),
        compare: choose(block, "compare", &compares, findings).unwrap_or_default(),
        within_ms: rule
            .integer("within-ms", 1, WITHIN_MS_MAX, findings)
            .unwrap_or(Duplicate::WITHIN_MS_DEFAULT),
        repeats_max: rule
            .integer("max-repeats", 0, REPEATS_MAX, findings)
            .and_then(|max| u32::try_from(max).ok())
            .unwrap_or_default(),
        action: read_action(block, "action", Action::Drop, findings),
    };
    let window = window.unwrap_or(Duplicate::WINDOW_DEFAULT.into());
    Some(rule.finish(Some(window), Directions::ToServer, StateCheck::Duplicate(duplicate), findings))
}

fn read_order(rule: &Rule<'_>, findings: &mut Findings) -> Option<StateRule> {
    let block = rule.block();
    let policies = [("reject", Ok(UnknownTypes::Reject)), ("allow", Ok(UnknownTypes::Allow))];
    let unknown_types = choose(block, "unknown-types", &policies, findings).unwrap_or_default();
    let action = read_action(block, "action", CLOSE, findings);
    let keys_max = rule.integer("max-keys", 1, KEYS_MAX, findings);
    let states = read_states(rule, findings);
    let (discriminator, span) = match rule.around.discriminator.or_of(block, findings) {
        Found::None => {
            let help = "say where a message names its type: discriminator \"/type\", here or in the agent";
            findings.mistake(rule.node.name().span(), "`order` needs a `discriminator`", help);
            return None;
        }
        Found::Wrong => return None,
        Found::At(discriminator, span) => (discriminator, span),
    };
    findings.rule(rule.around.policy, format!("{}/discriminator", rule.name), span);
    let is_oneof = matches!(discriminator, Discriminator::Oneof(_));
    let order = Order { discriminator, states, unknown_types, action };
    let made = rule.finish(keys_max, Directions::Both, StateCheck::Order(order), findings);
    if is_oneof && !matches!(made.reading.format, MessageFormat::Protobuf { .. }) {
        let help = "add format \"protobuf\" to the `order`, or name a field: discriminator \"/type\"";
        findings.mistake(span, "`oneof` belongs to format \"protobuf\"", help);
    }
    Some(made)
}

fn read_states(rule: &Rule<'_>, findings: &mut Findings) -> Vec<State> {
    let nodes: Vec<_> = rule.block().nodes("state").collect();
    let mut seen = HashSet::new();
    let names: Vec<_> = nodes.iter().map(|node| document::own_name(node, &mut seen, findings)).collect();
    if let Some(node) = nodes.get(STATES_MAX) {
        let message = format!("an `order` has at most {STATES_MAX} states");
        findings.mistake(node.name().span(), message, "split it over several");
    }
    let states: Vec<_> = nodes
        .iter()
        .zip(&names)
        .enumerate()
        .map(|(at, (node, name))| State {
            name: name.clone(),
            transitions: read_transitions(node, at, &names, findings),
        })
        .collect();
    warn_of_unreachable(&nodes, &states, findings);
    states
}

fn read_transitions(
    node: &KdlNode,
    own: usize,
    names: &[String],
    findings: &mut Findings,
) -> Vec<Transition> {
    let mut transitions: Vec<Transition> = Vec::new();
    for node in Block::of(node).nodes("on") {
        let Some(value) = document::argument(node) else { continue };
        let Some(kind) = value.label(findings) else { continue };
        let directions = property(node, "direction");
        let directions =
            directions.and_then(|value| read_direction(value, findings)).unwrap_or(Directions::Both);
        let to = property(node, "to").map_or(Some(own), |value| read_state(value, names, findings));
        let is_taken = |earlier: &Transition| earlier.kind == kind && overlap(earlier.directions, directions);
        if transitions.iter().any(is_taken) {
            let message = format!("what follows \"{kind}\" in this state is said already");
            findings.mistake(
                value.span(),
                message,
                "remove one of them, or give each a direction of its own",
            );
        }
        transitions.extend(to.map(|to| Transition { kind: kind.to_owned(), directions, to }));
    }
    transitions
}

fn read_direction(value: Value<'_>, findings: &mut Findings) -> Option<Directions> {
    let choices = [
        ("to-server", Ok(Directions::ToServer)),
        ("to-client", Ok(Directions::ToClient)),
        ("both", Ok(Directions::Both)),
    ];
    value.choice(&choices, findings)
}

fn read_state(value: Value<'_>, names: &[String], findings: &mut Findings) -> Option<usize> {
    let name = value.string(findings)?;
    let found = names.iter().position(|own| own == name);
    if found.is_none() {
        let help = names::suggestion(name, names.iter().map(String::as_str));
        findings.mistake(value.span(), format!("this `order` has no state \"{name}\""), help);
    }
    found
}

fn overlap(left: Directions, right: Directions) -> bool {
    left == right || left == Directions::Both || right == Directions::Both
}

/// A state that no message leads to is most likely a misspelling.
fn warn_of_unreachable(nodes: &[&KdlNode], states: &[State], findings: &mut Findings) {
    let mut reached = HashSet::from([0]);
    let mut pending = vec![0];
    while let Some(state) = pending.pop().and_then(|at: usize| states.get(at)) {
        pending.extend(state.transitions.iter().map(|each| each.to).filter(|to| reached.insert(*to)));
    }
    for (at, (node, state)) in nodes.iter().zip(states).enumerate() {
        if !reached.contains(&at) {
            let text = format!("no message leads to the state \"{}\"", state.name);
            findings.warning(document::name_span(node), text);
        }
    }
}

fn read_action(block: Block<'_>, name: &'static str, default: Action, findings: &mut Findings) -> Action {
    let choices = [("close", Ok(CLOSE)), ("drop", Ok(Action::Drop)), ("alert", Ok(Action::Alert))];
    choose(block, name, &choices, findings).unwrap_or(default)
}
