//! Changes within a Protobuf message. A field that comes more than once is changed wherever it comes, because which one counts is the
//! receiver's reading; the lengths of all messages around a change are set right.

use std::ops::Range;

use super::{
    Fault, MessageType, Unknown,
    path::{Path, Step, varint},
    types::{Cardinality, Field, Kind, Message, MessageIndex, Scalar},
    wire::{Reader, Tag, WireType},
};
use crate::{
    edit::{EditFault, Edits, Operation, Text},
    json::{Limits, number::Number},
};

const KEY: u32 = 1;

impl MessageType {
    /// The changes that make `operation` of every value at `path`, which was looked up for it; none where nothing was sent there.
    ///
    /// # Errors
    /// When `bytes` is none of this type; fields that it does not declare are let be.
    pub fn edit(
        &self,
        bytes: &[u8],
        path: &Path,
        operation: &Operation<'_>,
        limits: &Limits,
    ) -> Result<Edits, EditFault> {
        self.verify(bytes, limits, Unknown::Allow, |_| {})?;
        let mut walk = Walk::new(self, bytes, operation, path.value.as_deref());
        walk.message(MessageIndex(0), &[Body::whole(bytes)], &path.steps)?;
        walk.settle_lengths();
        Ok(walk.edits.finish())
    }

    /// The changes that take away every field that the types here do not declare, at any depth.
    ///
    /// # Errors
    /// When `bytes` is none of this type otherwise.
    pub fn strip(&self, bytes: &[u8], limits: &Limits) -> Result<Edits, EditFault> {
        self.verify(bytes, limits, Unknown::Strip, |_| {})?;
        let mut walk = Walk::new(self, bytes, &Operation::Remove, None);
        walk.strip(MessageIndex(0), Body::whole(bytes))?;
        walk.settle_lengths();
        Ok(walk.edits.finish())
    }
}

struct Walk<'a> {
    types: &'a MessageType,
    /// A message that was verified.
    bytes: &'a [u8],
    operation: &'a Operation<'a>,
    /// What is set.
    value: Option<&'a [u8]>,
    edits: Edits,
    /// What has a length, the outer before the inner.
    frames: Vec<Frame>,
}

/// A field with a length, in which something may change.
struct Frame {
    length: Range<usize>,
    size: usize,
    parent: Option<usize>,
    /// By how much the content grows.
    growth: isize,
}

/// A message or a part of one, as far as one field holds it.
#[derive(Clone, Copy)]
struct Body<'a> {
    reader: Reader<'a>,
    /// The innermost one that it lies in.
    frame: Option<usize>,
}

/// A field as it was sent.
#[derive(Clone)]
struct Sent<'a> {
    /// From its tag on.
    whole: Range<usize>,
    content: Content<'a>,
    frame: Option<usize>,
    /// Another member of its oneof came before it, after the one of its own before.
    is_anew: bool,
}

#[derive(Clone)]
enum Content<'a> {
    Scalar(Range<usize>),
    Length { length: Range<usize>, content: Reader<'a> },
    Group(Reader<'a>),
}

impl<'a> Body<'a> {
    fn whole(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes), frame: None }
    }
}

impl<'a> Walk<'a> {
    fn new(
        types: &'a MessageType,
        bytes: &'a [u8],
        operation: &'a Operation<'a>,
        value: Option<&'a [u8]>,
    ) -> Self {
        Self { types, bytes, operation, value, edits: Edits::default(), frames: Vec::new() }
    }

    /// It recurses once per level, of which verifying has allowed so many.
    fn strip(&mut self, index: MessageIndex, mut body: Body<'a>) -> Result<(), Fault> {
        let Some(message) = self.types.message(index) else { return Ok(()) };
        while let Some((tag, mut inside, whole)) = next_field(&mut body.reader)? {
            let start = inside.offset();
            let (index, content) = match (message.field(tag.number), tag.wire) {
                (None, _) => {
                    self.splice(body.frame, whole, Vec::new());
                    continue;
                }
                (Some((_, Field { kind: Kind::Message(index), .. })), WireType::Length) => {
                    let content = inside.length_delimited(tag.offset)?;
                    (*index, Content::Length { length: start..content.offset(), content })
                }
                (Some((_, Field { kind: Kind::Group(index), .. })), WireType::GroupStart) => {
                    (*index, Content::Group(inside))
                }
                (Some(_), _) => continue,
            };
            let sent = Sent { whole, content, frame: body.frame, is_anew: false };
            if let Some(inner) = self.enter(&sent) {
                self.strip(index, inner)?;
            }
        }
        Ok(())
    }

    /// `bodies` are parts of one message, to be merged. It recurses once per step.
    fn message(&mut self, index: MessageIndex, bodies: &[Body<'a>], steps: &[Step]) -> Result<(), Fault> {
        let [Step::Field(place), rest @ ..] = steps else { return Ok(()) };
        let Some(message) = self.types.message(index) else { return Ok(()) };
        let Some(field) = message.fields.get(*place) else { return Ok(()) };
        let (mut sent, mut is_anew) = (Vec::new(), false);
        for body in bodies {
            self.collect(message, *place, *body, &mut is_anew, &mut sent)?;
        }
        match (field.cardinality, rest) {
            (Cardinality::Repeated | Cardinality::Map, []) => {
                sent.iter().for_each(|each| self.splice(each.frame, each.whole.clone(), Vec::new()));
                Ok(())
            }
            (Cardinality::Map, [Step::Key(key), rest @ ..]) => {
                sent.iter().try_for_each(|entry| self.entry(field, entry, key, rest))
            }
            (Cardinality::Repeated, [step, rest @ ..]) => self.elements(field, &sent, step, rest),
            (_, []) if field.oneof.is_some() && matches!(self.operation, Operation::Remove) => {
                self.remove_member(message, *place, bodies)
            }
            (_, []) => sent.iter().try_for_each(|each| self.change(field, each)),
            (_, rest) => {
                // A oneof that has become another member forgets what came before.
                for part in sent.chunk_by(|_, next| !next.is_anew) {
                    let bodies: Vec<_> = part.iter().filter_map(|each| self.enter(each)).collect();
                    self.inside(field, &bodies, rest)?;
                }
                Ok(())
            }
        }
    }

    fn inside(&mut self, field: &Field, bodies: &[Body<'a>], steps: &[Step]) -> Result<(), Fault> {
        match field.kind {
            Kind::Message(index) | Kind::Group(index) => self.message(index, bodies, steps),
            Kind::Text | Kind::Bytes | Kind::Scalar(_) => Ok(()),
        }
    }

    /// Where the field at `place` comes in a body. `is_anew`: another member of its oneof came last.
    fn collect(
        &self,
        message: &Message,
        place: usize,
        mut body: Body<'a>,
        is_anew: &mut bool,
        sent: &mut Vec<Sent<'a>>,
    ) -> Result<(), Fault> {
        let oneof = message.fields.get(place).and_then(|field| field.oneof);
        while let Some((tag, mut inside, whole)) = next_field(&mut body.reader)? {
            let start = inside.offset();
            match message.field(tag.number) {
                Some((own, _)) if own == place => {
                    let content = match tag.wire {
                        WireType::Length => {
                            let content = inside.length_delimited(tag.offset)?;
                            Content::Length { length: start..content.offset(), content }
                        }
                        WireType::GroupStart => Content::Group(inside),
                        _ => Content::Scalar(start..whole.end),
                    };
                    let is_anew = std::mem::take(is_anew);
                    sent.push(Sent { whole, content, frame: body.frame, is_anew });
                }
                Some((_, other)) if oneof.is_some() && other.oneof == oneof => *is_anew = true,
                _ => {}
            }
        }
        Ok(())
    }

    /// Of a oneof the member that came last counts. Without it one before would, which nobody has been shown: they go with it.
    fn remove_member(&mut self, message: &Message, place: usize, bodies: &[Body<'a>]) -> Result<(), Fault> {
        let oneof = message.fields.get(place).and_then(|field| field.oneof);
        let mut members = Vec::new();
        for Body { mut reader, frame } in bodies.iter().copied() {
            while let Some((tag, _, whole)) = next_field(&mut reader)? {
                if let Some((own, field)) = message.field(tag.number)
                    && field.oneof == oneof
                {
                    members.push((own == place, frame, whole));
                }
            }
        }
        let last = members.iter().rposition(|(is_own, ..)| *is_own);
        members.truncate(last.map_or(0, |last| last + 1));
        members.into_iter().for_each(|(_, frame, whole)| self.splice(frame, whole, Vec::new()));
        Ok(())
    }

    fn elements(
        &mut self,
        field: &Field,
        sent: &[Sent<'a>],
        step: &Step,
        rest: &[Step],
    ) -> Result<(), Fault> {
        let mut count = 0;
        let mut is_meant = || {
            count += 1;
            match step {
                Step::Index(index) => *index == count - 1,
                _ => true,
            }
        };
        for each in sent {
            match (field.kind, &each.content) {
                (Kind::Scalar(scalar), Content::Length { .. }) => {
                    self.packed(scalar, each, &mut is_meant)?;
                }
                _ if !is_meant() => {}
                _ if rest.is_empty() => self.change(field, each)?,
                _ => {
                    let body = self.enter(each);
                    self.inside(field, body.as_slice(), rest)?;
                }
            }
        }
        Ok(())
    }

    fn packed(
        &mut self,
        scalar: Scalar,
        sent: &Sent<'a>,
        is_meant: &mut impl FnMut() -> bool,
    ) -> Result<(), Fault> {
        let Some(Body { mut reader, frame }) = self.enter(sent) else { return Ok(()) };
        while !reader.is_empty() {
            let start = reader.offset();
            scalar.read(&mut reader, start)?;
            if is_meant() {
                let with = self.value.unwrap_or_default().to_vec();
                self.splice(frame, start..reader.offset(), with);
            }
        }
        Ok(())
    }

    /// `steps`: behind the key, the first of them to the value.
    fn entry(&mut self, map: &Field, sent: &Sent<'a>, key: &str, steps: &[Step]) -> Result<(), Fault> {
        let Kind::Message(index) = map.kind else { return Ok(()) };
        let Some(entry) = self.types.message(index) else { return Ok(()) };
        let Content::Length { content, .. } = &sent.content else { return Ok(()) };
        if self.key(entry, Body { reader: *content, frame: None })? != key {
            return Ok(());
        }
        if steps.len() == 1 && matches!(self.operation, Operation::Remove) {
            self.splice(sent.frame, sent.whole.clone(), Vec::new());
            return Ok(());
        }
        let body = self.enter(sent);
        self.message(index, body.as_slice(), steps)
    }

    /// The name under which an entry is found; the default if it has none.
    fn key(&self, entry: &Message, body: Body<'a>) -> Result<String, Fault> {
        let Some((place, field)) = entry.field(KEY) else { return Ok(String::new()) };
        let mut sent = Vec::new();
        self.collect(entry, place, body, &mut false, &mut sent)?;
        Ok(match (field.kind, sent.last().map(|each| &each.content)) {
            (Kind::Text, Some(Content::Length { content, .. })) => {
                String::from_utf8_lossy(content.rest()).into_owned()
            }
            (Kind::Scalar(Scalar::Bool), Some(Content::Scalar(range))) => {
                (self.bytes[range.start] != 0).to_string()
            }
            (Kind::Scalar(Scalar::Bool), _) => "false".to_owned(),
            (Kind::Scalar(scalar), Some(Content::Scalar(range))) => {
                let mut reader = Reader::new(&self.bytes[range.clone()]);
                match scalar.read(&mut reader, range.start)? {
                    Number::Unsigned(integer) => integer.to_string(),
                    Number::Signed(integer) => integer.to_string(),
                    Number::Float(_) => String::new(),
                }
            }
            (Kind::Scalar(_), _) => "0".to_owned(),
            _ => String::new(),
        })
    }

    fn change(&mut self, field: &Field, sent: &Sent<'a>) -> Result<(), Fault> {
        let Sent { whole, content, frame, .. } = sent;
        match (self.operation, content) {
            (Operation::Remove, _) => self.splice(*frame, whole.clone(), Vec::new()),
            (Operation::Set(_), Content::Scalar(range)) => {
                self.splice(*frame, range.clone(), self.value.unwrap_or_default().to_vec());
            }
            (Operation::Set(_), Content::Length { length, content }) => {
                let with = self.value.unwrap_or_default().to_vec();
                self.put(*frame, length.start..end(content), with);
            }
            (Operation::Text(change), Content::Length { length, content }) => {
                let text = match field.kind {
                    Kind::Text => Text::Characters(String::from_utf8_lossy(content.rest())),
                    _ => Text::Bytes(content.rest()),
                };
                let with = change(text);
                if with != content.rest() {
                    self.put(*frame, length.start..end(content), with);
                }
            }
            // Paths lead to such only to remove it.
            (Operation::Set(_), Content::Group(_)) | (Operation::Text(_), _) => {}
        }
        Ok(())
    }

    /// Content with its length.
    fn put(&mut self, frame: Option<usize>, range: Range<usize>, content: Vec<u8>) {
        let mut with = varint(content.len() as u64);
        with.extend(content);
        self.splice(frame, range, with);
    }

    fn splice(&mut self, frame: Option<usize>, range: Range<usize>, with: Vec<u8>) {
        // Both are sizes of slices.
        let growth = with.len() as isize - range.len() as isize;
        if let Some(frame) = frame.and_then(|frame| self.frames.get_mut(frame)) {
            frame.growth += growth;
        }
        self.edits.replace(self.bytes, range, with);
    }

    /// What is inside a field.
    fn enter(&mut self, sent: &Sent<'a>) -> Option<Body<'a>> {
        match &sent.content {
            Content::Scalar(_) => None,
            Content::Group(reader) => Some(Body { reader: *reader, frame: sent.frame }),
            Content::Length { length, content } => {
                let (length, size) = (length.clone(), content.rest().len());
                self.frames.push(Frame { length, size, parent: sent.frame, growth: 0 });
                Some(Body { reader: *content, frame: Some(self.frames.len() - 1) })
            }
        }
    }

    /// From the inside out.
    fn settle_lengths(&mut self) {
        while let Some(Frame { length, size, parent, growth }) = self.frames.pop() {
            if growth != 0 {
                self.splice_length(length, size.saturating_add_signed(growth), growth, parent);
            }
        }
    }

    fn splice_length(&mut self, length: Range<usize>, size: usize, growth: isize, parent: Option<usize>) {
        let with = varint(size as u64);
        if let Some(parent) = parent.and_then(|parent| self.frames.get_mut(parent)) {
            parent.growth += growth;
        }
        self.splice(parent, length, with);
    }
}

/// The next field of a verified message or group: its tag, a reader behind that, and where all of it lies. `None`: there is no more.
fn next_field<'a>(reader: &mut Reader<'a>) -> Result<Option<(Tag, Reader<'a>, Range<usize>)>, Fault> {
    if reader.is_empty() {
        return Ok(None);
    }
    let tag = reader.tag()?;
    if tag.wire == WireType::GroupEnd {
        return Ok(None);
    }
    let inside = *reader;
    reader.skip(tag, u32::MAX, &mut |_| {})?;
    Ok(Some((tag, inside, tag.offset..reader.offset())))
}

fn end(content: &Reader<'_>) -> usize {
    content.offset() + content.rest().len()
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
