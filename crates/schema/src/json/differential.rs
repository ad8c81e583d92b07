//! The same verdicts as jsonschema gives over its own representation.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Document, Limits, Schema};

/// A schema beside the same schema over `serde_json`.
struct Pair {
    text: String,
    ours: Schema,
    reference: jsonschema::Validator,
}

impl Pair {
    fn new(schema: &Value) -> Self {
        let text = schema.to_string();
        let ours = Schema::from_text(&text, None).unwrap();
        Self { text, ours, reference: jsonschema::validator_for(schema).unwrap() }
    }

    fn agree_on(&self, text: &str) {
        let context = || format!("schema {}\nmessage {text}", self.text);
        let document = Document::parse(text, &Limits::default()).unwrap();
        let instance: Value = serde_json::from_str(text).unwrap();
        let valid = self.reference.is_valid(&instance);
        assert_eq!(self.ours.is_valid(&document), valid, "{}", context());
        match self.ours.check(&document) {
            Ok(()) => assert!(valid, "{}", context()),
            // Which of several errors comes first depends on the order of members, which differs.
            Err(violation) => assert!(
                self.reference.iter_errors(&instance).any(|error| {
                    error.instance_path().as_str() == violation.pointer
                        && error.schema_path().as_str() == violation.schema_pointer
                        && error.kind().keyword() == violation.keyword
                }),
                "{violation:?}\n{}",
                context()
            ),
        }
    }
}

fn draft(uri: &str, mut schema: Value) -> Value {
    schema["$schema"] = uri.into();
    schema
}

const DRAFT_4: &str = "http://json-schema.org/draft-04/schema#";
const DRAFT_6: &str = "http://json-schema.org/draft-06/schema#";
const DRAFT_7: &str = "http://json-schema.org/draft-07/schema#";
const DRAFT_2019: &str = "https://json-schema.org/draft/2019-09/schema";

fn scalar_schemas() -> Vec<Value> {
    let mut schemas = vec![
        json!(true),
        json!(false),
        json!({"enum": [1, "a", null, 2.5, [1, {"a": 2}], {"a": 1.0, "b": [true]}]}),
        json!({"enum": ["a", "b", "c", "foo"]}),
        json!({"enum": [0, 1, 2, 3]}),
        json!({"const": {"a": [1, 2.0, "x"], "b": null}}),
        json!({"const": [1, {"a": 2}]}),
        json!({"minimum": 1, "maximum": 3.5}),
        json!({"exclusiveMinimum": 1, "exclusiveMaximum": 3}),
        json!({"maximum": u64::MAX}),
        json!({"minimum": i64::MIN, "exclusiveMaximum": 9.3e18}),
        json!({"multipleOf": 3}),
        json!({"multipleOf": 0.1}),
        json!({"minLength": 2, "maxLength": 3}),
        json!({"maxLength": 2}),
        json!({"pattern": "^[a-c]+$"}),
        json!({"pattern": "o{2}|\\d\\p{L}"}),
        json!({"format": "date-time"}),
        json!({"not": {"type": ["string", "null"]}}),
        draft(
            DRAFT_4,
            json!({"minimum": 1, "exclusiveMinimum": true, "maximum": 3, "exclusiveMaximum": false}),
        ),
        draft(DRAFT_4, json!({"type": "integer"})),
    ];
    for name in ["null", "boolean", "integer", "number", "string", "array", "object"] {
        schemas.push(json!({"type": name}));
    }
    schemas.push(json!({"type": ["integer", "string"]}));
    schemas.extend(
        [json!(1), json!(1.0), json!("a"), json!(null), json!(true)].map(|value| json!({"const": value})),
    );
    for format in ["date", "email", "ipv4", "ipv6", "uri", "regex", "hostname", "json-pointer", "unknown"] {
        schemas.push(draft(DRAFT_7, json!({"format": format})));
        schemas.push(json!({"format": format}));
    }
    schemas
}

fn object_schemas() -> Vec<Value> {
    vec![
        json!({"properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}),
        json!({"properties": {"a": true, "b": {"minLength": 1}}, "required": ["a", "b"]}),
        json!({"properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false}),
        json!({"properties": {"a": true}, "additionalProperties": {"type": "string"}}),
        json!({"patternProperties": {"^f": {"type": "string"}, "o$": {"minLength": 2}}, "additionalProperties": false}),
        json!({"properties": {"a": true}, "patternProperties": {"^b": false}, "required": ["c"]}),
        json!({"required": ["a"]}),
        json!({"required": ["a", "b", "c"]}),
        json!({"minProperties": 1, "maxProperties": 2}),
        json!({"propertyNames": {"maxLength": 2, "pattern": "^[a-z]*$"}}),
        json!({"propertyNames": {"enum": ["a", "b", "", "foo"]}}),
        json!({"dependentRequired": {"a": ["b"], "b": ["c"]}}),
        json!({"dependentSchemas": {"a": {"minProperties": 2}}}),
        draft(DRAFT_7, json!({"dependencies": {"a": ["b"], "b": {"maxProperties": 2}}})),
        json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}),
        json!({"properties": {"a": true}, "unevaluatedProperties": false}),
        json!({"allOf": [{"properties": {"a": true}}, {"patternProperties": {"^b": true}}], "unevaluatedProperties": false}),
        json!({"anyOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"b": true}}],
            "unevaluatedProperties": {"type": "null"}}),
        json!({"allOf": [{"required": ["a"]}, {"properties": {"a": {"type": "integer"}}, "required": ["b"]}]}),
        json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}, {"type": "string"}]}),
    ]
}

fn array_and_reference_schemas() -> Vec<Value> {
    vec![
        json!({"items": {"type": "integer"}}),
        json!({"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": false}),
        draft(DRAFT_7, json!({"items": [{"type": "integer"}], "additionalItems": {"type": "string"}})),
        draft(DRAFT_6, json!({"contains": {"const": 1}})),
        json!({"contains": {"type": "integer"}, "minContains": 2, "maxContains": 3}),
        json!({"uniqueItems": true}),
        json!({"minItems": 1, "maxItems": 2}),
        json!({"prefixItems": [true], "contains": {"type": "string"}, "unevaluatedItems": false}),
        draft(DRAFT_2019, json!({"items": [true], "unevaluatedItems": {"type": "integer"}})),
        json!({"anyOf": [{"type": "string"}, {"minimum": 2}, {"items": {"type": "null"}}]}),
        json!({"$ref": "#/$defs/x", "$defs": {"x": {"type": "object", "additionalProperties": {"$ref": "#"}}}}),
        json!({"type": ["object", "array", "integer"], "items": {"$ref": "#"}, "additionalProperties": {"$ref": "#"}}),
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
        json!({"$id": "http://test/tree", "$dynamicAnchor": "node", "type": "object",
            "properties": {"a": true, "b": {"$dynamicRef": "#node"}}}),
        json!({"$id": "http://test/strict", "$dynamicAnchor": "node", "$ref": "tree", "unevaluatedProperties": false,
            "$defs": {"tree": {"$id": "http://test/tree", "$dynamicAnchor": "node",
                "properties": {"a": true, "b": {"$dynamicRef": "#node"}}}}}),
        draft(
            DRAFT_2019,
            json!({"$recursiveAnchor": true, "properties": {"a": {"$recursiveRef": "#"}}, "maxProperties": 1}),
        ),
    ]
}

fn pairs() -> Vec<Pair> {
    [scalar_schemas(), object_schemas(), array_and_reference_schemas()]
        .iter()
        .flatten()
        .map(Pair::new)
        .collect()
}

const MESSAGES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "1.0",
    "1e0",
    "2",
    "2.5",
    "3",
    "3.5",
    "4.35",
    "0.3",
    "1e300",
    "-1",
    "18446744073709551615",
    "9223372036854775808",
    "-9223372036854775808",
    "1e20",
    r#""""#,
    r#""a""#,
    r#""\u0061""#,
    r#""foo""#,
    r#""😄😄""#,
    r#""ééé""#,
    r#""abcd""#,
    r#""2024-02-30T00:00:00Z""#,
    r#""2024-02-29T00:00:00Z""#,
    r#""127.0.0.1""#,
    r#""::1""#,
    r#""a@b.c""#,
    r#""http://x/y""#,
    r#""[""#,
    r#""/a/b""#,
    "[]",
    "[1]",
    "[1.0, 1]",
    r#"[1,"a"]"#,
    r#"["a",1]"#,
    r#"[1,2,3,"1"]"#,
    "[null]",
    r#"[[1],[1.0]]"#,
    r#"[{"a":1},{"a":2}]"#,
    "[1,1,1,1]",
    r#"[{"a":1,"b":2},{"b":2,"a":1}]"#,
    r#"[1,{"a":2}]"#,
    "{}",
    r#"{"a":1}"#,
    r#"{"a":1.0}"#,
    r#"{"a":"x"}"#,
    r#"{"b":"","a":1}"#,
    r#"{"b":"x","a":1}"#,
    r#"{"\u0061":1,"c":null}"#,
    r#"{"foo":"bar","f":"x"}"#,
    r#"{"foo":1}"#,
    r#"{"":1}"#,
    r#"{"a":[1,2,"x"],"b":null}"#,
    r#"{"b":[true],"a":1}"#,
    r#"{"b":{"b":{"c":1}}}"#,
    r#"{"a":{"a":{}}}"#,
    r#"{"a":{"a":{},"b":1}}"#,
    r#"{"ABC":1}"#,
    r#"{"b/~x":[{"a":"x"}]}"#,
];

#[test]
fn every_keyword_agrees_on_the_table() {
    for pair in pairs() {
        MESSAGES.iter().for_each(|text| pair.agree_on(text));
    }
}

#[test]
fn wide_objects_agree() {
    let names: Vec<_> = (0..300).map(|at| format!("n{at}")).collect();
    let wide: String = names.iter().map(|name| format!(r#""{name}":1,"#)).collect();
    let properties: serde_json::Map<_, _> =
        names.iter().take(100).map(|name| (name.clone(), json!({"type": "integer"}))).collect();
    for schema in [
        json!({"properties": properties, "required": &names[100..140]}),
        json!({"properties": {"n7": {"const": 1}, "last": {"const": 2}}, "required": ["n299", "last"]}),
        json!({"dependentRequired": {"n1": ["n2", "last"]}, "additionalProperties": {"type": "integer"}}),
    ] {
        let pair = Pair::new(&schema);
        for last in [r#""last":2"#, r#""last":3"#, r#""last":"x""#, r#""\u006cast":2"#, r#""other":2"#] {
            pair.agree_on(&format!("{{{wide}{last}}}"));
        }
        // The wide object is not the root, and there are two.
        let inner = format!(r#"{{{wide}"last":2}}"#);
        Pair::new(&json!({"items": schema})).agree_on(&format!("[{inner},{{{wide}\"z\":1}}]"));
    }
}

fn message() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["a", "b", "c", "", "foo", "f o", "é"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-4_i64..4).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-8_i32..8).prop_map(|quarter| json!(f64::from(quarter) / 4.0)),
        prop::num::f64::NORMAL.prop_map(|float| json!(float)),
        prop::sample::select(MESSAGES.to_vec()).prop_map(|text| serde_json::from_str(text).unwrap()),
        "[a-c\\\\\"\u{0}-\u{1f}é😄]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

#[test]
fn generated_messages_agree() {
    let pairs = pairs();
    proptest!(ProptestConfig::with_cases(128), |(message in message())| {
        let text = message.to_string();
        pairs.iter().for_each(|pair| pair.agree_on(&text));
    });
}
