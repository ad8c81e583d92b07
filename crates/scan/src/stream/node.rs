//! The views of a text that comes in parts, as a tree that grows where a view begins to differ.
//!
//! As long as a step undoes nothing, the view that it makes is the text that it is made of, and costs no scan. Before the first byte
//! that it would change, the view gets a cursor that has seen what its text's cursor has: so a text is not scanned beyond a place
//! where that may still turn out to be.

use std::borrow::Cow;

use super::{
    StreamDatabase,
    cursor::{Cursor, Cursors, Fault},
};
use crate::{
    Flow, Kinds, Normalizer, PatternId, ScanError,
    normalize::{
        Reader,
        base64::{self, Runs},
        compat,
        escapes::{self, CUT_SIZE_MAX, Tally, Undone},
        lookalikes,
    },
};

/// What may be held of a text because a view may begin to differ in it. Beyond it the view is taken to differ.
const TAIL_SIZE_MAX: usize = 4 * (compat::PIECE_SIZE_MAX + CUT_SIZE_MAX);

/// One text, layer or view.
pub(super) struct Node {
    cursor: Cursor,
    depth_left: u32,
    /// The end of what came, not scanned yet.
    tail: Vec<u8>,
    /// Steps that have undone nothing yet.
    steps: Vec<Step>,
    branches: Vec<Branch>,
    /// Readers for which nothing deeper is undone.
    watches: Vec<Watch>,
    base64: Option<Base64>,
    /// Which escapes it has, to be held against those of the same text composed.
    escapes: Escapes,
    /// A layer: what is beside it goes on beside the next one, once there is one.
    is_layer: bool,
}

/// What makes a view of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Undo(Reader),
    Compose,
    Fold,
}

/// A view that differs.
struct Branch {
    step: Step,
    /// The end of the text, which the step can't judge yet.
    carry: Vec<u8>,
    undone: Kinds,
    node: Box<Node>,
}

#[derive(Clone)]
struct Watch {
    kinds: Kinds,
    carry: Vec<u8>,
}

/// The escapes of a text, as far as it is UTF-8.
#[derive(Clone)]
struct Escapes {
    kinds: Kinds,
    tally: Tally,
    is_utf8: bool,
    carry: Vec<u8>,
}

/// What a text holds in base64 is a text of its own.
struct Base64 {
    runs: Runs,
    depth_left: u32,
    /// From the first run on.
    node: Option<Box<Node>>,
    /// Where nothing deeper is decoded: whether all of it would be text.
    is_text: Option<bool>,
}

/// What a feed needs on its way through the tree.
pub(super) struct Walk<'a, F> {
    pub database: &'a StreamDatabase,
    pub normalizer: &'a Normalizer,
    pub cursors: &'a mut Cursors,
    pub sink: F,
    /// Bytes that may still be shown.
    pub left: u64,
    pub is_too_deep: bool,
}

impl<F> Walk<'_, F> {
    /// A view that there is no room for is one too many.
    fn admit<T>(&mut self, made: Result<T, Fault>) -> Result<Option<T>, ScanError> {
        match made {
            Ok(made) => Ok(Some(made)),
            Err(fault) => {
                self.is_too_deep = true;
                fault.into_error().map_or(Ok(None), Err)
            }
        }
    }
}

impl Step {
    fn is_unicode(self) -> bool {
        matches!(self, Self::Compose | Self::Fold)
    }

    fn run(self, text: &[u8], is_last: bool, stop: bool, out: &mut Vec<u8>) -> Undone {
        match self {
            Self::Undo(Reader { kinds, .. }) => {
                let stop_before = if stop { kinds } else { Kinds::NONE };
                escapes::undo(kinds, text, is_last, stop_before, out)
            }
            Self::Compose => compat::compose(text, is_last, stop, out),
            Self::Fold => lookalikes::fold(text, is_last, stop, out),
        }
    }
}

/// What was held and what came after it. Nothing is held any more.
fn join<'a>(held: &mut Vec<u8>, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    if held.is_empty() {
        return Cow::Borrowed(bytes);
    }
    let mut joined = std::mem::take(held);
    joined.extend_from_slice(bytes);
    Cow::Owned(joined)
}

/// How much of a text is safe to scan.
struct Ready {
    size: usize,
    /// Behind it is something that a step would undo.
    is_stop: bool,
}

impl Node {
    /// The most memory of a node beside its cursor, in bytes.
    pub const SIZE_MAX: usize = size_of::<Self>() + size_of::<Branch>() + 2 * TAIL_SIZE_MAX;

    /// A text under all readers.
    pub fn text(cursor: Cursor, normalizer: &Normalizer, depth_left: u32) -> Self {
        let mut node = Self::bare(cursor, depth_left, Escapes::of(normalizer));
        for reader in normalizer.readers() {
            node.read_with(*reader);
        }
        if normalizer.kinds().contains(Kinds::UNICODE) {
            node.steps.extend([Step::Compose, Step::Fold]);
        }
        if normalizer.kinds().contains(Kinds::BASE64) {
            node.base64 = Some(Base64::new(depth_left));
        }
        node
    }

    fn bare(cursor: Cursor, depth_left: u32, escapes: Escapes) -> Self {
        Self {
            cursor,
            depth_left,
            tail: Vec::new(),
            steps: Vec::new(),
            branches: Vec::new(),
            watches: Vec::new(),
            base64: None,
            escapes,
            is_layer: false,
        }
    }

    fn read_with(&mut self, reader: Reader) {
        if self.depth_left > 0 {
            self.steps.push(Step::Undo(reader));
        } else {
            self.watches.push(Watch { kinds: reader.kinds, carry: Vec::new() });
        }
    }

    pub fn forget_views(&mut self) {
        self.steps.clear();
        self.branches.clear();
        self.watches.clear();
        self.base64 = None;
        self.escapes.kinds = Kinds::NONE;
    }

    /// Takes the next bytes, of which `kinds` were undone, or the last.
    pub fn feed<F: FnMut(Kinds, PatternId) -> Flow>(
        &mut self,
        bytes: &[u8],
        is_last: bool,
        kinds: Kinds,
        walk: &mut Walk<'_, F>,
    ) -> Result<Flow, ScanError> {
        let text = join(&mut self.tail, bytes);
        let mut rest = &*text;
        loop {
            let ready = self.ready(rest, is_last);
            let (now, later) = rest.split_at(ready.size);
            if self.advance(now, is_last && later.is_empty(), kinds, walk)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
            rest = later;
            if rest.is_empty() {
                return Ok(Flow::Continue);
            }
            if !ready.is_stop && rest.len() <= TAIL_SIZE_MAX {
                self.tail = rest.to_vec();
                return Ok(Flow::Continue);
            }
            self.grow(rest, is_last, walk)?;
        }
    }

    /// How much of `text` can be scanned before a step undoes something, or may do so once more has come.
    fn ready(&self, text: &[u8], is_last: bool) -> Ready {
        let mut scratch = Vec::new();
        let (mut size, mut is_stop) = (text.len(), false);
        for step in &self.steps {
            let run = step.run(text, is_last, true, &mut scratch);
            scratch.clear();
            // What is pending may yet take more with it.
            if run.consumed < size || run.consumed == size && !run.stopped {
                (size, is_stop) = (run.consumed, run.stopped);
            }
        }
        if is_last && !is_stop {
            return Ready { size: text.len(), is_stop };
        }
        Ready { size: self.settled(text, size), is_stop }
    }

    /// The latest place up to `size` at which a view may begin: what is before it and what begins there have nothing to do with one
    /// another, however often something is undone.
    fn settled(&self, text: &[u8], mut size: usize) -> usize {
        loop {
            if self.steps.contains(&Step::Compose) {
                size = compat::pending(&text[..size]);
            }
            let escapes = self.steps.iter().filter_map(|step| match step {
                Step::Undo(reader) => Some(escapes::pending(reader.kinds, &text[..size])),
                Step::Compose | Step::Fold => None,
            });
            match escapes.min() {
                Some(earlier) if earlier < size => size = earlier,
                _ => return size,
            }
        }
    }

    /// Scans `bytes` and hands them to the views that differ.
    fn advance<F: FnMut(Kinds, PatternId) -> Flow>(
        &mut self,
        bytes: &[u8],
        is_last: bool,
        kinds: Kinds,
        walk: &mut Walk<'_, F>,
    ) -> Result<Flow, ScanError> {
        if bytes.is_empty() && !is_last {
            return Ok(Flow::Continue);
        }
        walk.is_too_deep |= walk.left < bytes.len() as u64;
        walk.left = walk.left.saturating_sub(bytes.len() as u64);
        let sink = &mut walk.sink;
        if walk.cursors.scan(self.cursor, bytes, is_last, |id| sink(kinds, id))? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        for watch in &mut self.watches {
            walk.is_too_deep |= watch.feed(bytes, is_last);
        }
        self.escapes.feed(bytes, is_last);
        for branch in &mut self.branches {
            if walk.left > 0 && branch.feed(bytes, is_last, kinds, walk)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
            // What those hide that composing has made is not looked for, as it is in a text that comes whole.
            let is_new = is_last && branch.step == Step::Compose && branch.node.escapes.differ(&self.escapes);
            walk.is_too_deep |= is_new;
        }
        match &mut self.base64 {
            Some(base64) if walk.left > 0 => base64.feed(bytes, is_last, kinds, walk),
            _ => Ok(Flow::Continue),
        }
    }

    /// Gives a branch to each step that would undo the first thing in `rest`, or may do so.
    fn grow<F: FnMut(Kinds, PatternId) -> Flow>(
        &mut self,
        rest: &[u8],
        is_last: bool,
        walk: &mut Walk<'_, F>,
    ) -> Result<(), ScanError> {
        let mut scratch = Vec::new();
        let mut at = |step: &Step| {
            scratch.clear();
            step.run(rest, is_last, true, &mut scratch).consumed
        };
        let first = self.steps.iter().map(&mut at).min();
        let growing: Vec<Step> = self.steps.iter().copied().filter(|step| Some(at(step)) == first).collect();
        // Look-alikes are sought in what is composed, once that differs.
        let is_composed = growing.contains(&Step::Compose);
        for step in growing.into_iter().filter(|step| *step != Step::Fold || !is_composed) {
            let made = self.branch(step, walk);
            self.steps.retain(|each| *each != step);
            if let Some(node) = walk.admit(made)? {
                let node = Box::new(node);
                self.branches.push(Branch { step, carry: Vec::new(), undone: Kinds::NONE, node });
            }
        }
        Ok(())
    }

    /// The view that `step` makes, which is the same as this text so far.
    fn branch<F>(&mut self, step: Step, walk: &mut Walk<'_, F>) -> Result<Self, Fault> {
        let cursor = walk.cursors.fork(walk.database, self.cursor)?;
        let mut node = Self::bare(cursor, self.depth_left.saturating_sub(1), self.escapes.clone());
        match step {
            Step::Undo(reader) => {
                node.is_layer = true;
                node.read_with(reader);
                if self.is_layer {
                    node.steps.extend(self.steps.extract_if(.., |step| step.is_unicode()));
                    node.branches.extend(self.branches.extract_if(.., |branch| branch.step.is_unicode()));
                    node.base64 = self.base64.take();
                } else if reader.is_whole {
                    node.steps.extend(self.steps.iter().filter(|step| step.is_unicode()));
                    for branch in self.branches.iter().filter(|branch| branch.step.is_unicode()) {
                        node.branches.push(branch.fork(walk)?);
                    }
                    node.base64 = self.base64.as_ref().map(|base64| base64.fork(walk)).transpose()?;
                }
            }
            Step::Compose => {
                node.steps.extend(self.steps.extract_if(.., |step| *step == Step::Fold));
                node.branches.extend(self.branches.extract_if(.., |branch| branch.step == Step::Fold));
            }
            Step::Fold => {}
        }
        Ok(node)
    }

    /// Another one that has seen the same.
    fn fork<F>(&self, walk: &mut Walk<'_, F>) -> Result<Self, Fault> {
        Ok(Self {
            cursor: walk.cursors.fork(walk.database, self.cursor)?,
            depth_left: self.depth_left,
            tail: self.tail.clone(),
            steps: self.steps.clone(),
            branches: self.branches.iter().map(|branch| branch.fork(walk)).collect::<Result<_, _>>()?,
            watches: self.watches.clone(),
            base64: self.base64.as_ref().map(|base64| base64.fork(walk)).transpose()?,
            escapes: self.escapes.clone(),
            is_layer: self.is_layer,
        })
    }
}

impl Branch {
    fn feed<F: FnMut(Kinds, PatternId) -> Flow>(
        &mut self,
        bytes: &[u8],
        is_last: bool,
        kinds: Kinds,
        walk: &mut Walk<'_, F>,
    ) -> Result<Flow, ScanError> {
        let mut out = Vec::new();
        let text = join(&mut self.carry, bytes);
        let run = self.step.run(&text, is_last, false, &mut out);
        self.carry = text[run.consumed..].to_vec();
        escapes::shorten(&mut self.carry);
        self.undone = self.undone.union(run.kinds);
        self.node.feed(&out, is_last, kinds.union(self.undone), walk)
    }

    fn fork<F>(&self, walk: &mut Walk<'_, F>) -> Result<Self, Fault> {
        let node = Box::new(self.node.fork(walk)?);
        Ok(Self { step: self.step, carry: self.carry.clone(), undone: self.undone, node })
    }
}

impl Escapes {
    fn of(normalizer: &Normalizer) -> Self {
        let is_composed = normalizer.kinds().contains(Kinds::UNICODE);
        let kinds = if is_composed { normalizer.kinds().intersection(Kinds::ESCAPES) } else { Kinds::NONE };
        Self { kinds, tally: Tally::default(), is_utf8: true, carry: Vec::new() }
    }

    fn feed(&mut self, bytes: &[u8], is_last: bool) {
        if self.kinds.is_empty() || !self.is_utf8 {
            return;
        }
        let text = join(&mut self.carry, bytes);
        let read = self.tally.add(self.kinds, &text, is_last);
        let done = if is_last { read } else { read.min(text.len() - lookalikes::cut_size(&text)) };
        self.is_utf8 = str::from_utf8(&text[..done]).is_ok();
        self.carry = text[done..].to_vec();
        escapes::shorten(&mut self.carry);
    }

    /// Whether the text that this one was made of has others. Bytes that mean nothing have such too.
    fn differ(&self, before: &Self) -> bool {
        !self.kinds.is_empty() && before.is_utf8 && self.tally != before.tally
    }
}

impl Watch {
    /// Whether something is hidden.
    fn feed(&mut self, bytes: &[u8], is_last: bool) -> bool {
        let text = join(&mut self.carry, bytes);
        let (is_hiding, done) = escapes::is_hiding(self.kinds, &text, is_last);
        if !is_hiding {
            self.carry = text[done..].to_vec();
            escapes::shorten(&mut self.carry);
        }
        is_hiding
    }
}

impl Base64 {
    fn new(depth_left: u32) -> Self {
        Self { runs: Runs::default(), depth_left, node: None, is_text: None }
    }

    fn feed<F: FnMut(Kinds, PatternId) -> Flow>(
        &mut self,
        bytes: &[u8],
        is_last: bool,
        kinds: Kinds,
        walk: &mut Walk<'_, F>,
    ) -> Result<Flow, ScanError> {
        let mut out = Vec::new();
        self.runs.decode(bytes, is_last, &mut out);
        // What lines hold together is not looked for, as it is in a text that comes whole.
        walk.is_too_deep |= self.runs.is_wrapped();
        let Some(depth_left) = self.depth_left.checked_sub(1) else {
            if !out.is_empty() {
                self.is_text = Some(self.is_text != Some(false) && base64::is_text(&out));
            }
            walk.is_too_deep |= is_last && self.is_text == Some(true);
            return Ok(Flow::Continue);
        };
        if self.node.is_none() && !out.is_empty() {
            let made = walk.cursors.open(walk.database);
            let cursor = walk.admit(made)?;
            self.node = cursor.map(|cursor| Box::new(Node::text(cursor, walk.normalizer, depth_left)));
        }
        match &mut self.node {
            Some(node) => node.feed(&out, is_last, kinds.union(Kinds::BASE64), walk),
            None => Ok(Flow::Continue),
        }
    }

    fn fork<F>(&self, walk: &mut Walk<'_, F>) -> Result<Self, Fault> {
        let node = self.node.as_ref().map(|node| node.fork(walk)).transpose()?.map(Box::new);
        Ok(Self { runs: self.runs.clone(), depth_left: self.depth_left, node, is_text: self.is_text })
    }
}
