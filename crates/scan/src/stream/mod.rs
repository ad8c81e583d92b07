//! Scanning a text that comes in parts, without holding it.

mod cursor;
mod node;

use std::fmt;

use hyperscan::{Builder, Patterns, StreamingDatabase};

use crate::{
    CompileError, Flow, Kinds, Normalizer, Pattern, PatternId, ScanError, database::compile_fault,
    normalize::escapes::CUT_SIZE_MAX, pattern::Reports,
};

use self::{
    cursor::Cursors,
    node::{Node, Walk},
};

/// The patterns of a [`Database`](crate::Database), compiled for texts that come in parts.
pub struct StreamDatabase {
    engine: StreamingDatabase,
    width_max: Option<usize>,
    scratch_size: usize,
    cursor_size: usize,
}

impl StreamDatabase {
    /// Compiles `patterns`. `None`: there are none, or one looks at characters (flag `u`), which parts may cut.
    ///
    /// # Errors
    /// As [`Database::compile`](crate::Database::compile).
    pub fn compile(patterns: &[Pattern]) -> Result<Option<Self>, CompileError> {
        if patterns.is_empty() || patterns.iter().any(Pattern::is_unicode) {
            return Ok(None);
        }
        let translated: Vec<_> = (0..)
            .zip(patterns)
            .map(|(i, pattern)| pattern.to_engine(i, Reports::Once))
            .collect::<Result<_, _>>()?;
        let widths = translated.iter().map(|pattern| pattern.info().ok().map(|info| info.max_width()));
        // Hyperscan's word for "no bound".
        let width_max = widths
            .map(|width| width.filter(|width| u32::try_from(*width).is_ok_and(|width| width < u32::MAX)))
            .try_fold(0, |most, width| width.map(|width| most.max(width)));
        let named: Vec<_> = patterns.iter().enumerate().collect();
        let engine: StreamingDatabase =
            Patterns(translated).build().map_err(|error| compile_fault(&error, &named))?;
        let of_engine = |error: hyperscan::Error| compile_fault(&error, &named);
        let scratch_size = engine.alloc_scratch().map_err(of_engine)?.size().map_err(of_engine)?;
        let cursor_size = engine.stream_size().map_err(of_engine)?;
        Ok(Some(Self { engine, width_max, scratch_size, cursor_size }))
    }

    /// The most bytes of a text that a match in any of its views can span, and that come after it before it is told; `None`:
    /// there is no bound.
    pub fn span_max(&self, normalizer: &Normalizer) -> Option<usize> {
        let tail = if normalizer.kinds().is_empty() { 0 } else { 2 * CUT_SIZE_MAX };
        Some((self.width_max? + tail).saturating_mul(normalizer.expansion_max()?))
    }

    /// The most memory of one [`Stream`], in bytes, without the part that it is given.
    pub fn stream_size_max(&self, normalizer: &Normalizer) -> usize {
        self.scratch_size + cursors_max(normalizer) * (self.cursor_size + Node::SIZE_MAX)
    }
}

/// A text with more views at a time hides too much. Without base64, a policy of one filter and the default depth has 21 at most.
const CURSORS_MAX: usize = 32;

fn cursors_max(normalizer: &Normalizer) -> usize {
    normalizer.views_max().map_or(CURSORS_MAX, |views| CURSORS_MAX.min(1 + views))
}

/// One text under one [`StreamDatabase`]: finds what [`Database::scan`](crate::Database::scan) would find in the whole text and in
/// its views, however the text is cut.
pub struct Stream {
    text: Node,
    cursors: Cursors,
    /// Bytes so far: of the text, and of all its views.
    size: usize,
    shown: u64,
}

impl Stream {
    /// # Errors
    /// When there is no memory.
    pub fn open(database: &StreamDatabase, normalizer: &Normalizer) -> Result<Self, ScanError> {
        let (cursors, cursor) = Cursors::new(database, cursors_max(normalizer))?;
        let text = Node::text(cursor, normalizer, normalizer.depth_max());
        Ok(Self { text, cursors, size: 0, shown: 0 })
    }

    /// Scans the next part, or the last. `sink` hears of matches that end in it, or shortly before it, with the kinds that were
    /// undone of the view that each is in; it does not hear where in the text they are. `Ok(true)`: the text hides something too
    /// deep.
    ///
    /// # Errors
    /// When there is no memory. A sink that stops the scan is no error, and nothing more is reported then.
    pub fn scan(
        &mut self,
        database: &StreamDatabase,
        normalizer: &Normalizer,
        part: &[u8],
        is_last: bool,
        sink: impl FnMut(Kinds, PatternId) -> Flow,
    ) -> Result<bool, ScanError> {
        self.size = self.size.saturating_add(part.len());
        let left = normalizer.shown_size_max(self.size).saturating_sub(self.shown);
        let cursors = &mut self.cursors;
        let mut walk = Walk { database, normalizer, cursors, sink, left, is_too_deep: false };
        self.text.feed(part, is_last, Kinds::NONE, &mut walk)?;
        let Walk { left: left_over, is_too_deep, .. } = walk;
        self.shown += left - left_over;
        if left_over == 0 {
            // Enough was shown: only the text itself is scanned from here on.
            self.text.forget_views();
        }
        Ok(is_too_deep)
    }
}

impl fmt::Debug for StreamDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamDatabase").field("width_max", &self.width_max).finish_non_exhaustive()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("cursors", &self.cursors.count()).finish_non_exhaustive()
    }
}
