//! A compiled set of patterns.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use hyperscan::{BlockDatabase, Builder, Matching, Patterns};

use crate::{
    CompileError, Flow, MatchSink, Pattern, PatternId, ScanError, Scratch,
    error::advice,
    pattern::{Reports, error_reason},
};

/// A compiled set of patterns: immutable, and shared by all cores.
///
/// Patterns with the flag `u` live in an engine of their own. Hyperscan's UTF-8 mode is undefined on bytes that are
/// not UTF-8, and messages are often binary: so that engine sees each invalid byte replaced by U+001A SUBSTITUTE,
/// which moves no offset. The copy is made only when such patterns exist and the bytes are not UTF-8.
pub struct Database {
    bytes: Option<BlockDatabase>,
    text: Option<BlockDatabase>,
    identity: Arc<Identity>,
}

/// Tells databases apart by its address.
pub(crate) struct Identity(
    #[expect(dead_code, reason = "a size of its own, so that no two share an address")] u8,
);

impl Database {
    /// Compiles `patterns`; an empty list is a database that never matches.
    ///
    /// # Errors
    /// Names the first pattern at fault, by its index, with what to write instead.
    pub fn compile(patterns: &[Pattern]) -> Result<Self, CompileError> {
        Self::compile_reporting(patterns, Reports::Once)
    }

    pub(crate) fn compile_reporting(patterns: &[Pattern], reports: Reports) -> Result<Self, CompileError> {
        let select = |unicode| {
            let of_engine =
                patterns.iter().enumerate().filter(move |(_, pattern)| pattern.is_unicode() == unicode);
            compile_engine(of_engine, reports)
        };
        Ok(Self { bytes: select(false)?, text: select(true)?, identity: Arc::new(Identity(0)) })
    }

    /// The memory of the compiled set, in bytes.
    pub fn size_bytes(&self) -> usize {
        self.engines().filter_map(|engine| engine.size().ok()).sum()
    }

    /// Reports each pattern id found in `bytes` to `sink`, at its first match, in no useful order between patterns.
    ///
    /// An id is reported once, except that ids shared between a pattern with the flag `u` and one without may be
    /// reported twice. There is no start of a match: [`SpanDatabase`](crate::SpanDatabase) has it. Time is linear in the
    /// length.
    ///
    /// # Errors
    /// [`ScanError::UnfittedScratch`] before [`Scratch::fit`] with this database, [`ScanError::TooLong`] beyond
    /// 4 GiB. A sink that stops the scan is no error.
    pub fn scan<S: MatchSink>(
        &self,
        scratch: &mut Scratch,
        bytes: &[u8],
        sink: &mut S,
    ) -> Result<(), ScanError> {
        self.scan_spans(scratch, bytes, |id, _, end| sink.on_match(id, end))
    }

    /// `sink` hears of the pattern, and of where its match starts, if that is reported, and ends.
    pub(crate) fn scan_spans(
        &self,
        scratch: &mut Scratch,
        bytes: &[u8],
        mut sink: impl FnMut(PatternId, usize, usize) -> Flow,
    ) -> Result<(), ScanError> {
        if !scratch.is_fitted(self) {
            return Err(ScanError::UnfittedScratch);
        }
        if u32::try_from(bytes.len()).is_err() {
            return Err(ScanError::TooLong { length: bytes.len() });
        }
        if let Some(engine) = &self.bytes
            && run(engine, scratch, bytes, &mut sink)? == Flow::Stop
        {
            return Ok(());
        }
        if let Some(engine) = &self.text {
            scan_text(engine, scratch, bytes, &mut sink)?;
        }
        Ok(())
    }

    pub(crate) fn engines(&self) -> impl Iterator<Item = &BlockDatabase> {
        self.bytes.iter().chain(&self.text)
    }

    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("size_bytes", &self.size_bytes()).finish_non_exhaustive()
    }
}

/// ASCII's own "this character was damaged".
const SUBSTITUTE: u8 = 0x1a;

fn compile_engine<'a>(
    patterns: impl Iterator<Item = (usize, &'a Pattern)>,
    reports: Reports,
) -> Result<Option<BlockDatabase>, CompileError> {
    let patterns: Vec<_> = patterns.collect();
    if patterns.is_empty() {
        return Ok(None);
    }
    let translated: Vec<_> = patterns
        .iter()
        .map(|(index, pattern)| pattern.to_engine(*index, reports))
        .collect::<Result<_, _>>()?;
    Patterns(translated).build().map(Some).map_err(|error| compile_fault(&error, &patterns))
}

/// Names the pattern at fault among `patterns`, which were compiled together.
pub(crate) fn compile_fault(error: &hyperscan::Error, patterns: &[(usize, &Pattern)]) -> CompileError {
    let reason = error_reason(error);
    match failed_position(error).and_then(|position| patterns.get(position)) {
        Some(&(index, pattern)) => pattern.refusal(index, reason),
        None => CompileError::Set { advice: advice(&reason), reason },
    }
}

fn failed_position(error: &hyperscan::Error) -> Option<usize> {
    match error {
        hyperscan::Error::Hyperscan(hyperscan::HsError::CompileError(error)) => error.expression(),
        _ => None,
    }
}

fn scan_text(
    engine: &BlockDatabase,
    scratch: &mut Scratch,
    bytes: &[u8],
    sink: &mut impl FnMut(PatternId, usize, usize) -> Flow,
) -> Result<(), ScanError> {
    if std::str::from_utf8(bytes).is_ok() {
        return run(engine, scratch, bytes, sink).map(drop);
    }
    let mut text = std::mem::take(&mut scratch.text);
    text.clear();
    for chunk in bytes.utf8_chunks() {
        text.extend_from_slice(chunk.valid().as_bytes());
        text.resize(text.len() + chunk.invalid().len(), SUBSTITUTE);
    }
    let outcome = run(engine, scratch, &text, sink).map(drop);
    scratch.text = text;
    outcome
}

fn run(
    engine: &BlockDatabase,
    scratch: &Scratch,
    bytes: &[u8],
    sink: &mut impl FnMut(PatternId, usize, usize) -> Flow,
) -> Result<Flow, ScanError> {
    let engine_scratch = scratch.engine().ok_or(ScanError::UnfittedScratch)?;
    let mut panic = None;
    let outcome = engine.scan(bytes, engine_scratch, |id: u32, from: u64, to: u64, _flags: u32| {
        // A panic must not unwind into C, which would abort the process: it waits until the scan is over.
        match catch_unwind(AssertUnwindSafe(|| sink(PatternId(id), from as usize, to as usize))) {
            Ok(Flow::Continue) => Matching::Continue,
            Ok(Flow::Stop) => Matching::Terminate,
            Err(payload) => {
                panic = Some(payload);
                Matching::Terminate
            }
        }
    });
    if let Some(payload) = panic {
        resume_unwind(payload);
    }
    match outcome {
        Ok(()) => Ok(Flow::Continue),
        Err(hyperscan::Error::Hyperscan(hyperscan::HsError::ScanTerminated)) => Ok(Flow::Stop),
        Err(error) => Err(ScanError::Engine(error.to_string())),
    }
}
