use kdl::KdlDocument;
use proptest::prelude::*;

use super::*;

fn rewritten(text: &str) -> String {
    rewrite(text).unwrap_or_else(|fault| panic!("{text:?}: {fault:?}")).0
}

#[test]
fn tolerances_become_plain_kdl() {
    for (text, plain) in [
        ("a true", "a #true"),
        ("a true false null", "a #true #false #null"),
        ("{ a true; b \"x\" }", ""),
        ("n { a true; b \"x\" }", "n { a #true; b \"x\" }"),
        ("n {a true}", "n {a #true}"),
        ("a k=true m = false", "a k=#true m = #false"),
        ("a #true", "a #true"),
        ("a truely \"true\" #\"true\"#", "a truely \"true\" #\"true\"#"),
        ("true 1", "true 1"),
        ("n { true; null 1 }", "n { true; null 1 }"),
        ("/- true true", "/- true #true"),
        ("a /- true false", "a /- #true #false"),
        ("a true=1", "a true=1"),
        ("a true /* x */ = 1", "a true         = 1"),
        ("a [\"x\" \"y\"]", "a  \"x\" \"y\" "),
        ("a [\"x\", \"y\",]", "a  \"x\"  \"y\"  "),
        ("a[\"x\",true]", "a \"x\" #true "),
        ("a [1,2]", "a  1 2 "),
        ("a []", "a   "),
        ("a [ // why\n \"x\"\r\n]", "a           \"x\"   "),
        ("a [\"]\" #\"]\"#]", "a  \"]\" #\"]\"# "),
        ("n { a [\"x\"]; b false }", "n { a  \"x\" ; b #false }"),
        ("a \"[1, true]\" // [true]", "a \"[1, true]\" // [true]"),
        ("/* [ /* true */ ] */ a 1", "                     a 1"),
        ("a \"\"\"\n [true]\n \"\"\" true", "a \"\"\"\n [true]\n \"\"\" #true"),
        ("a ##\"\"\"\n \"\"\"# true\n \"\"\"##", "a ##\"\"\"\n \"\"\"# true\n \"\"\"##"),
        ("a \\ // go on\n true", "a \\ // go on\n #true"),
        ("a \"\\\"\" true", "a \"\\\"\" #true"),
        ("a \"\" true", "a \"\" #true"),
    ] {
        match plain {
            "" => assert!(rewrite(text).is_err(), "{text}"),
            _ => assert_eq!(rewritten(text), plain, "{text}"),
        }
    }
}

#[test]
fn faults_point_at_the_place() {
    for (text, range, message) in [
        ("a [\"x\"", 2..3, "this list is never closed"),
        ("a \"x\"]", 5..6, "this `]` closes nothing"),
        ("a [[1]]", 3..4, "a list within a list means nothing here"),
        ("a [1 { }]", 5..6, "a list holds values only"),
        ("a k=[1]", 4..5, "a property has one value, not a list"),
        ("[section]", 0..1, "a list needs a name before it"),
        ("a {\n b {\n}", 2..3, "this block is never closed"),
        ("a }", 2..3, "this `}` closes nothing"),
        ("{ a 1 }", 0..1, "a block needs a name before it"),
        ("a { } { }", 6..7, "this node has its block already"),
        ("a { } b", 6..7, "this node has ended"),
        ("a = 1", 2..3, "`=` stands only between a property and its value"),
        ("a k=\nb", 4..4, "a value is missing after `=`"),
        ("a \"x", 2..4, "this string is never closed"),
        ("a \"x\n\"", 2..4, "this string is never closed"),
        ("a #\"x\"", 2..6, "this string is never closed"),
        ("a \"\"\"\nx\"\"", 2..5, "this string is never closed"),
        ("a /* /* */", 2..4, "this comment is never closed"),
        ("a \"/exec\\(/\"", 8..10, "`\\(` is not an escape of KDL"),
        ("a \"\\u{110000}\"", 3..5, "`\\u` is not an escape of KDL"),
        ("a 10.0.0.0/8", 10..11, "`/` has no meaning here"),
        ("a (u8)1", 2..3, "`(` has no meaning here"),
        ("a \\ b", 2..3, "`\\` has no meaning here"),
        ("a # comment", 2..3, "`#` is not a word of KDL"),
        ("a \"x\", \"y\"", 5..6, "values stand side by side without commas"),
        ("a \"x\"true", 5..9, "a blank is missing before this"),
        ("a #true#false", 7..13, "a blank is missing before this"),
        ("a\"x\"", 1..4, "a blank is missing before this"),
        ("a k=-.5", 4..7, "this is not a number that can be read"),
        ("a 123456789012345678901234567890123", 2..35, "this is not a number that can be read"),
        ("a /-{ b /-{ } }", 10..11, "this block is hidden already"),
        ("a /-", 2..4, "`/-` hides nothing here"),
        ("a /- [1 2]", 2..4, "`/-` hides one value, not a list"),
        ("a \"\u{202e}\"", 3..6, "the character U+202E may not stand in a configuration"),
    ] {
        let fault = rewrite(text).expect_err(text);
        assert_eq!((fault.range, fault.message.as_str()), (range, message), "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "a {".repeat(depth), "}".repeat(depth));
    assert!(rewrite(&nested(DEPTH_MAX)).is_ok());
    assert!(rewrite(&nested(DEPTH_MAX + 1)).is_err());
    // The parser behind recurses on every `*` of a comment.
    let banner = format!("/*{}*/ a 1", "*".repeat(1 << 20));
    assert!(KdlDocument::parse_v2(&rewritten(&banner)).is_ok());
}

/// Values in plain KDL v2, with everything in them that a careless rewriting would touch.
fn plain_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,5}-x",
        "[0-9]{1,6}",
        Just("#true".to_owned()),
        Just("#null".to_owned()),
        Just(r#""a [true, false] // é /* } \" ;""#.to_owned()),
        Just(r##"#"[true "null" /-"#"##.to_owned()),
        Just("\"\"\"\n  [true\n  \"\"\"".to_owned()),
        "k=\"[a-z]{0,3}\"",
    ]
}

fn plain_document() -> impl Strategy<Value = String> {
    let node = ("[a-z]{1,6}y", prop::collection::vec(plain_value(), 0..4))
        .prop_map(|(name, values)| format!("{name} {}", values.join(" ")))
        .boxed();
    let line = prop_oneof![
        node.clone(),
        Just("// [true".to_owned()),
        node.clone().prop_map(|node| format!("/- {node}")),
        (node.clone(), node).prop_map(|(outer, inner)| format!("{outer} {{ {inner}; {inner} }}")),
    ];
    prop::collection::vec(line, 0..8).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn plain_kdl_is_unchanged(text in plain_document()) {
        prop_assert!(KdlDocument::parse_v2(&text).is_ok());
        prop_assert_eq!(rewritten(&text), text);
    }

    /// Every value has a name of its own, so that its span in the user's text can be checked by what stands there.
    #[test]
    fn spans_lead_back(
        rows in prop::collection::vec((any::<bool>(), prop::collection::vec(prop_oneof![
            Just("true"), Just("false"), Just("null"), Just("\"é, [\""), Just("7"), Just("word"),
        ], 1..5)), 1..8),
        comma in prop_oneof![Just(" "), Just(", "), Just(","), Just("\n , // é [\n")],
    ) {
        let text: String = rows.iter().enumerate().map(|(row, (listed, values))| match listed {
            true => format!("é{row} [{}]; ", values.join(if comma == "," { ", " } else { comma })),
            false => format!("é{row} {}\n", values.join(" ")),
        }).collect();
        let (plain, offsets) = rewrite(&text).unwrap();
        let document = KdlDocument::parse_v2(&plain).unwrap();
        let at = |span: miette::SourceSpan| {
            &text[offsets.original(span.offset())..offsets.original(span.offset() + span.len())]
        };
        prop_assert_eq!(document.nodes().len(), rows.len());
        for (row, node) in document.nodes().iter().enumerate() {
            prop_assert_eq!(at(node.name().span()), format!("é{row}"));
            let found: Vec<_> = node.entries().iter().map(|entry| at(entry.span())).collect();
            prop_assert_eq!(&found, &rows[row].1);
        }
    }

    /// Whatever is given, it is refused or given on without a panic.
    #[test]
    fn any_text_is_taken(text in "([a-z]|true|[\\[\\]{}\"#=;,/*\\\\() \n-]|//|/-|é){0,60}") {
        if let Ok((plain, offsets)) = rewrite(&text) {
            prop_assert_eq!(offsets.original(plain.len()), text.len());
            let _ = KdlDocument::parse_v2(&plain);
        }
    }
}
