//! Matching against the `regex` crate on random input: the same patterns are found, each at the earliest end.
#![cfg(test)]

use std::sync::LazyLock;

use proptest::prelude::*;
use regex::bytes::{Regex, RegexBuilder};
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
    // Not \w: combining marks are part of words to regex, and not to Hyperscan.
    (r"[\p{L}\p{N}_]я", "u"),
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

/// What both engines make of one pattern.
struct Subject {
    expression: &'static str,
    flags: RegexFlags,
    reference: Regex,
}

static SUBJECTS: LazyLock<Vec<Subject>> = LazyLock::new(|| {
    PATTERNS
        .into_iter()
        .map(|(expression, flags)| {
            let flags: RegexFlags = flags.parse().unwrap();
            let reference = RegexBuilder::new(expression)
                .unicode(flags.unicode)
                .case_insensitive(flags.caseless)
                .multi_line(flags.multiline)
                .dot_matches_new_line(flags.dotall)
                .build()
                .unwrap();
            Subject { expression, flags, reference }
        })
        .collect()
});

static DATABASE: LazyLock<Database> = LazyLock::new(|| {
    let pattern = |(id, subject): (u32, &Subject)| Pattern {
        id: PatternId(id),
        expression: Expression::Regex { expression: subject.expression.into(), flags: subject.flags },
    };
    Database::compile(&(0..).zip(SUBJECTS.iter()).map(pattern).collect::<Vec<_>>()).unwrap()
});

/// Where the earliest match ends. A prefix decides it, except where the pattern looks at what follows.
fn earliest_end(subject: &Subject, text: &[u8]) -> Option<usize> {
    (0..=text.len()).find(|end| subject.reference.is_match(&text[..*end]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_same_patterns_are_found(input in pieces()) {
        let mut scratch = Scratch::default();
        scratch.fit(&DATABASE).unwrap();
        let mut ends = [None; PATTERNS.len()];
        DATABASE.scan(&mut scratch, &input, &mut |id: PatternId, end: usize| {
            ends[id.0 as usize] = Some(end);
            Flow::Continue
        }).unwrap();
        for (subject, end) in SUBJECTS.iter().zip(ends) {
            let text = if subject.flags.unicode { substituted(&input) } else { input.clone() };
            let looks_ahead = subject.expression.ends_with('$') || subject.expression.ends_with(r"\b");
            if looks_ahead {
                prop_assert_eq!(end.is_some(), subject.reference.is_match(&text), "{} on {:?}", subject.expression, text);
            } else {
                prop_assert_eq!(end, earliest_end(subject, &text), "{} on {:?}", subject.expression, text);
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
