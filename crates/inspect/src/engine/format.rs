//! How messages are read, and where in them a field is.

use std::{path::Path, sync::Arc};

use wsi_policy::{Discriminator, Policy, ProtobufType, SchemaType, UnknownFields, Validation};
use wsi_schema::{
    Pointer,
    json::SchemaError,
    protobuf::{MessageType, Oneof, Unknown},
};

/// What a message is decoded as.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    Json,
    MessagePack,
    Protobuf(Arc<Reading>),
}

/// How a Protobuf message is read. Rules that read it alike share one, so that it is read once.
#[derive(Debug)]
pub(crate) struct Reading {
    pub kind: MessageType,
    pub unknown: Unknown,
    /// Whether somebody asks for its fields; otherwise a message is checked and not decoded.
    pub is_shown: bool,
}

/// What names a message's type: where it is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Field(Pointer),
    Oneof(Oneof),
}

impl Place {
    /// # Errors
    /// The format has no such place.
    pub fn of(discriminator: &Discriminator, format: &Format) -> Result<Self, SchemaError> {
        match (discriminator, format) {
            (Discriminator::Field(text), Format::Protobuf(reading)) => {
                reading.kind.place(text).map(Self::Field)
            }
            (Discriminator::Field(text), _) => {
                Pointer::parse(text).map(Self::Field).map_err(|error| misplaced(error.to_string()))
            }
            (Discriminator::Oneof(name), Format::Protobuf(reading)) => {
                reading.kind.oneof(name).map(Self::Oneof)
            }
            (Discriminator::Oneof(_), _) => {
                Err(misplaced("only Protobuf has oneofs; name a field, as \"/type\"".to_owned()))
            }
        }
    }
}

fn misplaced(reason: String) -> SchemaError {
    SchemaError { file: None, pointer: String::new(), reason }
}

/// The ways in which a policy reads Protobuf messages.
#[derive(Debug)]
pub(crate) struct Readings<'p> {
    wanted: Vec<Wanted<'p>>,
}

#[derive(Debug)]
struct Wanted<'p> {
    path: &'p Path,
    message: &'p str,
    unknown: UnknownFields,
    is_shown: bool,
    reading: Option<Arc<Reading>>,
}

impl<'p> Readings<'p> {
    pub fn of(policy: &'p Policy) -> Self {
        let mut readings = Self { wanted: Vec::new() };
        for validation in &policy.validations {
            let SchemaType::Protobuf(kind) = &validation.schema_type else { continue };
            if let Some(path) = &validation.schema_path {
                let is_shown = kind.constraints.is_some() || validation.registry.is_some();
                readings.want(path, &kind.message, unknown_fields(validation, kind), is_shown);
            }
            for each in validation.registry.iter().flat_map(|registry| &registry.types) {
                if let Some((path, message)) = &each.read_as {
                    readings.want(path, message, kind.unknown_fields, each.schema_path.is_some());
                }
            }
        }
        readings
    }

    /// How `validation` reads a message of any type.
    ///
    /// # Errors
    /// The file can't be read, or has no such type.
    pub fn format(&mut self, validation: &'p Validation) -> Result<Format, SchemaError> {
        match (&validation.schema_type, &validation.schema_path) {
            (SchemaType::Json, _) | (SchemaType::Protobuf(_), None) => Ok(Format::Json),
            (SchemaType::MessagePack, _) => Ok(Format::MessagePack),
            (SchemaType::Protobuf(kind), Some(path)) => {
                self.get(path, &kind.message, unknown_fields(validation, kind)).map(Format::Protobuf)
            }
        }
    }

    /// # Errors
    /// The file can't be read, or has no such type.
    pub fn get(
        &mut self,
        path: &'p Path,
        message: &'p str,
        unknown_fields: UnknownFields,
    ) -> Result<Arc<Reading>, SchemaError> {
        let wanted = self.want(path, message, unknown_fields, false);
        if let Some(reading) = &wanted.reading {
            return Ok(Arc::clone(reading));
        }
        let unknown = match unknown_fields {
            UnknownFields::Reject => Unknown::Reject,
            UnknownFields::Allow => Unknown::Allow,
        };
        let kind = MessageType::load(path, message)?;
        let reading = Arc::new(Reading { kind, unknown, is_shown: wanted.is_shown });
        wanted.reading = Some(Arc::clone(&reading));
        Ok(reading)
    }

    fn want(
        &mut self,
        path: &'p Path,
        message: &'p str,
        unknown: UnknownFields,
        is_shown: bool,
    ) -> &mut Wanted<'p> {
        let is_alike =
            |each: &Wanted<'_>| each.path == path && each.message == message && each.unknown == unknown;
        let place = self.wanted.iter().position(is_alike).unwrap_or_else(|| {
            self.wanted.push(Wanted { path, message, unknown, is_shown, reading: None });
            self.wanted.len() - 1
        });
        let wanted = &mut self.wanted[place];
        wanted.is_shown |= is_shown;
        wanted
    }
}

/// Where each type is read as its own, the type of the validation only finds out which: the fields that it does not know are
/// the other's to judge.
fn unknown_fields(validation: &Validation, kind: &ProtobufType) -> UnknownFields {
    let types = validation.registry.iter().flat_map(|registry| &registry.types);
    let is_only_head = types.into_iter().any(|each| each.read_as.is_some());
    if is_only_head { UnknownFields::Allow } else { kind.unknown_fields }
}
