use std::collections::HashSet;

use super::{
    Tree, Value,
    index::{Index, WIDE_MEMBERS_MIN},
    value::Name,
};

/// Objects up to this size compare names pairwise; larger ones use a set with a random key, so that no choice of
/// names makes the check quadratic.
const PAIRWISE_MEMBERS_MAX: usize = 16;

/// Puts a tree together in the order of its values.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    values: Vec<Value<'a>>,
    is_wide: bool,
}

/// An array or object that is not closed yet.
#[derive(Debug)]
#[must_use]
pub(crate) struct Open {
    at: usize,
}

impl<'a> Builder<'a> {
    /// `bytes`: the size of the message. Most have fewer values than a fourth of it.
    pub fn for_message_of(bytes: usize) -> Self {
        const CAPACITY_MAX: usize = 1024;
        Self { values: Vec::with_capacity((bytes / 4 + 4).min(CAPACITY_MAX)), is_wide: false }
    }

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
        Open { at: self.values.len() - 1 }
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

    /// Whether two of the `count` members since `open` have the same name.
    pub fn has_duplicate(&self, open: &Open, count: u32) -> bool {
        let inside = self.values.get(open.at + 1..).unwrap_or_default();
        let names = members(inside).filter_map(|(name, _)| Name::of(name));
        if count as usize <= PAIRWISE_MEMBERS_MAX {
            let mut seen = [Name::Text(""); PAIRWISE_MEMBERS_MAX];
            return names.enumerate().any(|(at, name)| {
                let earlier = seen.get(..at).unwrap_or_default().contains(&name);
                if let Some(slot) = seen.get_mut(at) {
                    *slot = name;
                }
                earlier
            });
        }
        let mut seen = HashSet::with_capacity(count as usize);
        names.into_iter().any(|name| !seen.insert(name))
    }

    pub fn finish(self) -> Tree<'a> {
        let index = self.is_wide.then(|| Index::of(&self.values));
        Tree { values: self.values, index }
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
