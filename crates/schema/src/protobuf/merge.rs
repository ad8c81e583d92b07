use super::{
    Fault, MessageType,
    types::{Kind, Message, Scalar},
    wire::{Reader, Tag, WireType},
};
use crate::{json::number::Number, tree::Value};

/// What one field of a message was sent as.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occurrence<'a> {
    /// Its place among the fields of the message.
    pub place: usize,
    pub content: Content<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'a> {
    Value(Value<'a>),
    Packed(Reader<'a>),
    /// A message, or a group without its end.
    Body(Reader<'a>),
}

/// Where occurrences that a oneof has cleared go: behind all fields.
pub(super) const CLEARED: usize = usize::MAX;

/// Adds the fields of one body, which was verified, to those of its message. `true`: a value of a closed enum that is not
/// declared was left out, as a receiver does.
pub(super) fn collect<'a>(
    types: &'a MessageType,
    message: &'a Message,
    mut reader: Reader<'a>,
    occurrences: &mut Vec<Occurrence<'a>>,
) -> Result<bool, Fault> {
    let mut left_out = false;
    while !reader.is_empty() {
        let tag = reader.tag()?;
        if tag.wire == WireType::GroupEnd {
            break;
        }
        let Some((place, field)) = message.field(tag.number) else {
            reader.skip(tag, u32::MAX, &mut |_| {})?;
            continue;
        };
        let content = match (field.kind, tag.wire) {
            (Kind::Message(_), _) => Content::Body(reader.length_delimited(tag.offset)?),
            (Kind::Group(_), _) => {
                let body = reader;
                reader.skip(tag, u32::MAX, &mut |_| {})?;
                Content::Body(body)
            }
            (Kind::Text, _) => Content::Value(text(reader.length_delimited(tag.offset)?, tag)?),
            (Kind::Bytes, _) => Content::Value(Value::Bytes(reader.length_delimited(tag.offset)?.rest())),
            (Kind::Scalar(scalar), wire) if wire == scalar.wire() => {
                let number = scalar.read(&mut reader, tag.offset)?;
                if is_left_out(types, scalar, number) {
                    left_out = true;
                    continue;
                }
                Content::Value(types.show(scalar, number))
            }
            (Kind::Scalar(_), _) => Content::Packed(reader.length_delimited(tag.offset)?),
        };
        occurrences.push(Occurrence { place, content });
    }
    Ok(left_out)
}

/// An undeclared value of a closed enum: the field counts as not sent.
pub(super) fn is_left_out(types: &MessageType, scalar: Scalar, number: Number) -> bool {
    match scalar {
        Scalar::Enum(index) => {
            types.enumeration(index).is_some_and(|it| it.is_closed) && types.name_of(index, number).is_none()
        }
        _ => false,
    }
}

/// Puts the occurrences of a message in the order of its fields, each field's own in the order of the wire.
pub(super) fn arrange(message: &Message, occurrences: &mut [Occurrence<'_>]) {
    if !message.oneofs.is_empty() && occurrences.len() > 1 {
        clear_oneofs(message, occurrences);
    }
    if !occurrences.is_sorted_by_key(|it| it.place) {
        occurrences.sort_by_key(|it| it.place);
    }
}

/// Of a oneof only the member that was sent last counts, and of that only what came after any other member.
fn clear_oneofs(message: &Message, occurrences: &mut [Occurrence<'_>]) {
    #[derive(Clone, Copy, PartialEq)]
    enum Last {
        Unseen,
        Member(usize),
        Settled,
    }
    let mut last = vec![Last::Unseen; message.oneofs.len()];
    for occurrence in occurrences.iter_mut().rev() {
        let field = message.fields.get(occurrence.place);
        let Some(state) = field.and_then(|field| last.get_mut(field.oneof?)) else { continue };
        match *state {
            Last::Unseen => *state = Last::Member(occurrence.place),
            Last::Member(place) if place == occurrence.place => {}
            Last::Member(_) | Last::Settled => {
                *state = Last::Settled;
                occurrence.place = CLEARED;
            }
        }
    }
}

fn text(reader: Reader<'_>, tag: Tag) -> Result<Value<'_>, Fault> {
    std::str::from_utf8(reader.rest())
        .map(Value::Text)
        .map_err(|_| Fault::InvalidUtf8 { number: tag.number, offset: tag.offset })
}
