//! The schemas of a policy, compiled.

use std::{path::Path, sync::Arc};

use wsi_policy::{Action, MessageTypes, Policy, ProtobufType, SchemaType, UnknownFields, Validation};
use wsi_schema::{
    json,
    protobuf::{MessageType, Unknown},
    tree,
};

use crate::rules::RuleId;

/// A schema, where it holds.
#[derive(Debug)]
pub(crate) struct SchemaPlan {
    pub schema: Schema,
    pub messages: MessageTypes,
    pub rule: RuleId,
    pub action: Action,
}

/// Shared by the directions.
#[derive(Clone, Debug)]
pub(crate) enum Schema {
    Json(Arc<json::Schema>),
    MessagePack(Arc<tree::Schema>),
    Protobuf { reading: Arc<Reading>, constraints: Option<Arc<tree::Schema>> },
}

/// How a Protobuf message is read. Schemas that read it alike share one, so that it is read once.
#[derive(Debug)]
pub(crate) struct Reading {
    pub kind: MessageType,
    pub unknown: Unknown,
    /// Whether some schema has constraints; otherwise a message is checked and not decoded.
    pub is_shown: bool,
}

/// Compiles the schemas of `policy`, in the order of its validations.
///
/// # Errors
/// The first that can't be, with its validation.
pub(crate) fn compile(policy: &Policy) -> Result<Vec<Schema>, (&Validation, json::SchemaError)> {
    let mut readings: Vec<(&Validation, Arc<Reading>)> = Vec::new();
    let compile_one =
        |validation| compile_one(policy, validation, &mut readings).map_err(|source| (validation, source));
    policy.validations.iter().map(compile_one).collect()
}

fn compile_one<'p>(
    policy: &'p Policy,
    validation: &'p Validation,
    readings: &mut Vec<(&'p Validation, Arc<Reading>)>,
) -> Result<Schema, json::SchemaError> {
    let path = &validation.schema_path;
    match &validation.schema_type {
        SchemaType::Json => json::Schema::load(path).map(Arc::new).map(Schema::Json),
        SchemaType::MessagePack => tree::Schema::load(path).map(Arc::new).map(Schema::MessagePack),
        SchemaType::Protobuf(kind) => {
            let known = readings.iter().find(|(earlier, _)| reads_alike(earlier, validation));
            let reading = match known {
                Some((_, reading)) => Arc::clone(reading),
                None => {
                    let alike = policy.validations.iter().filter(|each| reads_alike(each, validation));
                    let reading = Arc::new(read(path, kind, alike)?);
                    readings.push((validation, Arc::clone(&reading)));
                    reading
                }
            };
            let constraints = kind.constraints.as_deref().map(tree::Schema::load).transpose()?.map(Arc::new);
            Ok(Schema::Protobuf { reading, constraints })
        }
    }
}

fn read<'p>(
    path: &Path,
    kind: &ProtobufType,
    mut alike: impl Iterator<Item = &'p Validation>,
) -> Result<Reading, json::SchemaError> {
    let unknown = match kind.unknown_fields {
        UnknownFields::Reject => Unknown::Reject,
        UnknownFields::Allow => Unknown::Allow,
    };
    let is_shown = alike
        .any(|each| matches!(&each.schema_type, SchemaType::Protobuf(kind) if kind.constraints.is_some()));
    Ok(Reading { kind: MessageType::load(path, &kind.message)?, unknown, is_shown })
}

fn reads_alike(left: &Validation, right: &Validation) -> bool {
    match (&left.schema_type, &right.schema_type) {
        (SchemaType::Protobuf(a), SchemaType::Protobuf(b)) => {
            left.schema_path == right.schema_path
                && a.message == b.message
                && a.unknown_fields == b.unknown_fields
        }
        _ => false,
    }
}
