use super::{
    Fault, MessageType, Unknown,
    types::{Cardinality, Field, Kind, Message, MessageIndex, Scalar},
    wire::{Reader, Tag, WireType},
};

/// Checks a whole message by the rules of the wire and of its type, fields that a later one replaces among them. Only
/// whether required fields are there is left to [`show`](super::show).
pub(super) fn verify<'a>(
    types: &MessageType,
    bytes: &'a [u8],
    depth_max: u32,
    unknown: Unknown,
    payload: impl FnMut(&'a [u8]),
) -> Result<(), Fault> {
    let mut verifier = Verifier { types, unknown, payload };
    verifier.message(&mut Reader::new(bytes), MessageIndex(0), depth_max, None)
}

struct Verifier<'t, P> {
    types: &'t MessageType,
    unknown: Unknown,
    payload: P,
}

impl<'a, P: FnMut(&'a [u8])> Verifier<'_, P> {
    /// A message until the reader is empty, or a group until its end. It recurses once per level.
    fn message(
        &mut self,
        reader: &mut Reader<'a>,
        index: MessageIndex,
        depth_left: u32,
        group: Option<Tag>,
    ) -> Result<(), Fault> {
        let depth_left = depth_left.checked_sub(1).ok_or(Fault::TooDeep)?;
        let Some(message) = self.types.message(index) else { return Ok(()) };
        while !reader.is_empty() {
            let tag = reader.tag()?;
            if tag.wire == WireType::GroupEnd {
                return match group {
                    Some(start) if start.number == tag.number => Ok(()),
                    _ => Err(Fault::Group { offset: tag.offset }),
                };
            }
            self.field(reader, message, tag, depth_left)?;
        }
        group.map_or(Ok(()), |start| Err(Fault::Group { offset: start.offset }))
    }

    #[inline]
    fn field(
        &mut self,
        reader: &mut Reader<'a>,
        message: &Message,
        tag: Tag,
        depth_left: u32,
    ) -> Result<(), Fault> {
        let Some((_, field)) = message.field(tag.number) else {
            return match self.unknown {
                Unknown::Reject => Err(Fault::UnknownField { number: tag.number, offset: tag.offset }),
                Unknown::Strip | Unknown::Allow => reader.skip(tag, depth_left, &mut self.payload),
            };
        };
        match (field.kind, tag.wire) {
            (Kind::Message(index), WireType::Length) => {
                let mut body = reader.length_delimited(tag.offset)?;
                self.message(&mut body, index, inner_depth(field, depth_left)?, None)
            }
            (Kind::Group(index), WireType::GroupStart) => {
                self.message(reader, index, inner_depth(field, depth_left)?, Some(tag))
            }
            (Kind::Text, WireType::Length) => {
                let text = reader.length_delimited(tag.offset)?.rest();
                (self.payload)(text);
                match std::str::from_utf8(text) {
                    Ok(_) => Ok(()),
                    Err(_) => Err(Fault::InvalidUtf8 { number: tag.number, offset: tag.offset }),
                }
            }
            (Kind::Bytes, WireType::Length) => {
                (self.payload)(reader.length_delimited(tag.offset)?.rest());
                Ok(())
            }
            (Kind::Scalar(scalar), wire) if wire == scalar.wire() => self.scalar(reader, scalar, tag),
            (Kind::Scalar(scalar), WireType::Length) if field.cardinality == Cardinality::Repeated => {
                let mut packed = reader.length_delimited(tag.offset)?;
                while !packed.is_empty() {
                    self.scalar(&mut packed, scalar, tag)?;
                }
                Ok(())
            }
            _ => Err(Fault::WireType { number: tag.number, offset: tag.offset }),
        }
    }

    fn scalar(&mut self, reader: &mut Reader<'a>, scalar: Scalar, tag: Tag) -> Result<(), Fault> {
        let value = scalar.read(reader, tag.offset)?;
        match scalar {
            Scalar::Enum(index)
                if self.unknown != Unknown::Allow && self.types.name_of(index, value).is_none() =>
            {
                Err(Fault::UnknownEnumValue { number: tag.number, offset: tag.offset })
            }
            _ => Ok(()),
        }
    }
}

/// A list or map is a level of its own to a schema.
fn inner_depth(field: &Field, depth_left: u32) -> Result<u32, Fault> {
    match field.cardinality {
        // An entry is no level: only its value is.
        Cardinality::Map => Ok(depth_left),
        Cardinality::Repeated => depth_left.checked_sub(1).ok_or(Fault::TooDeep),
        _ => Ok(depth_left),
    }
}
