//! The schemas of a policy, compiled.

use std::{collections::HashMap, path::Path, sync::Arc};

use wsi_policy::{Action, MessageFormat, MessageTypes, Policy, SchemaType, UnknownTypes, Validation};
use wsi_schema::{json, tree};

use super::format::{Format, Place, Readings};
use crate::rules::RuleId;

/// Schemas, where they hold.
#[derive(Clone, Debug)]
pub(crate) struct SchemaPlan {
    pub schemas: Schemas,
    pub messages: MessageTypes,
    pub rule: RuleId,
    pub action: Action,
}

/// What one validation asks of messages; shared by the directions and by all connections.
#[derive(Clone, Debug)]
pub(crate) struct Schemas {
    pub format: Format,
    /// For all messages. `None`: that they can be read.
    pub schema: Option<Schema>,
    pub registry: Option<Arc<Registry>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Schema {
    Json(Arc<json::Schema>),
    Tree(Arc<tree::Schema>),
}

/// Schemas by the type of a message.
#[derive(Debug)]
pub(crate) struct Registry {
    pub place: Place,
    /// As it was configured, for records.
    pub place_name: String,
    pub types: HashMap<Box<str>, TypeSchema>,
    pub unknown_types: UnknownTypes,
}

#[derive(Debug)]
pub(crate) struct TypeSchema {
    /// Protobuf: what such a message is, where the validation's type only finds that out.
    pub format: Option<Format>,
    pub schema: Option<Schema>,
}

/// Where a schema that can't be used is configured, and what is wrong with it.
type Fault = (String, json::SchemaError);

/// Compiles the schemas of `policy`, in the order of its validations.
///
/// # Errors
/// The first that can't be, with the name of its place.
pub(crate) fn compile(policy: &Policy, readings: &mut Readings) -> Result<Vec<Schemas>, Fault> {
    policy.validations.iter().map(|validation| compile_one(validation, readings)).collect()
}

fn compile_one(validation: &Validation, readings: &mut Readings) -> Result<Schemas, Fault> {
    let own = |source| (validation.name.clone(), source);
    // Of Protobuf there is one: the configuration asks for it.
    let format = validation.format().unwrap_or(MessageFormat::Json);
    let format = readings.format(&format).map_err(own)?;
    let path = match &validation.schema_type {
        SchemaType::Json | SchemaType::MessagePack => validation.schema_path.as_deref(),
        SchemaType::Protobuf(kind) => kind.constraints.as_deref(),
    };
    let schema = path.map(|path| load(path, &format)).transpose().map_err(own)?;
    let registry = registry(validation, &format, readings)?.map(Arc::new);
    Ok(Schemas { format, schema, registry })
}

fn registry(
    validation: &Validation,
    format: &Format,
    readings: &mut Readings,
) -> Result<Option<Registry>, Fault> {
    let Some(registry) = &validation.registry else { return Ok(None) };
    let place = Place::of(&registry.discriminator, format)
        .map_err(|source| json::SchemaError { file: validation.schema_path.clone(), ..source })
        .map_err(|source| (format!("{}/discriminator", validation.name), source))?;
    let mut types = HashMap::new();
    for each in &registry.types {
        let own = |source| (format!("{}/{}", validation.name, each.name), source);
        let own_format = validation.format_of(each);
        let own_format = own_format.map(|format| readings.format(&format)).transpose().map_err(own)?;
        let schema = each.schema_path.as_deref().map(|path| load(path, format)).transpose().map_err(own)?;
        types.insert(each.name.as_str().into(), TypeSchema { format: own_format, schema });
    }
    let place_name = registry.discriminator.name().to_owned();
    Ok(Some(Registry { place, place_name, types, unknown_types: registry.unknown_types }))
}

fn load(path: &Path, format: &Format) -> Result<Schema, json::SchemaError> {
    match format {
        Format::Json => json::Schema::load(path).map(Arc::new).map(Schema::Json),
        Format::MessagePack | Format::Protobuf(_) => tree::Schema::load(path).map(Arc::new).map(Schema::Tree),
    }
}
