//! Where the matches are, of the message itself and of all its views.

use std::ops::Range;

use wsi_scan::{Kinds, Normalizer, ScanError, Scratch};

use super::region::{Parts, Shape};
use crate::{engine::Redaction, worker::Worker};

/// Places that are redacted one by one; a message with more is not.
const SPANS_MAX: usize = 1 << 16;

/// Matches in the order of the message, without overlap.
#[derive(Debug, Default)]
pub(super) struct Spans {
    list: Vec<Span>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub range: Range<usize>,
    /// Whose match it is, or the first of several.
    pub pattern: usize,
}

impl Spans {
    /// `None`: they are too many, or can't all be found.
    pub fn find(
        redaction: &Redaction,
        normalizer: &Normalizer,
        payload: &[u8],
        shape: &Shape,
        worker: &mut Worker,
    ) -> Option<Self> {
        let mut search = Search { redaction, scratch: &mut worker.scratch, found: Self::default() };
        search.text(normalizer, payload, None)?;
        if let Some(parts) = shape.parts() {
            search.text(normalizer, &parts.texts, Some(parts))?;
        }
        let mut found = search.found;
        found.settle();
        Some(found)
    }

    pub fn as_slice(&self) -> &[Span] {
        &self.list
    }

    /// Joins what overlaps. What only touches are matches of their own.
    fn settle(&mut self) {
        self.list.sort_by_key(|span| (span.range.start, span.range.end));
        self.list.dedup_by(|next, before| {
            let overlaps = next.range.start < before.range.end;
            if overlaps {
                before.range.end = before.range.end.max(next.range.end);
            }
            overlaps
        });
    }

    /// `None`: it is one too many.
    fn push(&mut self, span: Span) -> Option<()> {
        // What is reported of one match overlaps, mostly one report with the last.
        if let Some(last) = self.list.last_mut()
            && span.range.start < last.range.end
            && last.range.start <= span.range.start
        {
            last.range.end = last.range.end.max(span.range.end);
            return Some(());
        }
        if self.list.len() >= SPANS_MAX {
            self.settle();
        }
        if self.list.len() >= SPANS_MAX {
            return None;
        }
        self.list.push(span);
        Some(())
    }
}

struct Search<'a> {
    redaction: &'a Redaction,
    scratch: &'a mut Scratch,
    found: Spans,
}

impl Search<'_> {
    /// Finds matches in a text and its views. `parts`: it is that of these parts, and else the message.
    fn text(&mut self, normalizer: &Normalizer, text: &[u8], parts: Option<&Parts>) -> Option<()> {
        for span in self.view(text, Kinds::NONE).ok()?.list {
            self.add(span, parts)?;
        }
        let mut is_all = true;
        let traced = normalizer.traced_views(text, |view, undone, trace| {
            let Ok(spans) = self.view(view, undone) else {
                is_all = false;
                return;
            };
            for Span { range, pattern } in spans.list {
                is_all &= self.add(Span { range: trace.source(range), pattern }, parts).is_some();
            }
        });
        (is_all && traced.is_ok()).then_some(())
    }

    /// The matches in a view, as its own bytes.
    fn view(&mut self, view: &[u8], undone: Kinds) -> Result<Spans, ScanError> {
        let Self { redaction, scratch, .. } = self;
        let (mut found, mut is_full) = (Spans::default(), false);
        redaction.database.scan(scratch, view, |id, range| {
            let pattern = id.0 as usize;
            let counts = redaction.patterns.get(pattern).is_some_and(|each| each.kinds.contains(undone));
            if counts && !range.is_empty() {
                is_full |= found.push(Span { range, pattern }).is_none();
            }
        })?;
        found.settle();
        if is_full { Err(ScanError::TooManyMatches) } else { Ok(found) }
    }

    fn add(&mut self, Span { range, pattern }: Span, parts: Option<&Parts>) -> Option<()> {
        match parts {
            None => self.found.push(Span { range, pattern }),
            Some(parts) => parts.source(range).try_for_each(|range| self.found.push(Span { range, pattern })),
        }
    }
}
