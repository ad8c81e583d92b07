//! `validation`: message schemas.

use std::path::{Path, PathBuf};

use wsi_policy::CloseCode;
use wsi_policy::{Action, Directions, MessageTypes, SchemaType, Validation};

use super::{choose, read_action, read_directions};
use crate::diagnostics::Findings;
use crate::document::{Block, Value};

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

fn read(block: Block<'_>, name: String, base: &Path, findings: &mut Findings) -> Option<Validation> {
    let schema_types = [
        ("json", Ok(SchemaType::Json)),
        ("protobuf", Err("use \"json\", or remove this `validation`")),
        ("msgpack", Err("use \"json\", or remove this `validation`")),
    ];
    let opcodes = [
        ("text", Ok(MessageTypes::Text)),
        ("binary", Ok(MessageTypes::Binary)),
        ("any", Ok(MessageTypes::Any)),
    ];
    let directions = read_directions(block, Directions::Both, findings);
    // JSON is text (RFC 8259 section 8.1), and browsers send it so.
    let messages = choose(block, "opcode", &opcodes, findings).unwrap_or(MessageTypes::Text);
    let action = read_consequence(block, findings);
    let schema_type = choose(block, "schema-type", &schema_types, findings);
    let schema_path = block.value("schema-path").and_then(|value| find_schema(value, base, findings));
    Some(Validation {
        name,
        schema_type: schema_type?,
        schema_path: schema_path?,
        directions,
        messages,
        action,
    })
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

/// A relative path is looked for in the current directory, then beside the configuration.
fn find_schema(value: Value<'_>, base: &Path, findings: &mut Findings) -> Option<PathBuf> {
    let path = Path::new(value.string(findings)?);
    let beside = base.join(path);
    if let Some(found) = [path, &beside].into_iter().find(|place| place.is_file()) {
        return Some(found.to_owned());
    }
    let (shown, beside) = (path.display(), beside.display());
    if path.is_dir() {
        findings.mistake(
            value.span(),
            format!("schema file \"{shown}\" is a folder"),
            "name the file in it that holds the JSON Schema",
        );
        return None;
    }
    let help = match path.is_absolute() || beside.to_string() == shown.to_string() {
        true => format!("create {shown}, which should hold a JSON Schema, or correct `schema-path`"),
        false => format!(
            "create it in the current directory or at {beside}; it should hold a JSON Schema. Or correct `schema-path`"
        ),
    };
    findings.mistake(value.span(), format!("schema file \"{shown}\" is missing"), help);
    None
}
