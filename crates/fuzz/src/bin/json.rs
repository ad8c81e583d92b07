//! Any text as a JSON message, beside serde_json: the same texts are JSON, nesting and duplicates are judged as a plain walk over
//! the members judges them, and a schema says the same shortly and at length.
#![no_main]

use std::{cell::OnceCell, collections::HashSet, fmt};

use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use wsi_schema::json::{Document, Fault, Limits, Schema};

const ORDER: &str = r#"{
    "type": "object", "required": ["a"], "additionalProperties": false,
    "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 10}, "b": {"type": "string", "maxLength": 3}}
}"#;
const OTHERS: [&str; 3] = [
    r##"{"type": ["object", "array", "null"], "items": {"$ref": "#"}, "additionalProperties": {"$ref": "#"}}"##,
    r#"{"uniqueItems": true, "patternProperties": {"^x": {"multipleOf": 0.5}}, "unevaluatedProperties": {"const": [1, {"a": 2}]}}"#,
    r#"{"$schema": "http://json-schema.org/draft-07/schema#", "if": {"required": ["a"]}, "then": {"minProperties": 2},
        "else": {"anyOf": [{"contains": {"enum": [1, "a", null]}}, {"format": "ipv4", "type": "string"}]}}"#,
];

thread_local! {
    static SCHEMAS: OnceCell<(Schema, Vec<Schema>)> = const { OnceCell::new() };
}

// The first byte is the deepest nesting; serde_json gives up at 128.
fuzz_target!(|input: &[u8]| {
    let Some((&depth_max, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let limits = Limits { depth_max: u32::from(depth_max % 100) };
    let reference = serde_json::from_str::<Node>(text);
    match (Document::parse(text, &limits), &reference) {
        (Ok(document), Ok(node)) => {
            assert!(node.depth() <= limits.depth_max);
            assert!(!node.has_duplicates());
            check_schemas(&document, node);
        }
        (Err(Fault::TooDeep), Ok(node)) => assert!(node.depth() > limits.depth_max),
        (Err(Fault::DuplicateKey), Ok(node)) => assert!(node.has_duplicates()),
        (Err(Fault::IntegerTooLarge), Ok(node)) => assert!(node.has_float()),
        // It is not JSON, but its beginning may show another fault first.
        (Err(Fault::TooDeep | Fault::Syntax { .. }), Err(_)) => {}
        (ours, reference) => panic!("{ours:?}, where serde_json says {:?}", reference.as_ref().map(drop)),
    }
});

fn check_schemas(document: &Document, node: &Node) {
    SCHEMAS.with(|schemas| {
        let compile = |text: &str| Schema::from_text(text, None).expect("the schemas here are right");
        let (order, others) =
            schemas.get_or_init(|| (compile(ORDER), OTHERS.iter().map(|text| compile(text)).collect()));
        assert_eq!(order.is_valid(document), node.is_order());
        for schema in others.iter().chain([order]) {
            assert_eq!(schema.is_valid(document), schema.check(document).is_ok());
        }
    });
}

/// A document as it was written, duplicates and all.
enum Node {
    Scalar,
    Integer(i128),
    Float(f64),
    Text(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    fn children(&self) -> Box<dyn Iterator<Item = &Node> + '_> {
        match self {
            Self::Array(elements) => Box::new(elements.iter()),
            Self::Object(members) => Box::new(members.iter().map(|(_, member)| member)),
            _ => Box::new(std::iter::empty()),
        }
    }

    fn depth(&self) -> u32 {
        let own = u32::from(matches!(self, Self::Array(_) | Self::Object(_)));
        own + self.children().map(Node::depth).max().unwrap_or(0)
    }

    fn has_duplicates(&self) -> bool {
        let own = match self {
            Self::Object(members) => {
                members.iter().map(|(name, _)| name).collect::<HashSet<_>>().len() < members.len()
            }
            _ => false,
        };
        own || self.children().any(Node::has_duplicates)
    }

    fn has_float(&self) -> bool {
        matches!(self, Self::Float(_)) || self.children().any(Node::has_float)
    }

    /// What [`ORDER`] says.
    fn is_order(&self) -> bool {
        let Self::Object(members) = self else { return false };
        members.iter().any(|(name, _)| name == "a")
            && members.iter().all(|(name, member)| match (name.as_str(), member) {
                ("a", Self::Integer(number)) => (0..=10).contains(number),
                ("a", Self::Float(number)) => number.fract() == 0.0 && (0.0..=10.0).contains(number),
                ("b", Self::Text(text)) => text.chars().count() <= 3,
                _ => false,
            })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Integer(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Integer(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Node, A::Error> {
        let mut array = Vec::new();
        while let Some(element) = elements.next_element()? {
            array.push(element);
        }
        Ok(Node::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Node::Object(object))
    }
}
