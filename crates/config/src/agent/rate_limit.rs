//! `rate-limit` and `violations`: how much may come, and how fast.

use std::collections::HashSet;

use kdl::KdlNode;
use wsi_policy::CloseCode;
use wsi_policy::{
    Cost, Directions, Discriminator, MessageFormat, Per, Rate, RateLimit, Rates, TypeRate, TypeRates,
    Validation, Violations,
};

use super::discriminator::Found;
use super::validation::Surroundings;
use super::{choose, read_action, read_directions, read_reply, reading};
use crate::diagnostics::Findings;
use crate::document::{self, Block, Value, property};

const MESSAGES_MAX: u64 = 1_000_000;
/// So that a bucket that counts in billionths of a byte still fits 64 bits.
const BYTES_MAX: u64 = 16 << 30;
const CLIENTS_MAX: u64 = 1 << 24;
const TYPES_MAX: u64 = 1_024;
const VIOLATIONS_MAX: u64 = 1_000;
const WITHIN_S_MAX: u64 = 86_400;

/// A rate, what may come at once after a pause, and whether both are sizes.
const RATES: [(&str, &str, bool); 3] = [
    ("messages-per-second", "burst", false),
    ("bytes-per-second", "burst-bytes", true),
    ("inflated-bytes-per-second", "burst-inflated-bytes", true),
];

pub(super) fn read_all(
    around: Surroundings<'_>,
    validations: &[Validation],
    findings: &mut Findings,
) -> Vec<RateLimit> {
    let nodes = around.agent.nodes("rate-limit").enumerate();
    nodes
        .map(|(at, node)| read(node, format!("rate-limit-{}", at + 1), around, validations, findings))
        .collect()
}

pub(super) fn read_violations(agent: Block<'_>, findings: &mut Findings) -> Option<Violations> {
    let block = agent.block("violations")?;
    let mut integer = |name, max| block.value(name).and_then(|value| value.integer(1..=max, findings));
    let (max, within_s) = (integer("max", VIOLATIONS_MAX), integer("within-s", WITHIN_S_MAX));
    let directions = read_directions(block, Directions::Both, findings);
    Some(Violations { max: u32::try_from(max?).ok()?, within_s: within_s?, directions })
}

fn read(
    node: &KdlNode,
    name: String,
    around: Surroundings<'_>,
    validations: &[Validation],
    findings: &mut Findings,
) -> RateLimit {
    let block = Block::of(node);
    let rates = read_rates(|name| block.value(name), findings);
    let per = read_per(block, findings);
    let cost = read_cost(block, findings);
    let types = read_types(node, &name, per, (rates, around, validations), findings);
    let of_types = types.iter().flat_map(|types| &types.types).map(|each| each.rates);
    if std::iter::once(rates).chain(of_types).all(|rates| rates == Rates::default())
        && RATES.iter().all(|(rate, burst, _)| block.node(rate).is_none() && block.node(burst).is_none())
        && block.nodes("type").all(|node| node.entries().iter().all(|entry| entry.name().is_none()))
    {
        let help = "add messages-per-second 100, or bytes-per-second \"1MiB\"";
        findings.mistake(node.name().span(), "this `rate-limit` limits nothing", help);
    }
    let action = read_action(block, CloseCode::POLICY_VIOLATION, &[], findings);
    RateLimit {
        name,
        rates,
        per,
        cost,
        types,
        directions: read_directions(block, Directions::ToServer, findings),
        action,
        reply: read_reply(block, action, findings),
    }
}

/// Rates and bursts, which `value` finds by name.
fn read_rates<'d>(value: impl Fn(&'static str) -> Option<Value<'d>>, findings: &mut Findings) -> Rates {
    let [messages, bytes, inflated_bytes] = RATES.map(|(rate, burst, is_size)| {
        let mut read = |value: Value<'d>| {
            if is_size {
                value.size(1..=BYTES_MAX, findings)
            } else {
                value.integer(1..=MESSAGES_MAX, findings)
            }
        };
        let (of_rate, of_burst) = (value(rate), value(burst));
        let at_once = of_burst.and_then(&mut read);
        let per_second = of_rate.and_then(&mut read);
        if let (None, Some(value)) = (of_rate, of_burst) {
            let message = format!("`{burst}` has no meaning without `{rate}`");
            findings.mistake(value.span(), message, format!("add `{rate}`, or remove `{burst}`"));
        }
        per_second.map(|per_second| Rate { per_second, burst: at_once.unwrap_or(per_second) })
    });
    Rates { messages, bytes, inflated_bytes }
}

fn read_per(block: Block<'_>, findings: &mut Findings) -> Per {
    let clients_max = block.value("max-clients");
    let types_max = block.value("max-types");
    let clients = clients_max.and_then(|value| value.integer(1..=CLIENTS_MAX, findings));
    let types = types_max.and_then(|value| value.integer(0..=TYPES_MAX, findings));
    let client = Per::Client { clients_max: clients.unwrap_or(Per::CLIENTS_MAX_DEFAULT) };
    let types = types.and_then(|max| u32::try_from(max).ok()).unwrap_or(Per::TYPES_MAX_DEFAULT);
    let message_type = Per::MessageType { types_max: types };
    let scopes =
        [("connection", Ok(Per::Connection)), ("client-ip", Ok(client)), ("message-type", Ok(message_type))];
    let per = choose(block, "per", &scopes, findings).unwrap_or(Per::Connection);
    for (value, name, own, scope) in [
        (clients_max, "max-clients", client, "client-ip"),
        (types_max, "max-types", message_type, "message-type"),
    ] {
        if let Some(value) = value.filter(|_| per != own) {
            let message = format!("`{name}` has no meaning without per \"{scope}\"");
            findings.mistake(value.span(), message, format!("remove it, or add per \"{scope}\""));
        }
    }
    per
}

fn read_cost(block: Block<'_>, findings: &mut Findings) -> Cost {
    let Some(node) = block.node("cost") else { return Cost::Message };
    let bytes = property(node, "bytes");
    let size = bytes.and_then(|value| value.size(1..=BYTES_MAX, findings));
    let costs =
        [("message", Ok(Cost::Message)), ("size", Ok(Cost::Size(size.unwrap_or(Cost::SIZE_DEFAULT))))];
    let cost = choose(block, "cost", &costs, findings).unwrap_or(Cost::Message);
    if let Some(value) = bytes.filter(|_| cost == Cost::Message) {
        let help = "write cost \"size\" bytes=1024, or remove it";
        findings.mistake(value.span(), "`bytes` has no meaning without cost \"size\"", help);
    }
    if block.node("messages-per-second").is_none() && block.nodes("type").next().is_none() {
        let help = "add messages-per-second 100: what a message costs is taken from that";
        findings.mistake(
            document::name_span(node),
            "`cost` has no meaning without `messages-per-second`",
            help,
        );
    }
    cost
}

/// What is said by type; `None`: nothing.
fn read_types(
    node: &KdlNode,
    name: &str,
    per: Per,
    (rates, around, validations): (Rates, Surroundings<'_>, &[Validation]),
    findings: &mut Findings,
) -> Option<TypeRates> {
    let block = Block::of(node);
    let is_by_type = matches!(per, Per::MessageType { .. });
    if !is_by_type && block.node("type").is_none() {
        for lonely in reading::NAMES.into_iter().chain(["discriminator"]).filter_map(|own| block.node(own)) {
            let message = format!(
                "`{}` has no meaning here without per \"message-type\" or `type`",
                lonely.name().value()
            );
            let help = "remove it, or add per \"message-type\"";
            findings.mistake(lonely.name().span(), message, help);
        }
        return None;
    }
    let reading = reading::read(block, validations, findings);
    let mut names = HashSet::new();
    let types: Vec<_> =
        block.nodes("type").map(|node| read_type(node, is_by_type, rates, &mut names, findings)).collect();
    let discriminator = match around.discriminator.or_of(block, findings) {
        Found::None => {
            let help = "say where a message names its type: discriminator \"/type\", here or in the agent";
            let place = block.node("type").or(block.node("per")).unwrap_or(node);
            findings.mistake(place.name().span(), "this `rate-limit` needs a `discriminator`", help);
            return None;
        }
        Found::Wrong => return None,
        Found::At(discriminator, span) => {
            let is_protobuf = matches!(reading.format, MessageFormat::Protobuf { .. });
            if matches!(discriminator, Discriminator::Oneof(_)) && !is_protobuf {
                let help =
                    "add format \"protobuf\" to the `rate-limit`, or name a field: discriminator \"/type\"";
                findings.mistake(span, "`oneof` belongs to format \"protobuf\"", help);
            }
            findings.rule(around.policy, format!("{name}/discriminator"), span);
            discriminator
        }
    };
    Some(TypeRates { reading, discriminator, types })
}

fn read_type<'d>(
    node: &'d KdlNode,
    is_by_type: bool,
    of_limit: Rates,
    names: &mut HashSet<&'d str>,
    findings: &mut Findings,
) -> TypeRate {
    let name = document::own_name(node, names, findings);
    let rates = read_rates(|name| property(node, name), findings);
    let own_rate = RATES.iter().find_map(|(rate, ..)| property(node, rate));
    if let Some(value) = own_rate.filter(|_| !is_by_type) {
        let help = "add per \"message-type\" to the `rate-limit`; otherwise only cost= depends on the type";
        findings.mistake(value.span(), "a type has no rate of its own here", help);
    }
    let cost_value = property(node, "cost");
    if !is_by_type && cost_value.is_none() && own_rate.is_none() {
        let help = "add what it costs: type \"search\" cost=10";
        findings.mistake(node.name().span(), "this `type` says nothing", help);
    }
    let cost = cost_value.and_then(|value| value.integer(1..=MESSAGES_MAX, findings)).unwrap_or(1);
    let messages = rates.messages.or(of_limit.messages);
    if let Some(value) = cost_value {
        match messages {
            None => {
                let help = "add messages-per-second: what a message costs is taken from that";
                findings.mistake(value.span(), "`cost` has no meaning without `messages-per-second`", help);
            }
            Some(rate) if cost > rate.burst => {
                let message =
                    format!("this costs more than the burst of {}, so it would never pass", rate.burst);
                findings.mistake(value.span(), message, "raise `burst`, or lower the cost");
            }
            Some(_) => {}
        }
    }
    TypeRate { name, cost, rates }
}
