use std::collections::HashSet;

use super::{Tree, Value, index::WIDE_MEMBERS_MIN, resolve, value::Name};

/// Objects up to this size compare names pairwise where a filter cannot tell them apart; larger ones use a set with a random key,
/// so that no choice of names makes the check quadratic.
const PAIRWISE_MEMBERS_MAX: usize = 16;

/// Puts a tree together in the order of its values.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    values: Vec<Value<'a>>,
    unescaped: String,
    is_wide: bool,
}

/// An array or object that is not closed yet.
#[derive(Debug)]
#[must_use]
pub(crate) struct Open {
    at: usize,
    names: u32,
    /// The filter bits of the names.
    seen: u64,
    has_duplicate: bool,
}

impl<'a> Builder<'a> {
    /// `bytes`: the size of the message. Most have fewer values than an eighth of it.
    pub fn for_message_of(bytes: usize) -> Self {
        const CAPACITY_MAX: usize = 1024;
        let values = Vec::with_capacity((bytes / 8 + 8).min(CAPACITY_MAX));
        Self { values, unescaped: String::new(), is_wide: false }
    }

    /// A text that the message does not have as it is read.
    pub fn push_unescaped(&mut self, text: &str) {
        // All of them together are no longer than the message, which is bounded far below.
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let start = place(self.unescaped.len());
        self.unescaped.push_str(text);
        self.values.push(Value::Unescaped { start, end: place(self.unescaped.len()) });
    }

    #[inline]
    pub fn push(&mut self, value: Value<'a>) {
        self.values.push(value);
    }

    /// How many values there are, names among them.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn last(&self) -> Option<Value<'a>> {
        self.values.last().copied()
    }

    pub fn open(&mut self) -> Open {
        self.values.push(Value::Null);
        Open { at: self.values.len() - 1, names: 0, seen: 0, has_duplicate: false }
    }

    pub fn close_array(&mut self, open: Open, count: u32) {
        let size = self.size_since(&open);
        self.set(open, Value::Array { count, size });
    }

    pub fn close_object(&mut self, open: Open, count: u32) {
        let size = self.size_since(&open);
        self.is_wide |= count as usize >= WIDE_MEMBERS_MIN;
        self.set(open, Value::Object { count, size });
    }

    /// The value pushed last is the name of a member of `open`.
    #[inline]
    pub fn name(&mut self, open: &mut Open) {
        let Some(name) = self.values.last() else { return };
        open.names += 1;
        let bit = match resolve(*name, &self.unescaped) {
            Value::Text(text) => filter_bit(text),
            // It may be the same name as a text.
            _ => u64::MAX,
        };
        if open.seen & bit != 0 && open.names as usize <= PAIRWISE_MEMBERS_MAX {
            open.has_duplicate |= self.is_among_earlier(open);
        }
        open.seen |= bit;
    }

    /// Whether the name pushed last is one of those before it.
    fn is_among_earlier(&self, open: &Open) -> bool {
        let Some((name, inside)) = self.values.get(open.at + 1..).and_then(<[_]>::split_last) else {
            return false;
        };
        let name = resolve(*name, &self.unescaped);
        members(inside).any(|(earlier, _)| is_same(resolve(earlier, &self.unescaped), name))
    }

    /// Whether two members of `open`, of which each name was told, have the same.
    #[inline]
    pub fn has_duplicate(&self, open: &Open) -> bool {
        if open.names as usize <= PAIRWISE_MEMBERS_MAX {
            open.has_duplicate
        } else {
            self.has_duplicate_of_many(open)
        }
    }

    fn has_duplicate_of_many(&self, open: &Open) -> bool {
        let inside = self.values.get(open.at + 1..).unwrap_or_default();
        let names = members(inside).filter_map(|(name, _)| Name::of(resolve(name, &self.unescaped)));
        let mut seen = HashSet::with_capacity(open.names as usize);
        names.into_iter().any(|name| !seen.insert(name))
    }

    pub fn finish(self) -> Tree<'a> {
        Tree { values: self.values, unescaped: self.unescaped, is_wide: self.is_wide }
    }

    fn size_since(&self, open: &Open) -> u32 {
        // There are at most as many as the message has bytes, times five, and both are bounded far below.
        u32::try_from(self.values.len() - open.at - 1).unwrap_or(u32::MAX)
    }

    fn set(&mut self, open: Open, value: Value<'a>) {
        if let Some(slot) = self.values.get_mut(open.at) {
            *slot = value;
        }
    }
}

#[inline]
fn is_same(left: Value<'_>, right: Value<'_>) -> bool {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => left == right,
        _ => Name::of(left) == Name::of(right),
    }
}

/// One of 64 bits by length, first and last byte: names with different ones are different.
#[inline]
fn filter_bit(name: &str) -> u64 {
    let (first, last) = match name.as_bytes() {
        [first, .., last] => (*first, *last),
        [only] => (*only, *only),
        [] => (0, 0),
    };
    let key = (name.len() as u64) << 16 | u64::from(first) << 8 | u64::from(last);
    // Fibonacci hashing: the top six bits depend on every bit of the key.
    1 << (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
}

/// The members of an object from what is inside it: a name, and the value with all that it contains.
pub(crate) fn members<'t, 'a>(
    mut inside: &'t [Value<'a>],
) -> impl Iterator<Item = (Value<'a>, &'t [Value<'a>])> {
    std::iter::from_fn(move || {
        let (name, rest) = inside.split_first()?;
        let (value, rest) = rest.split_at_checked(1 + rest.first()?.size())?;
        inside = rest;
        Some((*name, value))
    })
}
