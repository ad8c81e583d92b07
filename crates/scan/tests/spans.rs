//! Where matches are.
#![allow(clippy::unwrap_used)]

use std::ops::Range;

use proptest::prelude::*;
use wsi_scan::{Expression, Pattern, PatternId, ScanError, Scratch, SpanDatabase, builtin};

fn regex(expression: &str, flags: &str) -> Pattern {
    let expression = Expression::Regex { expression: expression.into(), flags: flags.parse().unwrap() };
    Pattern { id: PatternId(7), expression }
}

fn literal(text: &str) -> Pattern {
    Pattern { id: PatternId(7), expression: Expression::Literal(text.into()) }
}

/// What is covered by matches, as ranges that do not overlap.
fn covered(database: &SpanDatabase, text: &[u8]) -> Result<Vec<Range<usize>>, ScanError> {
    let mut scratch = Scratch::default();
    for each in database.databases() {
        scratch.fit(each).unwrap();
    }
    let mut spans = Vec::new();
    database.scan(&mut scratch, text, |id, span| {
        assert_eq!(id, PatternId(7));
        spans.push(span);
    })?;
    spans.sort_by_key(|span| (span.start, span.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    Ok(merged)
}

/// As [`covered`], and what it covers.
fn texts(pattern: Pattern, text: &str) -> Vec<&str> {
    let database = SpanDatabase::compile(&[pattern], &[]).unwrap();
    covered(&database, text.as_bytes()).unwrap().into_iter().map(|span| &text[span]).collect()
}

#[test]
fn all_of_a_match_is_covered() {
    assert_eq!(texts(literal("exec("), "exec( exec(exec("), ["exec(", "exec(", "exec("]);
    assert_eq!(
        texts(regex(r"\d{16}", ""), "a 4111111111111111, 41111111111111112"),
        ["4111111111111111", "41111111111111112"]
    );
    assert_eq!(texts(regex("key=[a-z]*", "i"), "KEY=abc key=;"), ["KEY=abc", "key="]);
    assert_eq!(texts(regex(r"\bcat\b", ""), "cat concat cat"), ["cat", "cat"]);
    assert_eq!(texts(regex(r"^\w+", "m"), "one two\nthree"), ["one", "three"]);
    assert_eq!(texts(regex(r"п.р", "u"), "ах пир паров"), ["пир", "пар"]);
    assert_eq!(texts(regex("<a[^>]*>", ""), "x<a <a href>y"), ["<a <a href>"]);
}

/// Hyperscan does not follow the start of these.
const TOO_LARGE: [&str; 3] =
    ["[a-z]{0,100}foo[a-z]{0,100}bar", "x=[^;]{200,400};", "(?:foo[0-9]{3,400}bar)+baz{20,50}!"];

#[test]
fn starts_are_searched_for_where_hyperscan_does_not_follow_them() {
    assert_eq!(texts(regex(TOO_LARGE[0], ""), "1 foobar 2 aafooccbardd"), ["foobar", "fooccbar"]);
    let long = format!("; x={}; x= ;", "y".repeat(300));
    assert_eq!(texts(regex(TOO_LARGE[1], ""), &long), [&long[2..305]]);
    let nested = format!(" foo123barfoo1234barba{}! ", "z".repeat(30));
    assert_eq!(texts(regex(TOO_LARGE[2], ""), &nested), [&nested[10..nested.len() - 1]], "the latest start");
    // Ends that follow each other are one match that goes on.
    let tail = format!("{}.*", TOO_LARGE[0]);
    assert_eq!(
        texts(regex(&tail, ""), "a foobar and all that follows\nnot this"),
        ["foobar and all that follows"]
    );
}

#[test]
fn too_many_places_to_search_are_said_to_be() {
    let database = SpanDatabase::compile(&[regex(TOO_LARGE[0], "")], &[]).unwrap();
    assert_eq!(covered(&database, " foobar".repeat(256).as_bytes()).unwrap().len(), 256);
    assert_eq!(covered(&database, " foobar".repeat(257).as_bytes()), Err(ScanError::TooManyMatches));
}

#[test]
fn starts_of_built_in_rules_are_searched_for() {
    let rules = builtin::rule_set("xss").unwrap().iter();
    let patterns: Vec<_> = rules.map(|rule| rule.pattern(PatternId(7)).unwrap()).collect();
    let database = SpanDatabase::compile(&[], &patterns).unwrap();
    assert_eq!(covered(&database, b"hello, see you at 8").unwrap(), []);
    let text = "hello <script>alert(1)</script> and a <img src=x onerror=alert(1)> there";
    let spans = covered(&database, text.as_bytes()).unwrap();
    assert!(spans.iter().any(|span| text[span.clone()].contains("<script")), "{spans:?}");
    assert!(spans.iter().any(|span| text[span.clone()].contains("onerror")), "{spans:?}");
    assert!(spans.iter().all(|span| (6..66).contains(&span.start) && span.end <= 66), "{spans:?}");
}

thread_local! {
    /// Compiling takes longer than all else here.
    static DATABASES: [SpanDatabase; 2] =
        ["[a-f]{0,3}foo[a-f]{0,3}bar", TOO_LARGE[0]].map(|it| SpanDatabase::compile(&[regex(it, "")], &[]).unwrap());
}

proptest! {
    /// Whether starts are followed or searched for, what is covered holds a match, and nothing outside does.
    #[test]
    fn what_is_covered_holds_the_matches(text in "[ab ]{0,12}(foo|bar|[a-f]{0,4}| ){0,6}[ab ]{0,12}") {
        DATABASES.with(|databases| {
            for database in databases {
                let spans = covered(database, text.as_bytes()).unwrap();
                let mut masked = text.clone().into_bytes();
                for span in spans {
                    prop_assert!(!covered(database, &text.as_bytes()[span.clone()]).unwrap().is_empty());
                    masked[span].fill(b'*');
                }
                prop_assert_eq!(covered(database, &masked).unwrap(), []);
            }
            Ok(())
        })?;
    }
}
