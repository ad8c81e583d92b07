//! A text in parts gives what the whole text gives.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use wsi_scan::{
    Database, Expression, Flow, Kinds, Pattern, PatternId, Scratch, Stream, StreamDatabase, normalize::undo,
};

fn patterns() -> Vec<Pattern> {
    let regex = |expression: &str| Expression::Regex {
        expression: expression.to_owned(),
        flags: "is".parse().unwrap(),
    };
    [
        Expression::Literal(b"<script".to_vec()),
        regex("^begin"),
        regex("end$"),
        regex("a[^b]*c"),
        regex(r"\beval\("),
        Expression::Literal(b"\\u003c".to_vec()),
        Expression::Literal(b"\\".to_vec()),
    ]
    .into_iter()
    .zip(0..)
    .map(|(expression, id)| Pattern { id: PatternId(id), expression })
    .collect()
}

/// What block mode finds in the text and in each layer of undone escapes.
fn whole(text: &[u8]) -> BTreeSet<(usize, u32)> {
    let database = Database::compile(&patterns()).unwrap();
    let mut scratch = Scratch::default();
    scratch.fit(&database).unwrap();
    let mut found = BTreeSet::new();
    let mut layer = text.to_vec();
    for depth in 0..=3 {
        let mut sink = |id: PatternId, _: usize| {
            found.insert((depth, id.0));
            Flow::Continue
        };
        database.scan(&mut scratch, &layer, &mut sink).unwrap();
        let mut next = Vec::new();
        if undo(Kinds::JSON, &layer, true, Kinds::NONE, &mut next).kinds.is_empty() {
            break;
        }
        layer = next;
    }
    found
}

fn in_parts(text: &[u8], sizes: &[usize]) -> BTreeSet<(usize, u32)> {
    let database = StreamDatabase::compile(&patterns()).unwrap().unwrap();
    let mut stream = Stream::open(&database, 3).unwrap();
    let mut found = BTreeSet::new();
    let (mut rest, mut sizes) = (text, sizes.iter().cycle());
    loop {
        let (part, after) = rest.split_at(sizes.next().copied().unwrap_or(1).min(rest.len()));
        rest = after;
        let sink = |depth, id: PatternId| {
            found.insert((depth, id.0));
            Flow::Continue
        };
        stream.scan(&database, part, rest.is_empty(), sink).unwrap();
        if rest.is_empty() {
            return found;
        }
    }
}

/// What is in the text as it came, and what is in it or in any layer: layers that equal the one before may be scanned or not.
fn ids(found: &BTreeSet<(usize, u32)>) -> [BTreeSet<u32>; 2] {
    [0, usize::MAX].map(|depth| found.iter().filter(|(at, _)| *at <= depth).map(|(_, id)| *id).collect())
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("<script"),
        Just("begin"),
        Just("end"),
        Just("a"),
        Just("c"),
        Just("eval("),
        Just(" "),
        Just("\\u003c"),
        Just("script"),
        Just("\\\\u003cscript"),
        Just("\\ud83d\\ude00"),
        Just("\\ud83d"),
        Just("\\"),
        Just("\\u00"),
        Just("\\u005cu003cscript"),
        Just("\\n"),
        Just("\\u0065val("),
        Just("\\\\\\\\u0065nd"),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn parts_find_what_the_whole_finds(text in text(), sizes in prop::collection::vec(1_usize..9, 1..6)) {
        let (whole, parts) = (whole(&text), in_parts(&text, &sizes));
        prop_assert_eq!(ids(&whole), ids(&parts), "{}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn spans_are_bounded_where_patterns_are() {
    let database = |expression: &str| {
        let expression = Expression::Regex { expression: expression.into(), flags: "".parse().unwrap() };
        StreamDatabase::compile(&[Pattern { id: PatternId(0), expression }]).unwrap().unwrap()
    };
    assert_eq!(database("ab{1,3}").span_max(0), Some(4));
    assert_eq!(database("ab{1,3}").span_max(3), Some(4 * 216));
    assert_eq!(database("ab+").span_max(0), None);
}
