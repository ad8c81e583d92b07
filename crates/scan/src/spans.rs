//! Where the matches of patterns are, from their first byte on.

use std::ops::Range;

use crate::{CompileError, Database, Flow, Pattern, PatternId, ScanError, Scratch, pattern::Reports};

/// Places whose start has to be searched for; more are [`ScanError::TooManyMatches`].
const RUNS_MAX: usize = 256;
/// What follows the end of a match and may decide about it, as the character behind a `\b`, in bytes.
const AFTER_SIZE: usize = 16;

/// A set of patterns of which every match is told, with its start: larger and slower than a [`Database`], which knows only that a
/// pattern occurs. Immutable, and shared by all cores.
///
/// Hyperscan can follow the starts of most patterns, at a price: of a large one, as most built-in rules are, it takes a second to
/// compile, and of some it can't. Of these it tells only where matches end, and the start is searched for, by matching ever longer
/// pieces of the text before that end. Another engine would find it too, but would not read every pattern alike.
#[derive(Debug)]
pub struct SpanDatabase {
    spans: Database,
    ends: Database,
}

impl SpanDatabase {
    /// Compiles patterns whose starts are `followed` if they can be, and others whose starts are `searched` for.
    ///
    /// # Errors
    /// As [`Database::compile`].
    pub fn compile(followed: &[Pattern], searched: &[Pattern]) -> Result<Self, CompileError> {
        let compile = |patterns: &[Pattern]| Database::compile_reporting(patterns, Reports::Spans);
        let mut searched = searched.to_vec();
        let spans = match compile(followed) {
            Ok(spans) => spans,
            Err(_) => {
                let can_be = |pattern: &&Pattern| compile(std::slice::from_ref(pattern)).is_ok();
                let (followed, others): (Vec<&Pattern>, Vec<&Pattern>) = followed.iter().partition(can_be);
                searched.extend(others.into_iter().cloned());
                compile(&followed.into_iter().cloned().collect::<Vec<_>>())?
            }
        };
        // Whatever else may be wrong with a pattern is found here.
        let ends = Database::compile_reporting(&searched, Reports::Ends)?;
        Ok(Self { spans, ends })
    }

    /// What a [`Scratch`] is to be fitted to.
    pub fn databases(&self) -> [&Database; 2] {
        [&self.spans, &self.ends]
    }

    /// Reports every match in `bytes` to `sink`. What is reported of one place may overlap: all together it covers the longest
    /// match from the leftmost start, or, of a pattern whose starts have to be searched for, from the latest.
    ///
    /// # Errors
    /// As [`Database::scan`], and [`ScanError::TooManyMatches`].
    pub fn scan(
        &self,
        scratch: &mut Scratch,
        bytes: &[u8],
        mut sink: impl FnMut(PatternId, Range<usize>),
    ) -> Result<(), ScanError> {
        self.spans.scan_spans(scratch, bytes, |id, start, end| {
            sink(id, start..end);
            Flow::Continue
        })?;
        for run in self.runs(scratch, bytes)? {
            if let Some(start) = self.start_of(run, scratch, bytes)? {
                sink(run.id, start..run.last_end);
            }
        }
        Ok(())
    }

    /// Ends of matches that follow each other byte by byte, as those of `x.*` do, belong to one that goes on.
    fn runs(&self, scratch: &mut Scratch, bytes: &[u8]) -> Result<Vec<Run>, ScanError> {
        let (mut runs, mut is_too_many) = (Vec::<Run>::new(), false);
        self.ends.scan_spans(scratch, bytes, |id, _, end| {
            let is_full = runs.len() == RUNS_MAX;
            match runs.iter_mut().rev().find(|run| run.id == id) {
                Some(run) if end <= run.last_end + 1 => run.last_end = run.last_end.max(end),
                _ if is_full => {
                    is_too_many = true;
                    return Flow::Stop;
                }
                _ => runs.push(Run { id, first_end: end, last_end: end }),
            }
            Flow::Continue
        })?;
        if is_too_many { Err(ScanError::TooManyMatches) } else { Ok(runs) }
    }

    /// The latest start of a match that ends where the run begins. The byte before it is not seen: after `\b` or `^` it may be
    /// later than the real one.
    fn start_of(&self, run: Run, scratch: &mut Scratch, bytes: &[u8]) -> Result<Option<usize>, ScanError> {
        let after = bytes.len().min(run.first_end + AFTER_SIZE);
        let mut matches_from = |start: usize| -> Result<bool, ScanError> {
            let mut found = false;
            self.ends.scan_spans(scratch, &bytes[start..after], |id, _, end| {
                found = id == run.id && start + end == run.first_end;
                if found { Flow::Stop } else { Flow::Continue }
            })?;
            Ok(found)
        };
        // Doubled until there is one, then halved: none from `late` on, and one from `early` on.
        let (mut late, mut size) = (run.first_end, 1);
        let mut early = loop {
            let start = run.first_end.saturating_sub(size);
            if matches_from(start)? {
                break start;
            }
            if start == 0 {
                return Ok(None);
            }
            (late, size) = (start, size * 2);
        };
        while late - early > 1 {
            let middle = early + (late - early) / 2;
            if matches_from(middle)? {
                early = middle;
            } else {
                late = middle;
            }
        }
        Ok(Some(early))
    }
}

/// Where matches of a pattern end.
#[derive(Clone, Copy, Debug)]
struct Run {
    id: PatternId,
    first_end: usize,
    last_end: usize,
}
