//! Scanning a text that comes in parts, without holding it.

use std::{borrow::Cow, fmt, mem::ManuallyDrop};

use hyperscan::{Builder, Matching, Patterns, StreamingDatabase};

use crate::{
    CompileError, Flow, MatchSink, Pattern, PatternId, ScanError,
    database::compile_fault,
    normalize::{DEPTH_MAX, Kinds, is_hiding, undo},
};

/// What one character may take in its escaped form: `\u` and four digits, each of which may be escaped in its turn.
const ESCAPED_SIZE_MAX: usize = 6;

/// The patterns of a [`Database`](crate::Database), compiled for texts that come in parts.
pub struct StreamDatabase {
    engine: StreamingDatabase,
    width_max: Option<usize>,
    memory_size: usize,
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
        let translated: Vec<_> =
            (0..).zip(patterns).map(|(i, pattern)| pattern.to_engine(i)).collect::<Result<_, _>>()?;
        let widths = translated.iter().map(|pattern| pattern.info().ok().map(|info| info.max_width()));
        // Hyperscan's word for "no bound".
        let width_max = widths
            .map(|width| width.filter(|width| u32::try_from(*width).is_ok_and(|width| width < u32::MAX)))
            .try_fold(0, |most, width| width.map(|width| most.max(width)));
        let named: Vec<_> = patterns.iter().enumerate().collect();
        let engine: StreamingDatabase =
            Patterns(translated).build().map_err(|error| compile_fault(&error, &named))?;
        let of_engine = |error: hyperscan::Error| compile_fault(&error, &named);
        let scratch = engine.alloc_scratch().map_err(of_engine)?.size().map_err(of_engine)?;
        let memory_size = scratch + (1 + DEPTH_MAX as usize) * engine.stream_size().map_err(of_engine)?;
        Ok(Some(Self { engine, width_max, memory_size }))
    }

    /// The most bytes of a text that a match can span, when JSON escapes are undone `depth` times; `None`: there is no
    /// bound.
    pub fn span_max(&self, depth: usize) -> Option<usize> {
        let escaped = ESCAPED_SIZE_MAX.saturating_pow(u32::try_from(depth).unwrap_or(u32::MAX));
        self.width_max.map(|width| width.saturating_mul(escaped))
    }

    /// The most memory of one [`Stream`], in bytes, without the part that it is given.
    pub fn stream_size_max(&self) -> usize {
        self.memory_size
    }
}

/// One text under one [`StreamDatabase`]: finds what [`Database::scan`](crate::Database::scan) would find in the whole text and in
/// its layers of undone JSON escapes, however the text is cut.
pub struct Stream {
    /// The text as it came, then each layer that differs from the one before it.
    layers: Vec<Layer>,
    /// Of its own, because it must outlive the streams to close them; messages that need it are rare.
    scratch: hyperscan::Scratch,
    depth_max: usize,
    /// The end of what came in the deepest layer, where an escape may have been cut.
    deepest: Vec<u8>,
}

struct Layer {
    stream: ManuallyDrop<hyperscan::Stream>,
    /// The end of the layer before this, where an escape may have been cut.
    carry: Vec<u8>,
}

impl Stream {
    /// JSON escapes are undone up to `depth_max` times, at most [`DEPTH_MAX`].
    ///
    /// # Errors
    /// When there is no memory.
    pub fn open(database: &StreamDatabase, depth_max: usize) -> Result<Self, ScanError> {
        let scratch = database.engine.alloc_scratch().map_err(engine_fault)?;
        let stream = database.engine.open_stream().map_err(engine_fault)?;
        let depth_max = depth_max.min(DEPTH_MAX as usize);
        Ok(Self { layers: vec![Layer::new(stream)], scratch, depth_max, deepest: Vec::new() })
    }

    /// Scans the next part, or the last. `sink` hears of matches that end in it, with the layer that each is in: 0 is the text as it
    /// came. It does not hear where in the text they are. `false`: something is hidden deeper than was looked.
    ///
    /// # Errors
    /// When there is no memory. A sink that stops the scan is no error, and nothing more is reported then.
    pub fn scan(
        &mut self,
        database: &StreamDatabase,
        part: &[u8],
        is_last: bool,
        mut sink: impl FnMut(usize, PatternId) -> Flow,
    ) -> Result<bool, ScanError> {
        let mut input = Cow::Borrowed(part);
        for depth in 0..=self.depth_max {
            let mut output = Vec::new();
            let goes_on =
                depth < self.depth_max && self.unescape(database, depth, &input, is_last, &mut output)?;
            let mut of_layer = |id: PatternId, _: usize| sink(depth, id);
            if self.layers[depth].scan(&self.scratch, &input, is_last, &mut of_layer)? == Flow::Stop {
                return Ok(true);
            }
            if !goes_on {
                let is_deepest = depth == self.depth_max && depth > 0;
                return Ok(!(is_deepest && self.hides(&input)));
            }
            input = output.into();
        }
        Ok(true)
    }

    /// Whether the deepest layer holds an escape that hides a character, cut or not.
    fn hides(&mut self, input: &[u8]) -> bool {
        self.deepest.extend_from_slice(input);
        let is_hiding = is_hiding(Kinds::JSON, &self.deepest);
        let surplus = self.deepest.len().saturating_sub(ESCAPED_SIZE_MAX);
        self.deepest.drain(..surplus);
        is_hiding
    }

    /// Undoes the escapes of the part `input` of layer `depth` into `output`. `false`: the next layer is still the same as this one.
    fn unescape(
        &mut self,
        database: &StreamDatabase,
        depth: usize,
        input: &[u8],
        is_last: bool,
        output: &mut Vec<u8>,
    ) -> Result<bool, ScanError> {
        let next = depth + 1;
        let carried = self.layers.get_mut(next).map(|layer| std::mem::take(&mut layer.carry));
        let text = match &carried {
            Some(carry) if !carry.is_empty() => Cow::Owned([carry, input].concat()),
            _ => Cow::Borrowed(input),
        };
        let undone = undo(Kinds::JSON, &text, is_last, Kinds::NONE, output);
        if carried.is_none() {
            if undone.kinds.is_empty() && undone.consumed == text.len() {
                return Ok(false);
            }
            // From here on they differ: the next layer begins as a copy of this one, before this part.
            let stream = database.engine.open_stream().map_err(engine_fault)?;
            let stream = Layer::new(stream);
            let before = &self.layers[depth].stream;
            stream
                .stream
                .reset_and_copy_stream(before, &self.scratch, |_: u32, _: u64, _: u64, _: u32| {
                    Matching::Continue
                })
                .map_err(engine_fault)?;
            self.layers.push(stream);
        }
        self.layers[next].carry = text[undone.consumed..].to_vec();
        Ok(true)
    }
}

impl Layer {
    fn new(stream: hyperscan::Stream) -> Self {
        Self { stream: ManuallyDrop::new(stream), carry: Vec::new() }
    }

    fn scan(
        &self,
        scratch: &hyperscan::Scratch,
        bytes: &[u8],
        is_last: bool,
        sink: &mut impl MatchSink,
    ) -> Result<Flow, ScanError> {
        let mut flow = Flow::Continue;
        let mut on_match = |id: u32, _: u64, to: u64, _: u32| {
            flow = sink.on_match(PatternId(id), to as usize);
            if flow == Flow::Stop { Matching::Terminate } else { Matching::Continue }
        };
        let mut result = Ok(());
        if !bytes.is_empty() {
            result = self.stream.scan(bytes, scratch, &mut on_match);
        }
        if is_last && result.is_ok() {
            // Matches at the very end are told when the stream ends.
            result = self.stream.reset(scratch, &mut on_match);
        }
        match result {
            Ok(()) => Ok(flow),
            Err(hyperscan::Error::Hyperscan(hyperscan::HsError::ScanTerminated)) => Ok(Flow::Stop),
            Err(error) => Err(engine_fault(error)),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        for layer in self.layers.drain(..) {
            // The crate frees a stream only when it is closed.
            let stream = ManuallyDrop::into_inner(layer.stream);
            let _ = stream.close(&self.scratch, |_: u32, _: u64, _: u64, _: u32| Matching::Terminate);
        }
    }
}

fn engine_fault(error: hyperscan::Error) -> ScanError {
    ScanError::Engine(error.to_string())
}

impl fmt::Debug for StreamDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamDatabase").field("width_max", &self.width_max).finish_non_exhaustive()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}
