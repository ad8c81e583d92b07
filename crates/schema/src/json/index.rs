use std::collections::HashMap;

use sonic_rs::{Object, Value};

use super::node::Kind;

/// Objects from this size on are looked up through an index; below it a scan is as fast.
pub(super) const WIDE_MEMBERS_MIN: usize = 128;

type Members<'a> = HashMap<&'a str, &'a Value>;

/// Members by name, of the wide objects of one message.
///
/// The parser keeps an object as a list. A schema that looks up each of its properties would scan the
/// whole list every time, which a hostile message can make cost members times properties.
#[derive(Debug, Default)]
pub(super) struct Index<'a> {
    /// By the address of the object, which stays put while the message is borrowed.
    wide: HashMap<usize, Members<'a>>,
}

impl<'a> Index<'a> {
    pub(super) fn of(root: &'a Value) -> Self {
        let mut index = Self::default();
        index.add(root);
        index
    }

    fn add(&mut self, value: &'a Value) {
        match Kind::of(value) {
            Kind::Object(object) => {
                if object.len() >= WIDE_MEMBERS_MIN {
                    self.wide.insert(address(object), object.iter().collect());
                }
                object.iter().for_each(|(_, member)| self.add(member));
            }
            Kind::Array(elements) => elements.iter().for_each(|element| self.add(element)),
            _ => {}
        }
    }

    /// `None` if the object is not a wide one of this message.
    pub(super) fn members(&self, object: &Object) -> Option<&Members<'a>> {
        if object.len() < WIDE_MEMBERS_MIN { None } else { self.wide.get(&address(object)) }
    }
}

fn address(object: &Object) -> usize {
    std::ptr::from_ref(object).addr()
}
