use std::borrow::Cow;

use jsonschema::{
    JsonType,
    json::{Array, Json, Node, NodeIdentity, Object},
};
use sonic_rs::{JsonValueTrait as _, Value, ValueRef};

use super::{equality, index::Index, number::Number};

/// Messages as sonic-rs parsed them, for a validator that reads them in place.
pub(super) struct SonicJson;

impl Json for SonicJson {
    type Node<'a> = SonicNode<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = ();

    /// A lookup scans the members, or asks the index of a wide object; one pass for several required
    /// names is cheaper up to here.
    const KEYS_PER_LOOKUP: usize = 8;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(SonicNode<'_>) -> T) -> T {
        f(SonicNode { kind: Kind::String(string), identity: name_identity(string), index: None })
    }
}

/// A member name is no value of its own, so its address may be that of a value.
fn name_identity(name: &str) -> NodeIdentity {
    NodeIdentity::tagged(name.as_ptr().addr(), 1)
}

/// One value of a message. The parser finds the kind of a value through its container, so it is resolved
/// once here and not again for every keyword.
#[derive(Debug, Clone, Copy)]
pub(super) struct SonicNode<'a> {
    pub(super) kind: Kind<'a>,
    identity: NodeIdentity,
    index: Option<&'a Index<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind<'a> {
    Null,
    Boolean(bool),
    Number(Number),
    String(&'a str),
    Array(&'a sonic_rs::Array),
    Object(&'a sonic_rs::Object),
}

impl<'a> SonicNode<'a> {
    /// `index` is needed only if the message has wide objects.
    #[inline]
    pub(super) fn new(value: &'a Value, index: Option<&'a Index<'a>>) -> Self {
        let identity = NodeIdentity::new(std::ptr::from_ref(value).addr());
        Self { kind: Kind::of(value), identity, index }
    }
}

impl<'a> Kind<'a> {
    #[inline]
    pub(crate) fn of(value: &'a Value) -> Self {
        // The most frequent kind first: `as_ref` takes several times as long to tell it.
        if let Some(string) = value.as_str() {
            return Self::String(string);
        }
        match value.as_ref() {
            ValueRef::Null => Self::Null,
            ValueRef::Bool(boolean) => Self::Boolean(boolean),
            ValueRef::Number(number) => Self::Number(Number::from(number)),
            ValueRef::String(string) => Self::String(string),
            ValueRef::Array(array) => Self::Array(array),
            ValueRef::Object(object) => Self::Object(object),
        }
    }
}

impl<'a> Node<'a, SonicJson> for SonicNode<'a> {
    type Object = ObjectNode<'a>;
    type Array = ArrayNode<'a>;
    type Number = Number;

    #[inline]
    fn as_object(&self) -> Option<ObjectNode<'a>> {
        match self.kind {
            Kind::Object(object) => Some(ObjectNode { object, index: self.index }),
            _ => None,
        }
    }

    #[inline]
    fn as_array(&self) -> Option<ArrayNode<'a>> {
        match self.kind {
            Kind::Array(array) => Some(ArrayNode { elements: array.as_slice(), index: self.index }),
            _ => None,
        }
    }

    #[inline]
    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self.kind {
            Kind::String(string) => Some(Cow::Borrowed(string)),
            _ => None,
        }
    }

    #[inline]
    fn as_number(&self) -> Option<Number> {
        match self.kind {
            Kind::Number(number) => Some(number),
            _ => None,
        }
    }

    #[inline]
    fn as_boolean(&self) -> Option<bool> {
        match self.kind {
            Kind::Boolean(boolean) => Some(boolean),
            _ => None,
        }
    }

    #[inline]
    fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    #[inline]
    fn json_type(&self) -> JsonType {
        match self.kind {
            Kind::Null => JsonType::Null,
            Kind::Boolean(_) => JsonType::Boolean,
            Kind::Number(_) => JsonType::Number,
            Kind::String(_) => JsonType::String,
            Kind::Array(_) => JsonType::Array,
            Kind::Object(_) => JsonType::Object,
        }
    }

    /// Byte length bounds the number of code points from both sides, which mostly decides it.
    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        let Kind::String(string) = self.kind else { return None };
        let bytes_max = string.len() as u64;
        let fewest = bytes_max.div_ceil(4);
        if bytes_max < min || fewest > max {
            return Some(false);
        }
        Some((min <= fewest && bytes_max <= max) || (min..=max).contains(&(string.chars().count() as u64)))
    }

    fn equals_value(&self, expected: &serde_json::Value) -> bool {
        equality::equals(self, expected)
    }

    /// The validator asks for this only to put the instance into an error. No payload leaves this module,
    /// and a copy of the whole message per error is a cost that its sender would choose: so nothing.
    fn to_value(&self) -> Cow<'a, serde_json::Value> {
        Cow::Owned(serde_json::Value::Null)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(self.identity)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ObjectNode<'a> {
    object: &'a sonic_rs::Object,
    index: Option<&'a Index<'a>>,
}

impl<'a> Object<'a, SonicJson> for ObjectNode<'a> {
    type Node = SonicNode<'a>;
    type MemberName = &'a str;
    type MembersIter = MemberNodes<'a>;

    #[inline]
    fn len(&self) -> usize {
        self.object.len()
    }

    #[inline]
    fn get(&self, key: &Box<str>) -> Option<SonicNode<'a>> {
        let value = match self.index.and_then(|index| index.members(self.object)) {
            Some(members) => members.get(&**key).copied(),
            None => self.object.get(key),
        };
        value.map(|value| SonicNode::new(value, self.index))
    }

    #[inline]
    fn members(&self) -> MemberNodes<'a> {
        MemberNodes { members: self.object.iter(), index: self.index }
    }
}

pub(super) struct MemberNodes<'a> {
    members: sonic_rs::value::object::Iter<'a>,
    index: Option<&'a Index<'a>>,
}

impl<'a> Iterator for MemberNodes<'a> {
    type Item = (&'a str, SonicNode<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.members.next().map(|(name, value)| (name, SonicNode::new(value, self.index)))
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ArrayNode<'a> {
    elements: &'a [Value],
    index: Option<&'a Index<'a>>,
}

impl<'a> Array<'a, SonicJson> for ArrayNode<'a> {
    type Node = SonicNode<'a>;
    type ElementsIter = ElementNodes<'a>;

    #[inline]
    fn len(&self) -> usize {
        self.elements.len()
    }

    #[inline]
    fn elements(&self) -> ElementNodes<'a> {
        ElementNodes { elements: self.elements.iter(), index: self.index }
    }

    fn is_unique(&self) -> bool {
        equality::is_unique(self.elements())
    }
}

#[derive(Clone)]
pub(super) struct ElementNodes<'a> {
    elements: std::slice::Iter<'a, Value>,
    index: Option<&'a Index<'a>>,
}

impl<'a> Iterator for ElementNodes<'a> {
    type Item = SonicNode<'a>;

    #[inline]
    fn next(&mut self) -> Option<SonicNode<'a>> {
        self.elements.next().map(|value| SonicNode::new(value, self.index))
    }
}

impl ExactSizeIterator for ElementNodes<'_> {
    fn len(&self) -> usize {
        self.elements.len()
    }
}
