//! A place in the messages of a type, looked up once.

use super::{
    MessageType,
    types::{Cardinality, Field, Kind, Message, MessageIndex, Scalar},
};
use crate::{
    edit::{EVERY_ELEMENT, Literal},
    field::{Pointer, position},
};

/// A place in messages of one type, and what is to be put there if anything is.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    pub(super) steps: Vec<Step>,
    /// As it is sent, without tag and length.
    pub(super) value: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A field, by its place in its message.
    Field(usize),
    Every,
    Index(usize),
    /// Of a map.
    Key(Box<str>),
}

/// What is to be done at a place.
#[derive(Debug, Clone, Copy)]
pub enum Change<'c> {
    Remove,
    Set(&'c Literal),
    /// It becomes another text, or other binary data.
    Text,
}

/// What is wrong with a place, or with what is to be done there.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PathError {
    #[error("the place is the whole message; name a field of it, as \"/order/price\"")]
    Whole,
    #[error("{message} has no field \"{token}\"; it has {known}")]
    NoField { message: Box<str>, token: Box<str>, known: String },
    #[error("\"{0}\" is a list; write \"/*\" behind it for every element, or a position")]
    List(Box<str>),
    #[error("\"{0}\" is a map; write the key behind it")]
    Map(Box<str>),
    #[error("\"{token}\" is neither \"*\" nor a position in the list \"{field}\"")]
    NoPosition { field: Box<str>, token: Box<str> },
    #[error("there is nothing within \"{0}\"")]
    Leaf(Box<str>),
    #[error("\"{0}\" is required, so a message without it is invalid")]
    Required(Box<str>),
    #[error("\"{0}\" is neither a string nor bytes")]
    NoText(Box<str>),
    #[error("{value} is no value of \"{field}\"{help}")]
    NoValue { field: Box<str>, value: Literal, help: String },
}

/// What is known of a place on the way to it.
struct Place<'t> {
    field: &'t Field,
    /// A list or map of which no element is chosen yet.
    is_open: bool,
}

impl MessageType {
    /// Looks up the place `at` for `change`. Fields are named as in the JSON that schemas see.
    ///
    /// # Errors
    /// When the type has no such place, or not for such a change.
    pub fn path(&self, at: &Pointer, change: Change<'_>) -> Result<Path, PathError> {
        let mut steps = Vec::new();
        let mut message = Some(MessageIndex(0));
        let mut place = None::<Place<'_>>;
        for token in at.tokens() {
            match place.as_mut().filter(|place| place.is_open) {
                Some(open) => {
                    steps.push(element(open.field, token)?);
                    open.is_open = false;
                    message = self.inside(open.field);
                    if open.field.cardinality == Cardinality::Map {
                        let value = message.and_then(|entry| self.message(entry)?.field(2));
                        let Some((at, field)) = value else { return Err(PathError::Leaf(token.into())) };
                        // The key says which entry, and its value is a field of that.
                        steps.push(Step::Field(at));
                        message = self.inside(field);
                        place = Some(Place { field, is_open: false });
                    }
                }
                None => {
                    let name =
                        || place.as_ref().map_or_else(Default::default, |place| place.field.name.clone());
                    let within = message.and_then(|index| self.message(index));
                    let (at, field) = find(within.ok_or_else(|| PathError::Leaf(name()))?, token)?;
                    steps.push(Step::Field(at));
                    let is_open = matches!(field.cardinality, Cardinality::Repeated | Cardinality::Map);
                    message = if is_open { None } else { self.inside(field) };
                    place = Some(Place { field, is_open });
                }
            }
        }
        let place = place.ok_or(PathError::Whole)?;
        let value = self.fitting(&place, change)?;
        Ok(Path { steps, value })
    }

    fn inside(&self, field: &Field) -> Option<MessageIndex> {
        match field.kind {
            Kind::Message(index) | Kind::Group(index) => Some(index),
            Kind::Text | Kind::Bytes | Kind::Scalar(_) => None,
        }
    }

    /// What is to be sent there, if the change sets it.
    fn fitting(&self, place: &Place<'_>, change: Change<'_>) -> Result<Option<Vec<u8>>, PathError> {
        let Place { field, is_open } = place;
        let name = || field.name.clone();
        match (change, field.cardinality) {
            (Change::Remove, Cardinality::Required) => Err(PathError::Required(name())),
            (Change::Remove, _) => Ok(None),
            (_, Cardinality::Repeated) if *is_open => Err(PathError::List(name())),
            (_, Cardinality::Map) if *is_open => Err(PathError::Map(name())),
            (Change::Text, _) => match field.kind {
                Kind::Text | Kind::Bytes => Ok(None),
                _ => Err(PathError::NoText(name())),
            },
            (Change::Set(literal), _) => self.sent(field.kind, literal).map(Some).ok_or_else(|| {
                let help = self.help(field.kind);
                PathError::NoValue { field: name(), value: literal.clone(), help }
            }),
        }
    }

    /// A value as it is sent.
    fn sent(&self, kind: Kind, literal: &Literal) -> Option<Vec<u8>> {
        let unsigned = |integer: i64| u64::try_from(integer).ok();
        let zigzag = |integer: i64| ((integer << 1) ^ (integer >> 63)).cast_unsigned();
        Some(match (kind, literal) {
            (Kind::Text | Kind::Bytes, Literal::Text(text)) => text.as_bytes().to_vec(),
            (Kind::Scalar(Scalar::Enum(index)), Literal::Text(name)) => {
                let names = &self.enumeration(index)?.names;
                let (number, _) = names.iter().find(|(_, known)| *known == name)?;
                varint(i64::from(*number).cast_unsigned())
            }
            (Kind::Scalar(Scalar::Bool), Literal::Boolean(boolean)) => vec![u8::from(*boolean)],
            (Kind::Scalar(Scalar::Double), Literal::Float(float)) => float.to_le_bytes().to_vec(),
            (Kind::Scalar(Scalar::Float), Literal::Float(float)) => (*float as f32).to_le_bytes().to_vec(),
            (Kind::Scalar(scalar), Literal::Integer(integer)) => match scalar {
                // A number of a configuration that has no fraction is meant, whatever the type of the field.
                Scalar::Double => (*integer as f64).to_le_bytes().to_vec(),
                Scalar::Float => (*integer as f32).to_le_bytes().to_vec(),
                Scalar::Int64 => varint(integer.cast_unsigned()),
                Scalar::Int32 | Scalar::Enum(_) => {
                    varint(i64::from(i32::try_from(*integer).ok()?).cast_unsigned())
                }
                Scalar::Uint64 => varint(unsigned(*integer)?),
                Scalar::Uint32 => varint(u32::try_from(*integer).ok()?.into()),
                Scalar::Sint64 => varint(zigzag(*integer)),
                Scalar::Sint32 => varint(zigzag(i32::try_from(*integer).ok()?.into())),
                Scalar::Fixed32 => u32::try_from(*integer).ok()?.to_le_bytes().to_vec(),
                Scalar::Fixed64 => unsigned(*integer)?.to_le_bytes().to_vec(),
                Scalar::Sfixed32 => i32::try_from(*integer).ok()?.to_le_bytes().to_vec(),
                Scalar::Sfixed64 => integer.to_le_bytes().to_vec(),
                Scalar::Bool => return None,
            },
            _ => return None,
        })
    }

    /// What could be set instead.
    fn help(&self, kind: Kind) -> String {
        match kind {
            Kind::Scalar(Scalar::Enum(index)) => {
                let names = self.enumeration(index).map(|it| it.names.values());
                let mut names: Vec<&str> = names.into_iter().flatten().map(|name| &**name).collect();
                names.sort_unstable();
                names.truncate(NAMES_MAX);
                format!("; there are {}", names.join(", "))
            }
            Kind::Message(_) | Kind::Group(_) => {
                "; it is a message: set fields of it, or remove it".to_owned()
            }
            _ => String::new(),
        }
    }
}

/// Names that are listed for help.
const NAMES_MAX: usize = 20;

fn find<'t>(message: &'t Message, token: &str) -> Result<(usize, &'t Field), PathError> {
    let mut fields = message.fields.iter().enumerate();
    fields.find(|(_, field)| &*field.name == token).ok_or_else(|| {
        let known: Vec<_> = message.fields.iter().take(NAMES_MAX).map(|field| &*field.name).collect();
        PathError::NoField {
            message: message.name.clone(),
            token: token.into(),
            known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
        }
    })
}

fn element(field: &Field, token: &str) -> Result<Step, PathError> {
    match (field.cardinality, token, position(token)) {
        (Cardinality::Map, _, _) => Ok(Step::Key(token.into())),
        (_, EVERY_ELEMENT, _) => Ok(Step::Every),
        (_, _, Some(position)) => Ok(Step::Index(position)),
        (_, _, None) => Err(PathError::NoPosition { field: field.name.clone(), token: token.into() }),
    }
}

/// In its shortest form.
pub(super) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(10);
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
