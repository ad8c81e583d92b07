//! The views of a whole text.

use std::ops::ControlFlow;

use super::{
    Kinds,
    base64::{self, Runs},
    compat,
    escapes::{self, Tally},
    lookalikes,
};

/// How many layers of escapes are undone unless the caller says otherwise, and at most.
pub const DEPTH_MAX_DEFAULT: u32 = 4;
pub const DEPTH_MAX: u32 = 8;

/// The sets of kinds of escapes that a text may be read with: of three kinds, without the empty one.
const READERS_MAX: usize = 7;

/// What is shown of a small text may be larger than its share: its views are bounded by their number too.
const SHOWN_SIZE_FREE: u64 = 64 << 10;

/// Which views of a text are shown.
///
/// A *layer* undoes one level of every kind of escape at once, in one pass, up to the depth; what is encoded by turns is so undone by
/// turns. As a reader may know fewer kinds than we do (`%be\u006echmark` is `%benchmark` to JSON alone), layers are also made with
/// each kind alone, and for each other set that was asked for. Of the text, and of its last layer under each set, there are up
/// to two more views under [`Kinds::UNICODE`]: composed (NFKC, without invisible characters), and with look-alikes as ASCII. Where
/// composing has made escapes that were none, what it gave has layers of its own, with a depth less by one. Under
/// [`Kinds::BASE64`] what they hold in base64 is a text of its own, with a depth less by one.
///
/// Bytes that mean nothing, as of images, have most of these views too: noise has a few escapes, which become a few others. That is
/// why not every layer has every view.
///
/// A view is shown only if it differs from those before it.
#[derive(Clone, Debug)]
pub struct Normalizer {
    kinds: Kinds,
    /// Larger ones first.
    readers: Vec<Reader>,
    depth_max: u32,
}

/// Someone who undoes escapes of these kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reader {
    pub kinds: Kinds,
    /// All escapes of a set that was asked for: what is left in the end is also looked at in the set's other terms.
    pub is_whole: bool,
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
        let (mut kinds, mut readers) = (Kinds::NONE, Vec::<Reader>::with_capacity(READERS_MAX));
        for set in sets {
            kinds = kinds.union(set);
            for reading in [Kinds::ESCAPES, Kinds::JSON, Kinds::PERCENT, Kinds::HTML] {
                let kinds = set.intersection(reading);
                let is_whole = reading == Kinds::ESCAPES;
                match readers.iter_mut().find(|reader| reader.kinds == kinds) {
                    Some(reader) => reader.is_whole |= is_whole,
                    None if kinds.is_empty() => {}
                    None => readers.push(Reader { kinds, is_whole }),
                }
            }
        }
        readers.sort_unstable_by_key(|reader| (std::cmp::Reverse(reader.kinds.size()), reader.kinds));
        Self { kinds, readers, depth_max: depth_max.min(DEPTH_MAX) }
    }

    /// The most bytes that are shown of a text of `size` bytes, the text itself included.
    pub const fn shown_size_max(&self, size: usize) -> u64 {
        let times = 5 + 4 * self.depth_max as u64;
        (size as u64).saturating_mul(times).saturating_add(SHOWN_SIZE_FREE)
    }

    pub(crate) fn kinds(&self) -> Kinds {
        self.kinds
    }

    pub(crate) fn readers(&self) -> &[Reader] {
        &self.readers
    }

    /// Whether `composed`, in Unicode's terms, has other escapes than the text that it was made of: `\u00`, a space without width,
    /// `65`. Bytes that mean nothing have such too.
    pub(crate) fn has_new_escapes(&self, text: &[u8], composed: &[u8]) -> bool {
        let kinds = self.kinds.intersection(Kinds::ESCAPES);
        let tally = |text| {
            let mut tally = Tally::default();
            tally.add(kinds, text, true);
            tally
        };
        escapes::has_marker(composed) && str::from_utf8(text).is_ok() && tally(text) != tally(composed)
    }

    pub(crate) fn depth_max(&self) -> u32 {
        self.depth_max
    }

    /// How many views a text can have; `None`: those of what it holds in base64 multiply.
    pub(crate) fn views_max(&self) -> Option<usize> {
        let layers = self.readers.len() * self.depth_max as usize;
        let whole = 1 + self.readers.iter().filter(|reader| reader.is_whole).count();
        let beside = if self.kinds.contains(Kinds::UNICODE) { 2 * whole } else { 0 };
        (!self.kinds.contains(Kinds::BASE64)).then_some(layers + beside)
    }

    /// How many bytes of a text a byte of a view can come from; `None`: there is no bound, as zeros may lead a reference of HTML,
    /// and invisible characters may stand anywhere.
    pub(crate) fn expansion_max(&self) -> Option<usize> {
        // `\u0041`, `%u0041`, of which each may be escaped in its turn.
        let is_bounded = Kinds::JSON.union(Kinds::PERCENT).contains(self.kinds);
        is_bounded.then(|| if self.readers.is_empty() { 1 } else { 6_usize.saturating_pow(self.depth_max) })
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
            || self.kinds.contains(Kinds::UNICODE) && compat::may_change(text)
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
        let flow = walk.beside_and_below(text, Kinds::NONE, self.depth_max);
        let is_too_deep = walk.is_too_deep;
        buffers.trim();
        match flow {
            ControlFlow::Break(Some(value)) => Outcome::Stopped(value),
            ControlFlow::Break(None) => Outcome::TooDeep,
            ControlFlow::Continue(()) if is_too_deep => Outcome::TooDeep,
            ControlFlow::Continue(()) => Outcome::Complete,
        }
    }
}

impl Buffers {
    /// What is kept of them between texts, in bytes.
    pub const SIZE_MAX: usize = 4 * Self::BUFFER_SIZE_MAX;
    const BUFFER_SIZE_MAX: usize = 512 << 10;

    /// Gives up what a huge text has blown up.
    fn trim(&mut self) {
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

    /// The layers of a text, and what is beside the last of them.
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
                self.is_too_deep |= escapes::is_hiding(reader.kinds, source, true).0;
                break;
            }
            next.clear();
            let kinds_here = escapes::undo(reader.kinds, source, true, Kinds::NONE, next).kinds;
            if kinds_here.is_empty() {
                break;
            }
            std::mem::swap(layer, next);
            undone = undone.union(kinds_here);
            let is_shared = depth < shared[index];
            self.share(index, undone, shared, depth + 1);
            if !is_shared {
                self.show(layer, kinds.union(undone))?;
            }
        }
        self.share(index, undone, shared, u32::MAX);
        if reader.is_whole && !undone.is_empty() {
            self.beside(layer, kinds.union(undone), depth_left)?;
        }
        ControlFlow::Continue(())
    }

    /// As long as a reader undoes only what a smaller one would undo too, their layers are the same; `u32::MAX` is all of them, and
    /// what is beside the last.
    fn share(&self, index: usize, undone: Kinds, shared: &mut [u32; READERS_MAX], layers: u32) {
        let reader = self.normalizer.readers[index];
        for (other, shared) in self.normalizer.readers.iter().zip(shared).skip(index + 1) {
            let lacks = layers == u32::MAX && other.is_whole && !reader.is_whole;
            if reader.kinds.contains(other.kinds) && other.kinds.contains(undone) && !lacks {
                *shared = layers.max(*shared);
            }
        }
    }

    /// What is beside a text or layer that was shown: itself in Unicode's terms, and what it holds in base64.
    fn beside(&mut self, text: &[u8], kinds: Kinds, depth_left: u32) -> Step<B> {
        if self.normalizer.kinds.contains(Kinds::UNICODE) && compat::may_change(text) {
            let (mut composed, mut folded) = (self.buffers.take(), self.buffers.take());
            let work = [&mut composed, &mut folded];
            let flow = self.unicode(text, work, kinds.union(Kinds::UNICODE), depth_left);
            self.buffers.give(composed);
            self.buffers.give(folded);
            flow?;
        }
        if self.normalizer.kinds.contains(Kinds::BASE64) {
            let (mut decoded, mut joined) = (self.buffers.take(), self.buffers.take());
            let work = [&mut decoded, &mut joined];
            let flow = self.base64(text, work, kinds.union(Kinds::BASE64), depth_left);
            self.buffers.give(decoded);
            self.buffers.give(joined);
            flow?;
        }
        ControlFlow::Continue(())
    }

    fn base64(
        &mut self,
        text: &[u8],
        [decoded, joined]: [&mut Vec<u8>; 2],
        kinds: Kinds,
        depth_left: u32,
    ) -> Step<B> {
        Runs::default().decode(text, true, decoded);
        self.decoded(decoded, kinds, depth_left)?;
        if memchr::memchr2(b'\r', b'\n', text).is_some() {
            Runs::joining_lines().decode(text, true, joined);
            if joined != decoded {
                self.decoded(joined, kinds, depth_left)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn unicode(
        &mut self,
        text: &[u8],
        [composed, folded]: [&mut Vec<u8>; 2],
        kinds: Kinds,
        depth_left: u32,
    ) -> Step<B> {
        let is_composed = !compat::compose(text, true, false, composed).kinds.is_empty();
        if is_composed {
            self.show(composed, kinds)?;
        }
        if !lookalikes::fold(composed, true, false, folded).kinds.is_empty() {
            self.show(folded, kinds)?;
        }
        if is_composed && self.normalizer.has_new_escapes(text, composed) {
            self.below(composed, kinds, depth_left.saturating_sub(1))?;
        }
        ControlFlow::Continue(())
    }

    fn decoded(&mut self, decoded: &[u8], kinds: Kinds, depth_left: u32) -> Step<B> {
        if decoded.is_empty() {
            return ControlFlow::Continue(());
        }
        let Some(depth_left) = depth_left.checked_sub(1) else {
            self.is_too_deep |= base64::is_text(decoded);
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
