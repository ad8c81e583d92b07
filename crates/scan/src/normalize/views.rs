//! The views of a whole text.

use std::ops::ControlFlow;

use super::{Kinds, base64::Runs, compat, escapes, lookalikes};

/// How many layers of escapes are undone unless the caller says otherwise, and at most.
pub const DEPTH_MAX_DEFAULT: u32 = 4;
pub const DEPTH_MAX: u32 = 8;

/// The sets of kinds of escapes that a text may be read with: of three kinds, without the empty one.
const READERS_MAX: usize = 7;

/// What is shown of a small text may be larger than its share: its views are bounded by their number.
const SHOWN_SIZE_FREE: u64 = 64 << 10;

/// Which views of a text are shown.
///
/// A *layer* undoes one level of every kind of escape at once, in one pass, up to the depth; what is encoded by turns is so undone by
/// turns. As a reader may know fewer kinds than we do (`%be\u006echmark` is `%benchmark` to JSON alone), layers are also made with
/// each kind alone, and for each other set that was asked for. Of each layer, and of the text itself, there are up to
/// two more views under [`Kinds::UNICODE`]: composed (NFKC, without invisible characters), and with look-alikes as ASCII. Under
/// [`Kinds::BASE64`] what the text or a layer holds in base64 is a text of its own, with one level of depth less.
///
/// A view is shown only if it differs from those before it.
#[derive(Clone, Debug)]
pub struct Normalizer {
    kinds: Kinds,
    /// Sets of kinds of escapes, larger ones first.
    readers: Vec<Kinds>,
    depth_max: u32,
}

/// How the showing of views ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<B> {
    /// All that the text could hide was shown.
    Complete,
    /// Something is hidden deeper than the depth, or the views are larger than [`Normalizer::shown_size_max`].
    TooDeep,
    Stopped(B),
}

/// Working memory, worth reusing.
#[derive(Debug, Default)]
pub struct Buffers(Vec<Vec<u8>>);

impl Normalizer {
    /// `sets` are what is asked for, each apart. `depth_max` is cut to [`DEPTH_MAX`].
    pub fn new(sets: impl IntoIterator<Item = Kinds>, depth_max: u32) -> Self {
        let (mut kinds, mut readers) = (Kinds::NONE, Vec::with_capacity(READERS_MAX));
        for set in sets {
            kinds = kinds.union(set);
            let readings = [Kinds::ESCAPES, Kinds::JSON, Kinds::PERCENT, Kinds::HTML];
            readers.extend(
                readings.map(|kinds| set.intersection(kinds)).into_iter().filter(|it| !it.is_empty()),
            );
        }
        readers.sort_unstable_by_key(|reader| (std::cmp::Reverse(reader.size()), *reader));
        readers.dedup();
        Self { kinds, readers, depth_max: depth_max.min(DEPTH_MAX) }
    }

    /// The most bytes that are shown of a text of `size` bytes, the text itself included.
    pub const fn shown_size_max(&self, size: usize) -> u64 {
        let times = 1 + 4 * self.depth_max as u64;
        (size as u64).saturating_mul(times).saturating_add(SHOWN_SIZE_FREE)
    }

    /// Shows the views of `text` that differ from it, with the kinds that were undone, until `show` breaks.
    #[inline]
    pub fn views<B>(
        &self,
        text: &[u8],
        buffers: &mut Buffers,
        show: impl FnMut(&[u8], Kinds) -> ControlFlow<B>,
    ) -> Outcome<B> {
        if self.may_differ(text) { self.show_views(text, buffers, show) } else { Outcome::Complete }
    }

    /// Most texts have nothing to undo; this is all that they cost.
    #[inline]
    fn may_differ(&self, text: &[u8]) -> bool {
        self.kinds.contains(Kinds::BASE64)
            || self.kinds.contains(Kinds::UNICODE) && !text.is_ascii()
            || !self.readers.is_empty() && escapes::has_marker(text)
    }

    fn show_views<B>(
        &self,
        text: &[u8],
        buffers: &mut Buffers,
        show: impl FnMut(&[u8], Kinds) -> ControlFlow<B>,
    ) -> Outcome<B> {
        let left = self.shown_size_max(text.len()) - text.len() as u64;
        let mut walk = Walk { normalizer: self, buffers, show, left, is_too_deep: false };
        match walk.beside_and_below(text, Kinds::NONE, self.depth_max) {
            ControlFlow::Break(Some(value)) => Outcome::Stopped(value),
            ControlFlow::Break(None) => Outcome::TooDeep,
            ControlFlow::Continue(()) if walk.is_too_deep => Outcome::TooDeep,
            ControlFlow::Continue(()) => Outcome::Complete,
        }
    }
}

impl Buffers {
    /// What is kept of them after [`Buffers::trim`], in bytes.
    pub const SIZE_MAX: usize = 4 * Self::BUFFER_SIZE_MAX;
    const BUFFER_SIZE_MAX: usize = 512 << 10;

    /// Gives back what a huge text has blown up.
    pub fn trim(&mut self) {
        self.0.retain(|buffer| buffer.capacity() <= Self::BUFFER_SIZE_MAX);
        self.0.truncate(4);
    }

    fn take(&mut self) -> Vec<u8> {
        let mut buffer = self.0.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    fn give(&mut self, buffer: Vec<u8>) {
        self.0.push(buffer);
    }
}

/// One text on its way through its views. It breaks with `None` when too much was shown.
struct Walk<'a, F> {
    normalizer: &'a Normalizer,
    buffers: &'a mut Buffers,
    show: F,
    /// Bytes that may still be shown.
    left: u64,
    is_too_deep: bool,
}

type Step<B> = ControlFlow<Option<B>>;

impl<B, F: FnMut(&[u8], Kinds) -> ControlFlow<B>> Walk<'_, F> {
    /// All views of a text that was shown, `kinds` of which were undone already.
    fn beside_and_below(&mut self, text: &[u8], kinds: Kinds, depth_left: u32) -> Step<B> {
        self.beside(text, kinds, depth_left)?;
        self.below(text, kinds, depth_left)
    }

    /// The layers of a text, and what is beside each.
    fn below(&mut self, text: &[u8], kinds: Kinds, depth_left: u32) -> Step<B> {
        if !escapes::has_marker(text) {
            return ControlFlow::Continue(());
        }
        // How many layers of each reader are the same as those of an earlier one.
        let mut shared = [0; READERS_MAX];
        for index in 0..self.normalizer.readers.len().min(READERS_MAX) {
            if shared[index] != u32::MAX {
                let (mut layer, mut next) = (self.buffers.take(), self.buffers.take());
                let work = [&mut layer, &mut next];
                let flow = self.layers(index, &mut shared, text, work, kinds, depth_left);
                self.buffers.give(layer);
                self.buffers.give(next);
                flow?;
            }
        }
        ControlFlow::Continue(())
    }

    fn layers(
        &mut self,
        index: usize,
        shared: &mut [u32; READERS_MAX],
        text: &[u8],
        [layer, next]: [&mut Vec<u8>; 2],
        kinds: Kinds,
        depth_left: u32,
    ) -> Step<B> {
        let reader = self.normalizer.readers[index];
        let mut undone = Kinds::NONE;
        for depth in 0..=depth_left {
            let source = if depth == 0 { text } else { layer.as_slice() };
            if depth == depth_left {
                self.is_too_deep |= escapes::is_hiding(reader, source);
                break;
            }
            next.clear();
            let kinds_here = escapes::undo(reader, source, true, Kinds::NONE, next).kinds;
            if kinds_here.is_empty() {
                break;
            }
            std::mem::swap(layer, next);
            undone = undone.union(kinds_here);
            let is_shared = depth < shared[index];
            self.share(index, undone, shared, depth + 1);
            if !is_shared {
                self.show(layer, kinds.union(undone))?;
                self.beside(layer, kinds.union(undone), depth_left - depth - 1)?;
            }
        }
        self.share(index, undone, shared, u32::MAX);
        ControlFlow::Continue(())
    }

    /// As long as a reader undoes only what a smaller one would undo too, their layers are the same.
    fn share(&self, index: usize, undone: Kinds, shared: &mut [u32; READERS_MAX], layers: u32) {
        let reader = self.normalizer.readers[index];
        for (other, shared) in self.normalizer.readers.iter().zip(shared).skip(index + 1) {
            if reader.contains(*other) && other.contains(undone) {
                *shared = layers.max(*shared);
            }
        }
    }

    /// What is beside a text or layer that was shown: itself in Unicode's terms, and what it holds in base64.
    fn beside(&mut self, text: &[u8], kinds: Kinds, depth_left: u32) -> Step<B> {
        if self.normalizer.kinds.contains(Kinds::UNICODE) && !text.is_ascii() {
            let (mut composed, mut folded) = (self.buffers.take(), self.buffers.take());
            let flow = self.unicode(text, &mut composed, &mut folded, kinds.union(Kinds::UNICODE));
            self.buffers.give(composed);
            self.buffers.give(folded);
            flow?;
        }
        if self.normalizer.kinds.contains(Kinds::BASE64) {
            let mut decoded = self.buffers.take();
            Runs::default().decode(text, true, &mut decoded);
            let flow = self.decoded(&decoded, kinds.union(Kinds::BASE64), depth_left);
            self.buffers.give(decoded);
            flow?;
        }
        ControlFlow::Continue(())
    }

    fn unicode(
        &mut self,
        text: &[u8],
        composed: &mut Vec<u8>,
        folded: &mut Vec<u8>,
        kinds: Kinds,
    ) -> Step<B> {
        let is_composed = !compat::compose(text, true, false, composed).kinds.is_empty();
        if is_composed {
            self.show(composed, kinds)?;
        }
        if !lookalikes::fold(composed, true, false, folded).kinds.is_empty() {
            self.show(folded, kinds)?;
        }
        ControlFlow::Continue(())
    }

    fn decoded(&mut self, decoded: &[u8], kinds: Kinds, depth_left: u32) -> Step<B> {
        if decoded.is_empty() {
            return ControlFlow::Continue(());
        }
        let Some(depth_left) = depth_left.checked_sub(1) else {
            // Long words are runs too, but they do not decode to text.
            self.is_too_deep |=
                decoded.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'));
            return ControlFlow::Continue(());
        };
        self.show(decoded, kinds)?;
        self.beside_and_below(decoded, kinds, depth_left)
    }

    fn show(&mut self, view: &[u8], kinds: Kinds) -> Step<B> {
        match self.left.checked_sub(view.len() as u64) {
            None => ControlFlow::Break(None),
            Some(left) => {
                self.left = left;
                (self.show)(view, kinds).map_break(Some)
            }
        }
    }
}
