//! `validation`: message schemas.

use std::path::{Path, PathBuf};

use wsi_policy::CloseCode;
use wsi_policy::{Action, Directions, MessageTypes, ProtobufType, SchemaType, UnknownFields, Validation};

use super::{choose, read_action, read_directions, read_reply};
use crate::diagnostics::Findings;
use crate::document::{Block, Value, property};
use crate::file;

pub(super) fn read_all(
    policy: &str,
    agent: Block<'_>,
    base: &Path,
    findings: &mut Findings,
) -> Vec<Validation> {
    let nodes = agent.nodes("validation").enumerate();
    nodes
        .filter_map(|(at, node)| {
            let (block, name) = (Block::of(node), format!("validation-{}", at + 1));
            if let Some(path) = block.value("schema-path") {
                findings.rule(policy, name.clone(), path.span());
            }
            read(block, name, base, findings)
        })
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    MessagePack,
    Protobuf,
}

fn read(block: Block<'_>, name: String, base: &Path, findings: &mut Findings) -> Option<Validation> {
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
    let holds = if format == Some(Format::Protobuf) { PROTOBUF } else { JSON_SCHEMA };
    let schema_path = block.value("schema-path").and_then(|value| find_file(value, holds, base, findings));
    let schema_type = match format? {
        Format::Protobuf => SchemaType::Protobuf(read_protobuf(block, base, findings)?),
        format => {
            refuse_protobuf(block, findings);
            if format == Format::Json { SchemaType::Json } else { SchemaType::MessagePack }
        }
    };
    Some(Validation { name, schema_type, schema_path: schema_path?, directions, messages, action, reply })
}

fn read_protobuf(block: Block<'_>, base: &Path, findings: &mut Findings) -> Option<ProtobufType> {
    let policies = [("reject", Ok(UnknownFields::Reject)), ("allow", Ok(UnknownFields::Allow))];
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
            let message = format!("`{name}` belongs to schema-type \"protobuf\"");
            findings.mistake(value.span(), message, "remove it, or correct `schema-type`");
        }
    }
}

/// What a file should hold, for help.
const JSON_SCHEMA: &str = "a JSON Schema";
const PROTOBUF: &str = "Protobuf messages: a .proto file, or a descriptor set";

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

fn find_file(value: Value<'_>, holds: &str, base: &Path, findings: &mut Findings) -> Option<PathBuf> {
    file::find(value, "schema file", holds, base, findings)
}
