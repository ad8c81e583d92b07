use std::collections::HashSet;

use jsonschema::json::{cmp, unique};
use serde_json::Value as Expected;
use sonic_rs::Value;

use super::{
    node::Kind,
    number::{Number, NumberIdentity},
};

/// Up to this size scalars are compared pairwise; a set with a random key takes over beyond.
const PAIRWISE_ELEMENTS_MAX: usize = 16;

/// Equality by JSON Schema (2020-12 Core, section 4.2.2) with a value of the schema. Numbers compare by
/// value. The cost is bounded by the size of `expected`, which is the schema's.
pub(super) fn equals(kind: Kind<'_>, expected: &Expected) -> bool {
    match (kind, expected) {
        (Kind::Null, Expected::Null) => true,
        (Kind::Boolean(left), Expected::Bool(right)) => left == *right,
        (Kind::Number(left), Expected::Number(right)) => cmp::equal_numbers(&left, right),
        (Kind::String(left), Expected::String(right)) => left == right,
        (Kind::Array(left), Expected::Array(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| equals(Kind::of(left), right))
        }
        // Names are unique on both sides, so equal counts and a match for each make them equal.
        (Kind::Object(left), Expected::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(name, left)| right.get(name).is_some_and(|right| equals(Kind::of(left), right)))
        }
        _ => false,
    }
}

/// Whether no two elements are equal, in time linear in their size.
pub(super) fn is_unique(elements: &[Value]) -> bool {
    if elements.len() < 2 {
        return true;
    }
    let Some(scalars) = elements.iter().map(Scalar::of).collect::<Option<Vec<_>>>() else {
        // Objects and arrays are rare here; they are compared as converted.
        return unique::is_unique(&elements.iter().map(converted).collect::<Vec<_>>());
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
    String(&'a str),
}

impl<'a> Scalar<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        match Kind::of(value) {
            Kind::Null => Some(Self::Null),
            Kind::Boolean(boolean) => Some(Self::Boolean(boolean)),
            Kind::Number(number) => Some(Self::Number(Number::identity(number))),
            Kind::String(string) => Some(Self::String(string)),
            Kind::Array(_) | Kind::Object(_) => None,
        }
    }
}

fn converted(value: &Value) -> Expected {
    match Kind::of(value) {
        Kind::Null => Expected::Null,
        Kind::Boolean(boolean) => boolean.into(),
        Kind::Number(number) => number.into(),
        Kind::String(string) => string.into(),
        Kind::Array(array) => array.iter().map(converted).collect(),
        Kind::Object(object) => {
            object.iter().map(|(name, value)| (name.to_owned(), converted(value))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unique(text: &str) -> bool {
        let value: Value = sonic_rs::from_str(text).unwrap();
        match Kind::of(&value) {
            Kind::Array(array) => is_unique(array),
            _ => unreachable!(),
        }
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
        let holds =
            |text: &str, expected: Expected| equals(Kind::of(&sonic_rs::from_str(text).unwrap()), &expected);
        assert!(holds(r#"{"b":[1.0,"\u0061"],"a":null}"#, serde_json::json!({"a": null, "b": [1, "a"]})));
        assert!(!holds(r#"{"a":1}"#, serde_json::json!({"a": 1, "b": 1})));
        assert!(!holds(r#"{"a":1,"c":1}"#, serde_json::json!({"a": 1, "b": 1})));
        assert!(!holds("[1]", serde_json::json!([1, 2])));
        assert!(!holds("1", serde_json::json!(true)));
    }
}
