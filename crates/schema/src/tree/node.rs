use std::{borrow::Cow, ops::ControlFlow, slice};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonschema::{
    JsonType,
    json::{Array, Json, JsonNumber as _, Node, NodeIdentity, Object},
};

use super::{Tree, Value, index::Index, resolve, value::Name};
use crate::json::{equality, number::Number};

/// Messages, for a validator that reads them in place.
pub(crate) struct TreeJson;

impl Json for TreeJson {
    type Node<'a> = TreeNode<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = ();

    /// A lookup scans the members, or asks the index of a wide object; one pass for several required names is cheaper up to here.
    const KEYS_PER_LOOKUP: usize = 8;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(TreeNode<'_>) -> T) -> T {
        f(TreeNode { values: slice::from_ref(&Value::Text(string)), beside: &Beside::NOTHING })
    }
}

/// One value of a message: itself, and behind it what is inside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TreeNode<'a> {
    values: &'a [Value<'a>],
    beside: &'a Beside<'a>,
}

/// What the nodes of a message have in common.
#[derive(Debug)]
pub(super) struct Beside<'a> {
    unescaped: &'a str,
    index: Option<Index<'a>>,
}

impl<'a> Beside<'a> {
    const NOTHING: Beside<'static> = Beside { unescaped: "", index: None };

    pub fn of(tree: &'a Tree<'a>) -> Self {
        Self { unescaped: &tree.unescaped, index: Index::of(tree) }
    }
}

impl<'a> TreeNode<'a> {
    pub(super) fn root(tree: &'a Tree<'a>, beside: &'a Beside<'a>) -> Self {
        Self { values: &tree.values, beside }
    }

    #[inline]
    fn value(&self) -> Value<'a> {
        self.values.first().copied().unwrap_or(Value::Null)
    }

    #[inline]
    fn inside(&self) -> &'a [Value<'a>] {
        self.values.get(1..=self.value().size()).unwrap_or_default()
    }

    /// One that is somewhere inside.
    #[inline]
    fn with(self, values: &'a [Value<'a>]) -> Self {
        Self { values, ..self }
    }

    #[inline]
    fn resolved(&self, value: Value<'a>) -> Value<'a> {
        resolve(value, self.beside.unescaped)
    }
}

impl<'a> Node<'a, TreeJson> for TreeNode<'a> {
    type Object = ObjectNode<'a>;
    type Array = ArrayNode<'a>;
    type Number = Number;

    #[inline]
    fn as_object(&self) -> Option<ObjectNode<'a>> {
        match self.value() {
            Value::Object { .. } => Some(ObjectNode(*self)),
            _ => None,
        }
    }

    #[inline]
    fn as_array(&self) -> Option<ArrayNode<'a>> {
        match self.value() {
            Value::Array { count, .. } => Some(ArrayNode { node: *self, count: count as usize }),
            _ => None,
        }
    }

    #[inline]
    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self.resolved(self.value()) {
            Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Some(Cow::Owned(STANDARD.encode(bytes))),
            _ => None,
        }
    }

    #[inline]
    fn as_number(&self) -> Option<Number> {
        match self.value() {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    #[inline]
    fn as_boolean(&self) -> Option<bool> {
        match self.value() {
            Value::Boolean(boolean) => Some(boolean),
            _ => None,
        }
    }

    #[inline]
    fn is_null(&self) -> bool {
        matches!(self.value(), Value::Null)
    }

    #[inline]
    fn json_type(&self) -> JsonType {
        match self.value() {
            Value::Null => JsonType::Null,
            Value::Boolean(_) => JsonType::Boolean,
            Value::Number(_) => JsonType::Number,
            Value::Text(_) | Value::Unescaped { .. } | Value::Bytes(_) => JsonType::String,
            Value::Array { .. } => JsonType::Array,
            Value::Object { .. } => JsonType::Object,
        }
    }

    /// Byte length bounds the number of code points from both sides, which mostly decides it.
    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        let text = match self.resolved(self.value()) {
            Value::Text(text) => text,
            Value::Bytes(bytes) => return Some((min..=max).contains(&base64_len(bytes))),
            _ => return None,
        };
        let bytes = text.len() as u64;
        let fewest = bytes.div_ceil(4);
        if bytes < min || fewest > max {
            return Some(false);
        }
        Some((min <= fewest && bytes <= max) || (min..=max).contains(&(text.chars().count() as u64)))
    }

    fn equals_value(&self, expected: &serde_json::Value) -> bool {
        match (self.value(), expected) {
            // Not encoded again for each of many values of a schema.
            (Value::Bytes(bytes), serde_json::Value::String(text)) => {
                base64_len(bytes) == text.len() as u64 && STANDARD.encode(bytes) == *text
            }
            _ => equality::equals(self, expected),
        }
    }

    /// The validator asks for this only to put the instance into an error, where no payload belongs.
    fn to_value(&self) -> Cow<'a, serde_json::Value> {
        Cow::Owned(serde_json::Value::Null)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(self.values.as_ptr().addr()))
    }
}

fn base64_len(bytes: &[u8]) -> u64 {
    bytes.len().div_ceil(3) as u64 * 4
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ObjectNode<'a>(TreeNode<'a>);

impl<'a> Object<'a, TreeJson> for ObjectNode<'a> {
    type Node = TreeNode<'a>;
    type MemberName = Cow<'a, str>;
    type MembersIter = MemberNodes<'a>;

    fn len(&self) -> usize {
        match self.0.value() {
            Value::Object { count, .. } => count as usize,
            _ => 0,
        }
    }

    fn get(&self, key: &Box<str>) -> Option<TreeNode<'a>> {
        let TreeNode { values, beside } = self.0;
        if let Some(members) =
            beside.index.as_ref().zip(values.first()).and_then(|(index, object)| index.members(object))
        {
            let place = *members.get(&Name::of_text(key))?;
            return Some(self.0.with(values.get(place..)?));
        }
        let is_it = |name: Value<'a>| match self.0.resolved(name) {
            Value::Text(text) => text == &**key,
            name => Name::of(name) == Some(Name::of_text(key)),
        };
        self.pairs().find(|(name, _)| is_it(*name)).map(|(_, node)| node)
    }

    fn members(&self) -> MemberNodes<'a> {
        MemberNodes(self.pairs())
    }

    /// A name is a value already, except for an integer, which has to be written out.
    fn try_for_each_name_node<B>(
        &self,
        buffer: &mut (),
        mut f: impl FnMut(TreeNode<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        self.members().try_for_each(|(name, _)| TreeJson::with_string_node(buffer, &name, &mut f))
    }
}

impl<'a> ObjectNode<'a> {
    fn pairs(&self) -> Pairs<'a> {
        Pairs { rest: self.0.inside(), node: self.0 }
    }
}

fn written(name: Value<'_>) -> Cow<'_, str> {
    match name {
        Value::Text(text) => Cow::Borrowed(text),
        Value::Number(number) => Cow::Owned(number.as_str().into_owned()),
        _ => Cow::Borrowed(""),
    }
}

struct Pairs<'a> {
    rest: &'a [Value<'a>],
    node: TreeNode<'a>,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Value<'a>, TreeNode<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (name, values) = self.rest.split_first()?;
        self.rest = values.get(1 + values.first()?.size()..)?;
        Some((*name, self.node.with(values)))
    }
}

pub(crate) struct MemberNodes<'a>(Pairs<'a>);

impl<'a> Iterator for MemberNodes<'a> {
    type Item = (Cow<'a, str>, TreeNode<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, node)| (written(node.resolved(name)), node))
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ArrayNode<'a> {
    node: TreeNode<'a>,
    count: usize,
}

impl<'a> Array<'a, TreeJson> for ArrayNode<'a> {
    type Node = TreeNode<'a>;
    type ElementsIter = ElementNodes<'a>;

    #[inline]
    fn len(&self) -> usize {
        self.count
    }

    fn elements(&self) -> ElementNodes<'a> {
        ElementNodes { rest: self.node.inside(), count: self.count, node: self.node }
    }

    fn is_unique(&self) -> bool {
        equality::is_unique(self.elements())
    }
}

#[derive(Clone)]
pub(crate) struct ElementNodes<'a> {
    rest: &'a [Value<'a>],
    count: usize,
    node: TreeNode<'a>,
}

impl<'a> Iterator for ElementNodes<'a> {
    type Item = TreeNode<'a>;

    #[inline]
    fn next(&mut self) -> Option<TreeNode<'a>> {
        let values = self.rest;
        self.rest = values.get(1 + values.first()?.size()..)?;
        self.count = self.count.saturating_sub(1);
        Some(self.node.with(values))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for ElementNodes<'_> {}
