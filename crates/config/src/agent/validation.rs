//! `validation`: message schemas.

use std::path::Path;

use kdl::KdlNode;
use wsi_policy::CloseCode;
use wsi_policy::{
    Action, Directions, MessageTypes, ProtobufType, Registry, SchemaType, UnknownFields, Validation,
};

use super::discriminator::Found;
use super::registry::{self, refuse_property};
use super::schema_file::{JSON_SCHEMA, PROTOBUF, find_file};
use super::{choose, handshake, read_action, read_directions, read_reply};
use crate::diagnostics::Findings;
use crate::document::{Block, property};

/// What is the same for all validations of a policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    pub policy: &'a str,
    pub agent: Block<'a>,
    pub discriminator: &'a Found,
    /// Where relative paths are looked for.
    pub base: &'a Path,
}

pub(super) fn read_all(around: Surroundings<'_>, findings: &mut Findings) -> Vec<Validation> {
    let nodes = around.agent.nodes("validation").enumerate();
    nodes.filter_map(|(at, node)| read(node, format!("validation-{}", at + 1), around, findings)).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    MessagePack,
    Protobuf,
}

fn read(
    node: &KdlNode,
    name: String,
    around: Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Validation> {
    let block = Block::of(node);
    let formats = [
        ("json", Ok(Format::Json)),
        ("msgpack", Ok(Format::MessagePack)),
        ("protobuf", Ok(Format::Protobuf)),
    ];
    let opcodes = [
        ("text", Ok(MessageTypes::Text)),
        ("binary", Ok(MessageTypes::Binary)),
        ("any", Ok(MessageTypes::Any)),
    ];
    let directions = read_directions(block, Directions::Both, findings);
    let format = choose(block, "schema-type", &formats, findings);
    // JSON is text (RFC 8259 section 8.1), and browsers send it so; the others are not.
    let messages_default = match format {
        Some(Format::MessagePack | Format::Protobuf) => MessageTypes::Binary,
        Some(Format::Json) | None => MessageTypes::Text,
    };
    let messages = choose(block, "opcode", &opcodes, findings).unwrap_or(messages_default);
    let action = read_consequence(block, findings);
    let reply = read_reply(block, action, findings);
    let subprotocols = read_subprotocols(block, around.agent, findings);
    let format = format?;
    require_path(node, format, findings);
    let holds = if format == Format::Protobuf { PROTOBUF } else { JSON_SCHEMA };
    let schema_path = block.value("schema-path").map(|value| {
        findings.rule(around.policy, name.clone(), value.span());
        find_file(value, holds, around.base, findings)
    });
    let registry = registry::read(block, format, &name, around, findings);
    let schema_type = match format {
        Format::Protobuf => SchemaType::Protobuf(read_protobuf(block, around.base, findings)?),
        format => {
            refuse_protobuf(block, findings);
            if format == Format::Json { SchemaType::Json } else { SchemaType::MessagePack }
        }
    };
    refuse_strip(block, &schema_type, registry.as_ref(), findings);
    // A file that is missing is reported.
    let schema_path = match schema_path {
        None => None,
        Some(found) => Some(found?),
    };
    Some(Validation {
        name,
        schema_type,
        schema_path,
        registry,
        directions,
        messages,
        subprotocols,
        action,
        reply,
    })
}

/// Fields are taken away by one type, before anybody asks of which type a message is.
fn refuse_strip(block: Block<'_>, kind: &SchemaType, registry: Option<&Registry>, findings: &mut Findings) {
    let strips = matches!(kind, SchemaType::Protobuf(kind) if kind.unknown_fields == UnknownFields::Strip);
    let has_own = registry.is_some_and(|registry| registry.types.iter().any(|each| each.read_as.is_some()));
    if let (true, true, Some(value)) = (strips, has_own, block.value("unknown-fields")) {
        findings.mistake(
            value.span(),
            "\"strip\" needs one type that all messages are read as",
            "leave out `path=` of `schema`, so that all are of the type of `schema-path`; or \"reject\" or \"allow\"",
        );
    }
}

/// Of Protobuf something must say how a message is read, to find out its type.
fn require_path(node: &KdlNode, format: Format, findings: &mut Findings) {
    let block = Block::of(node);
    let has_types = block.node("schema").is_some();
    if block.node("schema-path").is_none() && (format == Format::Protobuf || !has_types) {
        let help = match (format, has_types) {
            (Format::Protobuf, true) => {
                "add schema-path \"order.proto\" message=\"trade.Envelope\": the type that has the discriminator"
            }
            (Format::Protobuf, false) => "add schema-path \"order.proto\" message=\"trade.Order\"",
            _ => {
                "add schema-path \"schemas/chat.json\", or a schema for each type: discriminator \"/type\", and schema \"order\" path=\"schemas/order.json\""
            }
        };
        findings.mistake(node.name().span(), "`validation` needs `schema-path`", help);
    }
}

fn read_subprotocols(block: Block<'_>, agent: Block<'_>, findings: &mut Findings) -> Option<Vec<String>> {
    let offered = agent.block("handshake").and_then(|handshake| handshake.values("subprotocols"));
    let offered: Option<Vec<_>> =
        offered.map(|values| values.into_iter().filter_map(|each| each.text()).collect());
    let mut names = Vec::new();
    for value in block.values("subprotocol")? {
        let Some(name) = handshake::read_subprotocol(value, findings) else { continue };
        if offered.as_ref().is_some_and(|offered| !offered.contains(&name)) {
            let text =
                format!("no connection can agree on \"{name}\": `subprotocols` of `handshake` lacks it");
            findings.warning(value.span(), text);
        }
        names.push(name);
    }
    Some(names)
}

fn read_protobuf(block: Block<'_>, base: &Path, findings: &mut Findings) -> Option<ProtobufType> {
    let policies = [
        ("reject", Ok(UnknownFields::Reject)),
        ("strip", Ok(UnknownFields::Strip)),
        ("allow", Ok(UnknownFields::Allow)),
    ];
    let unknown_fields = choose(block, "unknown-fields", &policies, findings).unwrap_or_default();
    let path = block.node("schema-path")?;
    let constraints =
        property(path, "constraints").map(|value| find_file(value, JSON_SCHEMA, base, findings));
    let Some(message) = property(path, "message") else {
        findings.mistake(
            path.name().span(),
            "schema-type \"protobuf\" needs `message=`",
            "name the type with its package: schema-path \"order.proto\" message=\"trade.Order\"",
        );
        return None;
    };
    let message = message.string(findings)?.to_owned();
    // A file that is missing is reported.
    let constraints = match constraints {
        None => None,
        Some(found) => Some(found?),
    };
    Some(ProtobufType { message, constraints, unknown_fields })
}

/// What only Protobuf has a use for.
fn refuse_protobuf(block: Block<'_>, findings: &mut Findings) {
    let path = block.node("schema-path");
    let properties =
        ["message", "constraints"].map(|name| (name, path.and_then(|path| property(path, name))));
    let nodes = [("unknown-fields", block.value("unknown-fields"))];
    for (name, value) in properties.into_iter().chain(nodes) {
        if let Some(value) = value {
            refuse_property(name, value, findings);
        }
    }
}

/// `action`, unless `reject-invalid` is false.
fn read_consequence(block: Block<'_>, findings: &mut Findings) -> Action {
    let action = read_action(block, CloseCode::INVALID_PAYLOAD, &[], findings);
    if block.value("reject-invalid").and_then(|value| value.boolean(findings)) != Some(false) {
        return action;
    }
    if let Some(ignored) = block.value("action") {
        findings.warning(ignored.span(), "`action` has no effect beside reject-invalid false");
    }
    Action::Alert
}
