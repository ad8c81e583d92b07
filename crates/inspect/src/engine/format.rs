//! How messages are read, and where in them a field is.

use std::sync::Arc;

use wsi_policy::{Discriminator, MessageFormat, Policy, SchemaType, UnknownFields};
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
#[derive(Debug, Default)]
pub(crate) struct Readings {
    wanted: Vec<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    format: MessageFormat,
    is_shown: bool,
    reading: Option<Arc<Reading>>,
}

impl Readings {
    pub fn of(policy: &Policy) -> Self {
        let mut readings = Self::default();
        for validation in &policy.validations {
            let constraints = match &validation.schema_type {
                SchemaType::Protobuf(kind) => kind.constraints.as_ref(),
                SchemaType::Json | SchemaType::MessagePack => None,
            };
            if let Some(format) = validation.format() {
                readings.want(&format, constraints.is_some() || validation.registry.is_some());
            }
            for each in validation.registry.iter().flat_map(|registry| &registry.types) {
                if let Some(format) = validation.format_of(each) {
                    readings.want(&format, each.schema_path.is_some());
                }
            }
        }
        for types in policy.rate_limits.iter().filter_map(|limit| limit.types.as_ref()) {
            readings.want(&types.reading.format, true);
        }
        for rule in policy.states.iter().filter(|rule| rule.asks_for_fields()) {
            readings.want(&rule.reading.format, true);
        }
        readings
    }

    /// # Errors
    /// The file can't be read, or has no such type.
    pub fn format(&mut self, format: &MessageFormat) -> Result<Format, SchemaError> {
        let (path, message, unknown) = match format {
            MessageFormat::Json => return Ok(Format::Json),
            MessageFormat::MessagePack => return Ok(Format::MessagePack),
            MessageFormat::Protobuf { path, message, unknown_fields } => {
                let unknown = match unknown_fields {
                    UnknownFields::Reject => Unknown::Reject,
                    UnknownFields::Strip => Unknown::Strip,
                    UnknownFields::Allow => Unknown::Allow,
                };
                (path, message, unknown)
            }
        };
        let wanted = self.want(format, false);
        let reading = match &wanted.reading {
            Some(reading) => Arc::clone(reading),
            None => {
                let kind = MessageType::load(path, message)?;
                Arc::new(Reading { kind, unknown, is_shown: wanted.is_shown })
            }
        };
        wanted.reading = Some(Arc::clone(&reading));
        Ok(Format::Protobuf(reading))
    }

    fn want(&mut self, format: &MessageFormat, is_shown: bool) -> &mut Wanted {
        let place = self.wanted.iter().position(|each| each.format == *format).unwrap_or_else(|| {
            self.wanted.push(Wanted { format: format.clone(), is_shown: false, reading: None });
            self.wanted.len() - 1
        });
        let wanted = &mut self.wanted[place];
        wanted.is_shown |= is_shown;
        wanted
    }
}
