//! The way back from a view to its text.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, ops::ControlFlow};

use proptest::prelude::*;
use wsi_scan::normalize::{Buffers, Kinds, Normalizer, Outcome, TraceLost};

const DEFAULT: Kinds = Kinds::ESCAPES.union(Kinds::UNICODE);

/// What of `text` gave the first `wanted` in any of its views.
fn sources(kinds: Kinds, text: &str, wanted: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let normalizer = Normalizer::new([kinds], 4);
    normalizer
        .traced_views(text.as_bytes(), |view, _, trace| {
            let at = view.windows(wanted.len()).position(|window| window == wanted.as_bytes());
            if let Some(at) = at {
                found.insert(text[trace.source(at..at + wanted.len())].to_owned());
            }
        })
        .unwrap();
    found
}

#[track_caller]
fn check(kinds: Kinds, text: &str, wanted: &str, expected: &[&str]) {
    assert_eq!(sources(kinds, text, wanted), expected.iter().map(|it| (*it).to_owned()).collect(), "{text}");
}

#[test]
fn an_escape_is_a_whole() {
    check(DEFAULT, r"a \u0065xec( b", "exec(", &[r"\u0065xec("]);
    check(DEFAULT, "a e%78ec( b", "exec(", &["e%78ec("]);
    check(DEFAULT, "a exec&#x28; b", "exec(", &["exec&#x28;"]);
    check(DEFAULT, r"\n\n%65\n", "e", &["%65"]);
    check(DEFAULT, r"x\ud83d\ude00y", "\u{1f600}", &[r"\ud83d\ude00"]);
    // A part of what an escape became is the escape.
    check(DEFAULT, r"x\ud83d\ude00y", "y", &["y"]);
}

#[test]
fn layers_are_gone_back_through() {
    check(DEFAULT, r"a %255cu0065xec( b", "exec(", &["%255cu0065xec("]);
    check(DEFAULT, r"\\u0065\\u0078ec(", "exec(", &[r"\\u0065\\u0078ec("]);
    check(DEFAULT, "a %26lt;b", "<b", &["%26lt;b"]);
}

#[test]
fn unicode_goes_back_to_whole_characters() {
    check(DEFAULT, "a ｅxec( b", "exec(", &["ｅxec("]);
    check(DEFAULT, "a e\u{200b}xec( b", "exec(", &["e\u{200b}xec("]);
    check(DEFAULT, "a ехес( b", "exec(", &["ехес("]);
    check(DEFAULT, r"a \u0435хес( b", "exec(", &[r"\u0435хес("]);
    check(DEFAULT, "xﬁy", "i", &["ﬁ"]);
}

#[test]
fn too_many_escapes_are_too_many() {
    let normalizer = Normalizer::new([Kinds::PERCENT], 4);
    let many = |count: usize| normalizer.traced_views("%41".repeat(count).as_bytes(), |_, _, _| {});
    assert_eq!(many(1 << 18), Ok(()));
    assert_eq!(many((1 << 18) + 1), Err(TraceLost));
}

proptest! {
    /// The views with a way back are the views; each byte of one comes from the same byte of the text, or from what became it.
    #[test]
    fn every_byte_has_its_source(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "a", "b\u{301}", "\\u0061", "\\\\", "\\n", "%61", "%25", "%5c", "&lt;", "&#97;", "&amp;", "ｅ", "ﬁ", "\u{200b}",
                "е", "u0062", "62", "lt;", "\\ud83d\\ude00", " ", "\u{e9}", "%c3", "%a9",
            ]),
            0..20,
        ),
        depth_max in 1..5u32,
    ) {
        let text = parts.concat().into_bytes();
        let normalizer = Normalizer::new([DEFAULT], depth_max);
        let mut shown = BTreeSet::new();
        let outcome = normalizer.views(&text, &mut Buffers::default(), |view, kinds| {
            shown.insert((view.to_vec(), kinds));
            ControlFlow::<()>::Continue(())
        });
        let mut traced = BTreeSet::new();
        normalizer.traced_views(&text, |view, kinds, trace| {
            traced.insert((view.to_vec(), kinds));
            let mut last = 0..0;
            for (place, byte) in view.iter().enumerate() {
                let source = trace.source(place..place + 1);
                assert!(source.start >= last.start && source.end >= last.end && source.end <= text.len());
                assert!(source.len() != 1 || text[source.start] == *byte, "{}", view.escape_ascii());
                last = source;
            }
            if !view.is_empty() {
                let (first, last) = (trace.source(0..1), trace.source(view.len() - 1..view.len()));
                assert_eq!(trace.source(0..view.len()), first.start..last.end);
            }
        }).unwrap();
        prop_assert!(outcome != Outcome::Stopped(()));
        prop_assert!(shown.is_subset(&traced), "{:?}", shown.difference(&traced).next());
        // What is shown twice may have been called by fewer names.
        let views = |all: &BTreeSet<(Vec<u8>, Kinds)>| all.iter().map(|(view, _)| view.clone()).collect::<BTreeSet<_>>();
        prop_assert_eq!(views(&shown), views(&traced));
    }
}
