//! `schema` in `validation`: schemas by the type of a message.

use std::collections::HashSet;
use std::path::Path;

use kdl::KdlNode;
use wsi_policy::{Discriminator, Registry, TypeSchema, UnknownTypes};

use super::choose;
use super::discriminator::Found;
use super::schema_file::{JSON_SCHEMA, PROTOBUF, find_file};
use super::validation::{Format, Surroundings};
use crate::diagnostics::Findings;
use crate::document::{self, Block, Value, property};

/// The schemas by type; `None`: there are none, or there is a mistake, which is reported.
pub(super) fn read(
    block: Block<'_>,
    format: Format,
    name: &str,
    around: Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Registry> {
    let policies = [("reject", Ok(UnknownTypes::Reject)), ("allow", Ok(UnknownTypes::Allow))];
    let unknown_types = choose(block, "unknown-types", &policies, findings).unwrap_or_default();
    let Some(first) = block.node("schema") else {
        for lonely in ["discriminator", "unknown-types"].into_iter().filter_map(|own| block.node(own)) {
            let message = format!("`{}` has no meaning without `schema`", lonely.name().value());
            let help = "add a schema for each type: schema \"order\" path=\"schemas/order.json\"";
            findings.mistake(lonely.name().span(), message, help);
        }
        return None;
    };
    let types = read_types(block, format, name, around, findings);
    let discriminator = match around.discriminator.or_of(block, findings) {
        Found::None => {
            let help = "say where a message names its type: discriminator \"/type\", here or in the agent";
            findings.mistake(first.name().span(), "`schema` needs a `discriminator`", help);
            return None;
        }
        Found::Wrong => return None,
        Found::At(discriminator, span) => {
            if matches!(discriminator, Discriminator::Oneof(_)) && format != Format::Protobuf {
                let message = "`oneof` belongs to schema-type \"protobuf\"";
                findings.mistake(span, message, "name a field instead: discriminator \"/type\"");
            }
            findings.rule(around.policy, format!("{name}/discriminator"), span);
            discriminator
        }
    };
    Some(Registry { discriminator, types, unknown_types })
}

fn read_types(
    block: Block<'_>,
    format: Format,
    name: &str,
    around: Surroundings<'_>,
    findings: &mut Findings,
) -> Vec<TypeSchema> {
    let mut names = HashSet::new();
    let mut types = Vec::new();
    for node in block.nodes("schema") {
        let own = document::own_name(node, &mut names, findings);
        findings.rule(around.policy, format!("{name}/{own}"), document::name_span(node));
        types.push(match format {
            Format::Protobuf => read_protobuf_schema(node, own, around.base, findings),
            _ => read_json_schema(node, own, around.base, findings),
        });
    }
    let has_type = |node: &&KdlNode| property(node, "message").is_some();
    if let (Some(node), true) = (
        block.nodes("schema").find(|node| !has_type(node)),
        block.nodes("schema").any(|node| has_type(&node)),
    ) {
        let message = "this `schema` has no `message=`, and others of its validation have";
        let help = "give each a type of its own, or none: then all are of the type that `schema-path` names";
        findings.mistake(node.name().span(), message, help);
    }
    types
}

fn read_json_schema(node: &KdlNode, name: String, base: &Path, findings: &mut Findings) -> TypeSchema {
    for own in ["message", "constraints"] {
        if let Some(value) = property(node, own) {
            refuse_property(own, value, findings);
        }
    }
    let path = property(node, "path");
    if path.is_none() {
        let help = "name the file of its JSON Schema: schema \"order\" path=\"schemas/order.json\"";
        findings.mistake(node.name().span(), "`schema` needs `path=`", help);
    }
    let schema_path = path.and_then(|value| find_file(value, JSON_SCHEMA, base, findings));
    TypeSchema { name, read_as: None, schema_path }
}

fn read_protobuf_schema(node: &KdlNode, name: String, base: &Path, findings: &mut Findings) -> TypeSchema {
    let (path, message) = (property(node, "path"), property(node, "message"));
    if let (Some(value), None) | (None, Some(value)) = (path, message) {
        let help = "write both, as schema \"order\" path=\"order.proto\" message=\"trade.Order\"; or neither, if the type \
                    of `schema-path` is that of all messages";
        findings.mistake(value.span(), "of Protobuf `path=` and `message=` go together", help);
    }
    let path = path.and_then(|value| find_file(value, PROTOBUF, base, findings));
    let message = message.and_then(|value| value.string(findings)).map(str::to_owned);
    let constraints = property(node, "constraints");
    let schema_path = constraints.and_then(|value| find_file(value, JSON_SCHEMA, base, findings));
    TypeSchema { name, read_as: path.zip(message), schema_path }
}

pub(super) fn refuse_property(name: &str, value: Value<'_>, findings: &mut Findings) {
    let message = format!("`{name}` belongs to schema-type \"protobuf\"");
    findings.mistake(value.span(), message, "remove it, or correct `schema-type`");
}
