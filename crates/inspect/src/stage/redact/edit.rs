//! The message anew, with matches replaced and every other byte as it was.

use std::{io::Write, ops::Range};

use wsi_ws::HEADER_SIZE_MAX;

use super::{
    Redacted,
    region::{Region, Units},
    spans::{Span, Spans},
};
use crate::engine::{MASK, Redaction};

/// How matches are replaced.
pub(super) struct Edits<'a> {
    pub redaction: &'a Redaction,
    /// Each byte by a [`MASK`], whatever the rule says.
    pub keeps_size: bool,
    /// What a message may have when it was changed, in bytes.
    pub size_max: usize,
}

/// The new message so far.
struct Draft<'a> {
    edits: &'a Edits<'a>,
    payload: &'a [u8],
    spans: &'a [Span],
    out: Vec<u8>,
    /// What comes before is in `out`, as it is or replaced.
    copied: usize,
    places: usize,
}

/// What is being replaced.
struct Edit {
    range: Range<usize>,
    /// Characters, escaped or not.
    units: usize,
    /// Whose it is, by its place.
    span: usize,
}

impl Edits<'_> {
    /// Replaces what `spans` touch in `regions`, both in the order of the payload. `buffer` is empty. `None`: they touch nothing, or
    /// what comes out is too large.
    pub fn make(
        &self,
        payload: &[u8],
        regions: impl Iterator<Item = Region>,
        spans: &Spans,
        mut buffer: Vec<u8>,
    ) -> Option<Redacted> {
        buffer.resize(HEADER_SIZE_MAX, 0);
        let (spans, mut next) = (spans.as_slice(), 0);
        let mut draft = Draft { edits: self, payload, spans, out: buffer, copied: 0, places: 0 };
        for region in regions {
            next += spans[next..].partition_point(|span| span.range.end <= region.range.start);
            if next == spans.len() {
                break;
            }
            draft.region(&region, next)?;
        }
        draft.copy_to(payload.len())?;
        (draft.places > 0).then_some(Redacted { buffer: draft.out, places: draft.places })
    }
}

impl Draft<'_> {
    /// `next`: the first span that may touch the region.
    fn region(&mut self, region: &Region, mut next: usize) -> Option<()> {
        let (mut at, mut edit) = (region.range.start, None::<Edit>);
        while at < region.range.end {
            while self.spans.get(next).is_some_and(|span| span.range.end <= at) {
                next += 1;
            }
            let Some(span) = self.spans.get(next).filter(|span| span.range.start < region.range.end) else {
                break;
            };
            at = region.skip(at, span.range.start, self.payload);
            let end = at + region.unit_size(at, self.payload);
            if span.range.start < end {
                match &mut edit {
                    Some(edit) if edit.span == next && edit.range.end == at => {
                        edit.range.end = end;
                        edit.units += 1;
                    }
                    edit => {
                        let begun = Edit { range: at..end, units: 1, span: next };
                        self.replace(edit.replace(begun), region.units)?;
                    }
                }
            }
            at = end;
        }
        self.replace(edit, region.units)
    }

    /// `None`: it has become too large.
    fn replace(&mut self, edit: Option<Edit>, units: Units) -> Option<()> {
        let Some(Edit { range, units: count, span }) = edit else { return Some(()) };
        self.copy_to(range.start)?;
        let Edits { redaction, keeps_size, .. } = self.edits;
        let pattern = self.spans.get(span).and_then(|span| redaction.patterns.get(span.pattern));
        match pattern.and_then(|pattern| pattern.with.as_deref()) {
            _ if *keeps_size => self.out.resize(self.out.len() + range.len(), MASK),
            None => self.out.resize(self.out.len() + count, MASK),
            Some(text) if units == Units::Escapes => push_escaped(text, &mut self.out),
            Some(text) => self.out.extend_from_slice(text.as_bytes()),
        }
        self.copied = range.end;
        self.places += 1;
        self.fits()
    }

    /// The copy: messages that are redacted are few, and what takes the place of a match may have another length.
    fn copy_to(&mut self, end: usize) -> Option<()> {
        self.out.extend_from_slice(&self.payload[self.copied..end]);
        self.copied = end;
        self.fits()
    }

    fn fits(&self) -> Option<()> {
        (self.out.len() - HEADER_SIZE_MAX <= self.edits.size_max).then_some(())
    }
}

/// As it may stand in a JSON string (RFC 8259 section 7).
fn push_escaped(text: &str, out: &mut Vec<u8>) {
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
            // Writing to a Vec can't fail.
            '\0'..=' ' if character != ' ' => drop(write!(out, "\\u{:04x}", u32::from(character))),
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}
