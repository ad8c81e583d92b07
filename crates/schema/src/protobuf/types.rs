use std::{collections::HashMap, fmt};

use super::{Fault, wire::Reader, wire::WireType};
use crate::{json::number::Number, tree::Value};

/// A message type with all that it refers to, ready to decode. Load once, share by reference.
pub struct MessageType {
    /// The type itself is the first.
    pub(super) messages: Vec<Message>,
    pub(super) enums: Vec<Enum>,
    /// Whether any of the messages has a required field (proto2).
    pub(super) has_required: bool,
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<MessageType>();
};

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.messages.first().map(|message| &*message.name);
        f.debug_struct("MessageType").field("name", &name).finish_non_exhaustive()
    }
}

/// A reference to one of [`MessageType::messages`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageIndex(pub usize);

/// A reference to one of [`MessageType::enums`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EnumIndex(pub usize);

#[derive(Debug)]
pub(super) struct Message {
    /// With its package.
    pub name: Box<str>,
    /// In the order of their numbers.
    pub fields: Vec<Field>,
    /// Names; [`Field::oneof`] is a place among them.
    pub oneofs: Vec<Box<str>>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub number: u32,
    pub name: Box<str>,
    pub kind: Kind,
    pub cardinality: Cardinality,
    /// Which oneof of its message it belongs to.
    pub oneof: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cardinality {
    /// Shown with its default if it was not sent.
    Implicit,
    Optional,
    Required,
    Repeated,
    /// Its kind is the message of its entries: field 1 is the key, field 2 the value.
    Map,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message(MessageIndex),
    Group(MessageIndex),
    Text,
    Bytes,
    Scalar(Scalar),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    Enum(EnumIndex),
}

#[derive(Debug)]
pub(super) struct Enum {
    pub names: HashMap<i32, Box<str>>,
    pub first: i32,
    /// A value that is not declared counts as an unknown field (proto2).
    pub is_closed: bool,
}

impl MessageType {
    pub(super) fn message(&self, index: MessageIndex) -> Option<&Message> {
        self.messages.get(index.0)
    }

    pub(super) fn enumeration(&self, index: EnumIndex) -> Option<&Enum> {
        self.enums.get(index.0)
    }

    /// A scalar as a schema sees it.
    pub(super) fn show<'a>(&'a self, scalar: Scalar, value: Number) -> Value<'a> {
        match (scalar, value) {
            (Scalar::Enum(index), _) => self.name_of(index, value).map_or(Value::Number(value), Value::Text),
            (Scalar::Bool, value) => Value::Boolean(value != Number::Unsigned(0)),
            (_, Number::Float(float)) => Value::float(float),
            (_, value) => Value::Number(value),
        }
    }

    /// The default of a field without presence.
    pub(super) fn default_of(&self, kind: Kind) -> Value<'_> {
        match kind {
            Kind::Text => Value::Text(""),
            Kind::Bytes => Value::Bytes(&[]),
            Kind::Scalar(Scalar::Double | Scalar::Float) => Value::float(0.0),
            Kind::Scalar(Scalar::Enum(index)) => {
                let first = self.enumeration(index).map_or(0, |it| it.first);
                self.show(Scalar::Enum(index), integer(first.into()))
            }
            Kind::Scalar(scalar) => self.show(scalar, Number::Unsigned(0)),
            Kind::Message(_) | Kind::Group(_) => Value::Null,
        }
    }

    pub(super) fn name_of(&self, index: EnumIndex, value: Number) -> Option<&str> {
        let number = match value {
            Number::Unsigned(number) => i32::try_from(number).ok()?,
            Number::Signed(number) => i32::try_from(number).ok()?,
            Number::Float(_) => return None,
        };
        self.enumeration(index)?.names.get(&number).map(|name| &**name)
    }
}

impl Message {
    /// Its place, and the field. Numbers mostly run from 1 without gaps.
    #[inline]
    pub fn field(&self, number: u32) -> Option<(usize, &Field)> {
        let likely = number as usize - 1;
        if let Some(field) = self.fields.get(likely).filter(|field| field.number == number) {
            return Some((likely, field));
        }
        let place = self.fields.binary_search_by_key(&number, |field| field.number).ok()?;
        self.fields.get(place).map(|field| (place, field))
    }
}

impl Scalar {
    pub fn wire(self) -> WireType {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => WireType::Fixed64,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => WireType::Fixed32,
            _ => WireType::Varint,
        }
    }

    /// Reads one. `offset`: of the field that it belongs to.
    pub fn read(self, reader: &mut Reader<'_>, offset: usize) -> Result<Number, Fault> {
        let out_of_range = Fault::OutOfRange { offset };
        Ok(match self {
            Self::Double => Number::Float(f64::from_le_bytes(reader.fixed(offset)?)),
            Self::Float => Number::Float(f32::from_le_bytes(reader.fixed(offset)?).into()),
            Self::Fixed32 => Number::Unsigned(u32::from_le_bytes(reader.fixed(offset)?).into()),
            Self::Fixed64 => Number::Unsigned(u64::from_le_bytes(reader.fixed(offset)?)),
            Self::Sfixed32 => integer(i32::from_le_bytes(reader.fixed(offset)?).into()),
            Self::Sfixed64 => integer(i64::from_le_bytes(reader.fixed(offset)?)),
            Self::Uint64 => Number::Unsigned(reader.varint(offset)?),
            Self::Uint32 => {
                Number::Unsigned(u32::try_from(reader.varint(offset)?).map_err(|_| out_of_range)?.into())
            }
            Self::Bool => match reader.varint(offset)? {
                bit @ 0..=1 => Number::Unsigned(bit),
                _ => return Err(out_of_range),
            },
            // Negative ones are sent with 64 bits whatever their type.
            Self::Int64 => integer(reader.varint(offset)?.cast_signed()),
            Self::Int32 | Self::Enum(_) => {
                let value = reader.varint(offset)?.cast_signed();
                integer(i32::try_from(value).map_err(|_| out_of_range)?.into())
            }
            Self::Sint64 => integer(unzigzag(reader.varint(offset)?)),
            Self::Sint32 => {
                let value = unzigzag(reader.varint(offset)?);
                integer(i32::try_from(value).map_err(|_| out_of_range)?.into())
            }
        })
    }
}

fn integer(value: i64) -> Number {
    u64::try_from(value).map_or(Number::Signed(value), Number::Unsigned)
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}
