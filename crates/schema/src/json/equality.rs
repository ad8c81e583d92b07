use std::{borrow::Cow, collections::HashSet};

use jsonschema::{
    JsonType,
    json::{Array as _, Json, Node, Object as _, cmp, unique},
};
use serde_json::Value as Expected;

use super::number::{Number, NumberIdentity};

/// Up to this size scalars are compared pairwise; a set with a random key takes over beyond.
const PAIRWISE_ELEMENTS_MAX: usize = 16;

/// Equality by JSON Schema (2020-12 Core, section 4.2.2) with a value of the schema. Numbers compare by
/// value. The cost is bounded by the size of `expected`, which is the schema's.
pub(crate) fn equals<'a, F: Json, N: Node<'a, F>>(node: &N, expected: &Expected) -> bool {
    match expected {
        Expected::Null => node.is_null(),
        Expected::Bool(right) => node.as_boolean() == Some(*right),
        Expected::Number(right) => node.as_number().is_some_and(|left| cmp::equal_numbers(&left, right)),
        Expected::String(right) => node.as_string().is_some_and(|left| left == right.as_str()),
        Expected::Array(right) => node.as_array().is_some_and(|left| {
            left.len() == right.len()
                && left.elements().zip(right).all(|(left, right)| left.equals_value(right))
        }),
        // Names are unique on both sides, so equal counts and a match for each make them equal.
        Expected::Object(right) => node.as_object().is_some_and(|left| {
            left.len() == right.len()
                && left.members().all(|(name, left)| {
                    right.get(name.as_ref()).is_some_and(|right| left.equals_value(right))
                })
        }),
    }
}

/// Whether no two elements are equal, in time linear in their size.
pub(crate) fn is_unique<'a, F: Json, N: Node<'a, F, Number = Number>>(
    elements: impl ExactSizeIterator<Item = N> + Clone,
) -> bool {
    if elements.len() < 2 {
        return true;
    }
    let Some(scalars) = elements.clone().map(|element| Scalar::of(&element)).collect::<Option<Vec<_>>>()
    else {
        // Objects and arrays are rare here; they are compared as converted.
        return unique::is_unique(&elements.map(|element| converted(&element)).collect::<Vec<_>>());
    };
    if scalars.len() <= PAIRWISE_ELEMENTS_MAX {
        return scalars.iter().enumerate().all(|(at, scalar)| !scalars[..at].contains(scalar));
    }
    let mut seen = HashSet::with_capacity(scalars.len());
    scalars.into_iter().all(|scalar| seen.insert(scalar))
}

#[derive(PartialEq, Eq, Hash)]
enum Scalar<'a> {
    Null,
    Boolean(bool),
    Number(NumberIdentity),
    String(Cow<'a, str>),
}

impl<'a> Scalar<'a> {
    fn of<F: Json, N: Node<'a, F, Number = Number>>(node: &N) -> Option<Self> {
        match node.json_type() {
            JsonType::Null => Some(Self::Null),
            JsonType::Boolean => node.as_boolean().map(Self::Boolean),
            JsonType::Number | JsonType::Integer => {
                node.as_number().map(|number| Self::Number(number.identity()))
            }
            JsonType::String => node.as_string().map(Self::String),
            JsonType::Array | JsonType::Object => None,
        }
    }
}

fn converted<'a, F: Json, N: Node<'a, F, Number = Number>>(node: &N) -> Expected {
    if let Some(array) = node.as_array() {
        return array.elements().map(|element| converted(&element)).collect();
    }
    if let Some(object) = node.as_object() {
        let members = object.members();
        return members.map(|(name, member)| (name.as_ref().to_owned(), converted(&member))).collect();
    }
    match (node.as_string(), node.as_number(), node.as_boolean()) {
        (Some(string), _, _) => string.into_owned().into(),
        (_, Some(number), _) => number.into(),
        (_, _, Some(boolean)) => boolean.into(),
        (None, None, None) => Expected::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Document, Limits, Schema};

    fn holds(schema: &Expected, text: &str) -> bool {
        let schema = Schema::from_text(&schema.to_string(), None).unwrap();
        schema.is_valid(&Document::parse(text, &Limits::default()).unwrap())
    }

    fn unique(text: &str) -> bool {
        holds(&serde_json::json!({"uniqueItems": true}), text)
    }

    #[test]
    fn uniqueness_by_value_at_any_size() {
        for padding in [0, PAIRWISE_ELEMENTS_MAX, 1_000] {
            let rest: String = (0..padding).map(|at| format!(",\"s{at}\"")).collect();
            for distinct in
                [r#"1,"1",true,null"#, r#"1,1.5"#, r#"[1],[2],1"#, r#"{"a":1},{"b":1}"#, "0,false,\"\""]
            {
                assert!(unique(&format!("[{distinct}{rest}]")), "{distinct} {padding}");
            }
            for equal in
                [r#"1,2,1.0"#, r#""a","\u0061""#, r#"0,-0"#, r#"[1,{"a":2}],[1.0,{"a":2.0}]"#, "null,null"]
            {
                assert!(!unique(&format!("[{equal}{rest}]")), "{equal} {padding}");
            }
            assert!(!unique(r#"[{"a":1,"b":2},{"b":2,"a":1}]"#));
        }
    }

    #[test]
    fn equality_with_a_schema_value() {
        let holds = |text: &str, expected: Expected| holds(&serde_json::json!({"const": expected}), text);
        assert!(holds(r#"{"b":[1.0,"\u0061"],"a":null}"#, serde_json::json!({"a": null, "b": [1, "a"]})));
        assert!(!holds(r#"{"a":1}"#, serde_json::json!({"a": 1, "b": 1})));
        assert!(!holds(r#"{"a":1,"c":1}"#, serde_json::json!({"a": 1, "b": 1})));
        assert!(!holds("[1]", serde_json::json!([1, 2])));
        assert!(!holds("1", serde_json::json!(true)));
    }
}
