//! Scanning a text that comes in parts, without holding it.

use std::{borrow::Cow, fmt, mem::ManuallyDrop};

use hyperscan::{Builder, Matching, Patterns, StreamingDatabase};

use crate::{
    CompileError, Flow, MatchSink, Pattern, PatternId, ScanError,
    database::compile_fault,
    escape::{ESCAPE_SIZE_MAX, Unescaped, unescape_json_part},
};

/// How often JSON escapes are undone.
const LAYERS_MAX: usize = crate::escape::DEPTH_MAX_DEFAULT;

/// What one character may take in its escaped form, undone as often as it is: `\u` and four digits, each of which may be escaped.
const ESCAPED_SIZE_MAX: usize = 6_usize.pow(LAYERS_MAX as u32);

/// What the layers wait with, as bytes of the text: an escape of the first, and of the second and third, whose bytes are escapes.
const CARRIED_SIZE_MAX: usize = ESCAPE_SIZE_MAX * (1 + 6 + 36);
const _: () = assert!(LAYERS_MAX == 3);

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
        let memory_size = scratch + (1 + LAYERS_MAX) * engine.stream_size().map_err(of_engine)?;
        Ok(Some(Self { engine, width_max, memory_size }))
    }

    /// How many of the last bytes that were scanned may belong to a match that is not told yet, with all escapes that are undone
    /// if `unescapes`; `None`: there is no bound.
    pub fn span_max(&self, unescapes: bool) -> Option<usize> {
        let width_max = self.width_max?;
        if !unescapes {
            return Some(width_max);
        }
        // Each layer waits for the end of an escape that may have been cut: a match that ends before that is told later.
        Some(width_max.saturating_mul(ESCAPED_SIZE_MAX).saturating_add(CARRIED_SIZE_MAX))
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
    unescapes: bool,
}

struct Layer {
    stream: ManuallyDrop<hyperscan::Stream>,
    /// The end of the layer before this, where an escape may have been cut.
    carry: Vec<u8>,
}

impl Stream {
    /// # Errors
    /// When there is no memory.
    pub fn open(database: &StreamDatabase, unescapes: bool) -> Result<Self, ScanError> {
        let scratch = database.engine.alloc_scratch().map_err(engine_fault)?;
        let stream = database.engine.open_stream().map_err(engine_fault)?;
        Ok(Self { layers: vec![Layer::new(stream)], scratch, unescapes })
    }

    /// Scans the next part, or the last. `sink` hears of matches that end in it, with the layer that each is in: 0 is the text as it
    /// came. It does not hear where in the text they are.
    ///
    /// # Errors
    /// When there is no memory. A sink that stops the scan is no error, and nothing more is reported then.
    pub fn scan(
        &mut self,
        database: &StreamDatabase,
        part: &[u8],
        is_last: bool,
        mut sink: impl FnMut(usize, PatternId) -> Flow,
    ) -> Result<(), ScanError> {
        let mut input = Cow::Borrowed(part);
        for depth in 0..=LAYERS_MAX {
            let mut output = Vec::new();
            let goes_on = self.unescapes
                && depth < LAYERS_MAX
                && self.unescape(database, depth, &input, is_last, &mut output)?;
            let mut of_layer = |id: PatternId, _: usize| sink(depth, id);
            if self.layers[depth].scan(&self.scratch, &input, is_last, &mut of_layer)? == Flow::Stop {
                return Ok(());
            }
            if !goes_on {
                return Ok(());
            }
            input = output.into();
        }
        Ok(())
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
        let unescaped = unescape_json_part(&text, is_last, output);
        if carried.is_none() {
            if unescaped == Unescaped::Same {
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
        match unescaped {
            Unescaped::Same => *output = text.into_owned(),
            Unescaped::Changed => {}
            Unescaped::Cut { at } => self.layers[next].carry = text[at..].to_vec(),
        }
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
