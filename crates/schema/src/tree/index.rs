use std::collections::HashMap;

use super::{Tree, Value, build::members, resolve, value::Name};

/// Objects from this size on are looked up through an index; below it a scan is as fast.
pub(super) const WIDE_MEMBERS_MIN: usize = 128;

/// Where each member is, counted in values from its object.
type Members<'a> = HashMap<Name<'a>, usize>;

/// Members by name, of the wide objects of one message: a scan for each property of a schema would cost members times
/// properties.
#[derive(Debug)]
pub(super) struct Index<'a> {
    /// By the address of the object, which stays put with the memory of the tree.
    wide: HashMap<usize, Members<'a>>,
}

impl<'a> Index<'a> {
    /// `None`: the message has no wide object.
    pub fn of(tree: &'a Tree<'a>) -> Option<Self> {
        if !tree.is_wide {
            return None;
        }
        let mut wide = HashMap::new();
        for (at, value) in tree.values.iter().enumerate() {
            if let Value::Object { count, size } = *value
                && count as usize >= WIDE_MEMBERS_MIN
            {
                let inside = tree.values.get(at + 1..=at + size as usize).unwrap_or_default();
                wide.insert(address(value), by_name(inside, &tree.unescaped));
            }
        }
        Some(Self { wide })
    }

    /// `None` if the object is not a wide one.
    pub fn members(&self, object: &Value<'a>) -> Option<&Members<'a>> {
        match object {
            Value::Object { count, .. } if *count as usize >= WIDE_MEMBERS_MIN => {
                self.wide.get(&address(object))
            }
            _ => None,
        }
    }
}

fn by_name<'a>(inside: &[Value<'a>], unescaped: &'a str) -> Members<'a> {
    let mut at = 1;
    members(inside)
        .filter_map(|(name, value)| {
            let place = at + 1;
            at = place + value.len();
            Some((Name::of(resolve(name, unescaped))?, place))
        })
        .collect()
}

fn address(object: &Value<'_>) -> usize {
    std::ptr::from_ref(object).addr()
}
