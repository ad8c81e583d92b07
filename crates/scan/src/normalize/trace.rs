//! The way back from a view to the text that it was made of.

use std::ops::Range;

use super::{Kinds, Normalizer, compat, escapes, lookalikes};

/// Hears what became of a text.
pub(crate) trait Track {
    /// These bytes of the text became those of the view; what lies between is in both as it is.
    fn replaced(&mut self, text: Range<usize>, view: Range<usize>);
}

/// Nobody asks for the way back.
impl Track for () {
    #[inline(always)]
    fn replaced(&mut self, _: Range<usize>, _: Range<usize>) {}
}

/// Replacements that are remembered of one view, of all layers together: 8 MiB. In a text with more the way back is lost.
const REPLACEMENTS_MAX: usize = 1 << 18;

/// The way back from a view to its text, through the layers between.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The outermost first, each sorted.
    layers: Vec<Vec<Replaced>>,
    count: usize,
}

#[derive(Clone, Debug)]
struct Replaced {
    text: Range<usize>,
    view: Range<usize>,
}

impl Trace {
    /// Where in the text `span` of the view came from: an escape as a whole, though only a part of it is in `span`. `span` is not
    /// empty.
    pub fn source(&self, span: Range<usize>) -> Range<usize> {
        self.layers.iter().rev().fold(span, |span, layer| {
            let last = span.end.saturating_sub(1);
            origin(layer, span.start).start..origin(layer, last).end
        })
    }

    fn is_lost(&self) -> bool {
        self.count > REPLACEMENTS_MAX
    }
}

/// Where the byte at `place` of a view came from.
fn origin(layer: &[Replaced], place: usize) -> Range<usize> {
    let after = layer.partition_point(|each| each.view.start <= place);
    match after.checked_sub(1).and_then(|before| layer.get(before)) {
        Some(before) if before.view.contains(&place) => before.text.clone(),
        Some(before) => {
            let start = before.text.end + (place - before.view.end);
            start..start + 1
        }
        None => place..place + 1,
    }
}

/// Remembers a layer.
impl Track for Trace {
    fn replaced(&mut self, text: Range<usize>, view: Range<usize>) {
        self.count += 1;
        if let Some(layer) = self.layers.last_mut().filter(|_| self.count <= REPLACEMENTS_MAX) {
            layer.push(Replaced { text, view });
        }
    }
}

/// Views of which the way back is known were shown, but not all: the text has too many escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceLost;

impl Normalizer {
    /// Shows the views that [`Normalizer::views`] shows, some of them again, each with the way back to the text; but not what a text
    /// holds in base64.
    ///
    /// # Errors
    /// When there are too many escapes to remember where each was.
    pub fn traced_views(
        &self,
        text: &[u8],
        mut show: impl FnMut(&[u8], Kinds, &Trace),
    ) -> Result<(), TraceLost> {
        let (depth, mut trace) = (self.depth_max(), Trace::default());
        self.traced_below(text, Kinds::NONE, depth, &trace, &mut show)?;
        self.traced_beside(text, Kinds::NONE, depth, &mut trace, &mut show)
    }

    /// The layers of the text, or of what the way back is known of.
    fn traced_below(
        &self,
        text: &[u8],
        kinds: Kinds,
        depth_left: u32,
        before: &Trace,
        show: &mut impl FnMut(&[u8], Kinds, &Trace),
    ) -> Result<(), TraceLost> {
        for reader in self.readers() {
            let (mut trace, mut undone) = (before.clone(), Kinds::NONE);
            let (mut layer, mut next) = (text.to_vec(), Vec::new());
            for _ in 0..depth_left {
                trace.layers.push(Vec::new());
                next.clear();
                let pass =
                    escapes::undo_tracked(reader.kinds, &layer, true, Kinds::NONE, &mut next, &mut trace);
                if trace.is_lost() {
                    return Err(TraceLost);
                }
                if pass.kinds.is_empty() {
                    trace.layers.pop();
                    break;
                }
                undone = undone.union(pass.kinds);
                std::mem::swap(&mut layer, &mut next);
                show(&layer, kinds.union(undone), &trace);
            }
            if reader.is_whole && !undone.is_empty() {
                self.traced_beside(&layer, kinds.union(undone), depth_left, &mut trace, show)?;
            }
        }
        Ok(())
    }

    /// The text, or its last layer, in Unicode's terms.
    fn traced_beside(
        &self,
        text: &[u8],
        kinds: Kinds,
        depth_left: u32,
        trace: &mut Trace,
        show: &mut impl FnMut(&[u8], Kinds, &Trace),
    ) -> Result<(), TraceLost> {
        if !self.kinds().contains(Kinds::UNICODE) || !compat::may_change(text) {
            return Ok(());
        }
        let kinds = kinds.union(Kinds::UNICODE);
        let (mut composed, mut folded) = (Vec::new(), Vec::new());
        trace.layers.push(Vec::new());
        if !compat::compose_tracked(text, true, false, &mut composed, trace).kinds.is_empty() {
            show(&composed, kinds, trace);
            if self.has_new_escapes(text, &composed) && !trace.is_lost() {
                self.traced_below(&composed, kinds, depth_left.saturating_sub(1), trace, show)?;
            }
        }
        trace.layers.push(Vec::new());
        if !lookalikes::fold_tracked(&composed, true, false, &mut folded, trace).kinds.is_empty() {
            show(&folded, kinds, trace);
        }
        if trace.is_lost() { Err(TraceLost) } else { Ok(()) }
    }
}
