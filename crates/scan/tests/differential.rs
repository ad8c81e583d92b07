//! Matching against the `regex` crate on random input: the same set of patterns must be found, and each at an end
//! where it can end.

use proptest::prelude::*;
use regex::bytes::RegexBuilder;
use wsi_scan::{Database, Expression, Flow, Pattern, PatternId, RegexFlags, Scratch};

const PATTERNS: [(&str, &str); 18] = [
    ("abc", ""),
    ("a.c", ""),
    ("a.c", "s"),
    ("^ab", ""),
    ("^b", "m"),
    ("(?:ab|ba){2}", ""),
    ("[^a]{3}b", ""),
    ("a+b*c", "i"),
    (r"\bab\b", ""),
    (r"\d{2,3}a", ""),
    (r"a\s+b", ""),
    (r"\x00[\x80-\xff]", ""),
    (r#""a":\s*"[^"]*b""#, ""),
    ("b$", "m"),
    ("é[а-я]", "u"),
    (r"\wя", "u"),
    ("É", "iu"),
    (".я.", "u"),
];

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "c", "A", "ab", "ba", "abc", "12", " ", "\n", "\"", "\"a\": \"", "\0", "é", "É", "я"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_same_patterns_are_found(inputs in prop::collection::vec(pieces(), 1..8)) {
        let patterns: Vec<_> = (0..).zip(PATTERNS).map(|(id, (expression, flags))| Pattern {
            id: PatternId(id),
            expression: Expression::Regex { expression: expression.into(), flags: flags.parse().unwrap() },
        }).collect();
        let database = Database::compile(&patterns).unwrap();
        let mut scratch = Scratch::default();
        scratch.fit(&database).unwrap();
        for input in inputs {
            let mut ends = [None; PATTERNS.len()];
            database.scan(&mut scratch, &input, &mut |id: PatternId, end: usize| {
                ends[id.0 as usize] = Some(end);
                Flow::Continue
            }).unwrap();
            for ((expression, flags), end) in PATTERNS.into_iter().zip(ends) {
                let flags: RegexFlags = flags.parse().unwrap();
                let text = if flags.unicode { substituted(&input) } else { input.clone() };
                let reference = |expression: &str| RegexBuilder::new(expression)
                    .unicode(flags.unicode)
                    .case_insensitive(flags.caseless)
                    .multi_line(flags.multiline)
                    .dot_matches_new_line(flags.dotall)
                    .build()
                    .unwrap();
                prop_assert_eq!(end.is_some(), reference(expression).is_match(&text), "{} on {:?}", expression, text);
                if let Some(end) = end {
                    let ends_there = reference(&format!("(?:{expression})")).find_iter(&text).any(|found| found.end() == end)
                        || (0..=end).any(|start| reference(expression).find_at(&text, start).is_some_and(|found| found.start() < end));
                    prop_assert!(ends_there, "{} does not end at {} in {:?}", expression, end, text);
                }
            }
        }
    }

    #[test]
    fn literals_are_found_where_they_are(needle in prop::collection::vec(any::<u8>(), 1..6), hay in prop::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>()) {
        let database = Database::compile(&[Pattern { id: PatternId(0), expression: Expression::Literal(needle.clone()) }]).unwrap();
        let mut scratch = Scratch::default();
        scratch.fit(&database).unwrap();
        let mut planted = hay.clone();
        let at = at.index(hay.len() + 1);
        planted.splice(at..at, needle.iter().copied());
        for text in [hay, planted] {
            let mut end = None;
            database.scan(&mut scratch, &text, &mut |_: PatternId, found: usize| { end = Some(found); Flow::Stop }).unwrap();
            let expected = text.windows(needle.len()).position(|window| window == needle).map(|start| start + needle.len());
            prop_assert_eq!(end, expected);
        }
    }
}

/// The text that patterns with the flag `u` see: each invalid byte is U+001A.
fn substituted(bytes: &[u8]) -> Vec<u8> {
    bytes
        .utf8_chunks()
        .flat_map(|chunk| [chunk.valid().as_bytes().to_vec(), vec![0x1a; chunk.invalid().len()]].concat())
        .collect()
}
