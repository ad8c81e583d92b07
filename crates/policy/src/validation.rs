//! Message schemas, and which one holds for a message.

use std::path::PathBuf;

use wsi_ws::Opcode;

use crate::{Action, Directions};

/// Message schema rules (`validation`); at least one of a schema for all messages and a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    /// Stable name in records and metrics, as `validation-1`.
    pub name: String,
    pub schema_type: SchemaType,
    /// What every message must satisfy; of Protobuf always there.
    pub schema_path: Option<PathBuf>,
    /// What a message must satisfy beside that, by its type.
    pub registry: Option<Registry>,
    pub directions: Directions,
    pub messages: MessageTypes,
    /// Connections that agreed on one of these; `None`: on any, or none.
    pub subprotocols: Option<Vec<String>>,
    pub action: Action,
    /// What the sender of a message that this drops is told.
    pub reply: Option<String>,
}

impl Validation {
    /// What a message of any type is read as. `None`: of Protobuf no type is named.
    pub fn format(&self) -> Option<MessageFormat> {
        let kind = match &self.schema_type {
            SchemaType::Json => return Some(MessageFormat::Json),
            SchemaType::MessagePack => return Some(MessageFormat::MessagePack),
            SchemaType::Protobuf(kind) => kind,
        };
        // Where each type is read as its own, this one only finds out which: fields that it does not know are the other's to judge.
        let mut types = self.registry.iter().flat_map(|registry| &registry.types);
        let is_only_head = types.any(|each| each.read_as.is_some());
        Some(MessageFormat::Protobuf {
            path: self.schema_path.clone()?,
            message: kind.message.clone(),
            unknown_fields: if is_only_head { UnknownFields::Allow } else { kind.unknown_fields },
        })
    }

    /// What a message of the type is read as, if that is another.
    pub fn format_of(&self, kind: &TypeSchema) -> Option<MessageFormat> {
        let (SchemaType::Protobuf(own), Some((path, message))) = (&self.schema_type, &kind.read_as) else {
            return None;
        };
        let (path, message) = (path.clone(), message.clone());
        Some(MessageFormat::Protobuf { path, message, unknown_fields: own.unknown_fields })
    }

    /// Whether it looks at connections that agreed on `subprotocol`.
    pub fn holds_for(&self, subprotocol: Option<&str>) -> bool {
        self.subprotocols.as_ref().is_none_or(|names| names.iter().any(|name| Some(&**name) == subprotocol))
    }
}

/// The language of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaType {
    /// JSON text under a JSON Schema.
    Json,
    /// MessagePack under a JSON Schema.
    MessagePack,
    /// A Protobuf message of a type.
    Protobuf(ProtobufType),
}

/// What `schema_path` is asked for, if it is a `.proto` file or a descriptor set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtobufType {
    /// The type, with its package.
    pub message: String,
    /// A JSON Schema that the decoded message must satisfy.
    pub constraints: Option<PathBuf>,
    pub unknown_fields: UnknownFields,
}

/// What becomes of a message with fields, or values of enums, that its type does not declare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// It is invalid: nobody here can judge what they mean, and a receiver may.
    #[default]
    Reject,
    /// Fields are taken away from the message; values of enums make it invalid.
    Strip,
    Allow,
}

/// Schemas by the type of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    pub discriminator: Discriminator,
    pub types: Vec<TypeSchema>,
    pub unknown_types: UnknownTypes,
}

/// What names the type of a message (`discriminator`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discriminator {
    /// The text or whole number at a JSON Pointer.
    Field(String),
    /// Protobuf: the name of the member that is set.
    Oneof(String),
}

impl Discriminator {
    /// As it was configured.
    pub fn name(&self) -> &str {
        match self {
            Self::Field(name) | Self::Oneof(name) => name,
        }
    }
}

/// A schema for the messages of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeSchema {
    /// What the discriminator says.
    pub name: String,
    /// Protobuf: the file and the type that such a message is read as; `None`: that of the validation. All types of a
    /// validation have one, or none has.
    pub read_as: Option<(PathBuf, String)>,
    /// A JSON Schema for the message, of Protobuf for the decoded one.
    pub schema_path: Option<PathBuf>,
}

/// What becomes of a message whose type has no schema, or that names none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownTypes {
    /// It is invalid.
    #[default]
    Reject,
    Allow,
}

/// How rules that ask for fields read a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub format: MessageFormat,
    pub messages: MessageTypes,
}

/// What messages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageFormat {
    Json,
    MessagePack,
    /// Messages of a type, from a `.proto` file or a descriptor set.
    Protobuf {
        path: PathBuf,
        message: String,
        unknown_fields: UnknownFields,
    },
}

/// Which messages a rule looks at (`opcode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageTypes {
    Text,
    Binary,
    Any,
}

impl MessageTypes {
    #[inline]
    pub const fn contains(self, opcode: Opcode) -> bool {
        match self {
            Self::Any => true,
            Self::Text => matches!(opcode, Opcode::Text),
            Self::Binary => matches!(opcode, Opcode::Binary),
        }
    }
}
