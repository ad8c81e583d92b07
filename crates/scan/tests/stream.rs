//! A text in parts gives what the whole text gives.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, ops::ControlFlow, sync::LazyLock};

use proptest::prelude::*;
use wsi_scan::{
    Database, Expression, Flow, Kinds, Normalizer, Pattern, PatternId, Scratch, Stream, StreamDatabase,
    normalize::{Buffers, Outcome},
};

const DEFAULT: Kinds = Kinds::ESCAPES.union(Kinds::UNICODE);
const ALL: Kinds = DEFAULT.union(Kinds::BASE64);

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
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
        Expression::Literal(b"%41".to_vec()),
        Expression::Literal("é".into()),
        Expression::Literal("e\u{301}".into()),
        Expression::Literal(b"J".to_vec()),
        Expression::Literal(b"&l".to_vec()),
        Expression::Literal(b"<".to_vec()),
        Expression::Literal(b"\xff".to_vec()),
    ]
    .into_iter()
    .zip(0..)
    .map(|(expression, id)| Pattern { id: PatternId(id), expression })
    .collect()
});
static WHOLE: LazyLock<Database> = LazyLock::new(|| Database::compile(&PATTERNS).unwrap());
static PARTS: LazyLock<StreamDatabase> =
    LazyLock::new(|| StreamDatabase::compile(&PATTERNS).unwrap().unwrap());

/// What each set of kinds finds, and whether something was too deep.
type Found = (Vec<BTreeSet<u32>>, bool);

/// A hit counts for the sets that hold all that was undone.
fn count(found: &mut [BTreeSet<u32>], sets: &[Kinds], kinds: Kinds, id: PatternId) {
    for (found, set) in found.iter_mut().zip(sets) {
        if set.contains(kinds) {
            found.insert(id.0);
        }
    }
}

fn whole(sets: &[Kinds], depth: u32, text: &[u8]) -> Found {
    let mut scratch = Scratch::default();
    scratch.fit(&WHOLE).unwrap();
    let mut found = vec![BTreeSet::new(); sets.len()];
    let mut scan = |bytes: &[u8], kinds: Kinds| {
        let mut sink = |id: PatternId, _: usize| {
            count(&mut found, sets, kinds, id);
            Flow::Continue
        };
        WHOLE.scan(&mut scratch, bytes, &mut sink).unwrap();
        ControlFlow::<()>::Continue(())
    };
    let _ = scan(text, Kinds::NONE);
    let normalizer = Normalizer::new(sets.iter().copied(), depth);
    let outcome = normalizer.views(text, &mut Buffers::default(), scan);
    (found, outcome == Outcome::TooDeep)
}

fn in_parts(sets: &[Kinds], depth: u32, text: &[u8], sizes: &[usize]) -> Found {
    let normalizer = Normalizer::new(sets.iter().copied(), depth);
    let mut stream = Stream::open(&PARTS, &normalizer).unwrap();
    let mut found = vec![BTreeSet::new(); sets.len()];
    let mut is_too_deep = false;
    let (mut rest, mut sizes) = (text, sizes.iter().cycle());
    loop {
        let (part, after) = rest.split_at(sizes.next().copied().unwrap_or(1).min(rest.len()));
        rest = after;
        let sink = |kinds, id: PatternId| {
            count(&mut found, sets, kinds, id);
            Flow::Continue
        };
        is_too_deep |= stream.scan(&PARTS, &normalizer, part, rest.is_empty(), sink).unwrap();
        if rest.is_empty() {
            return (found, is_too_deep);
        }
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let escapes = prop::sample::select(vec![
        "\\u003c",
        "\\\\u003cscript",
        "\\ud83d\\ude00",
        "\\ud83d",
        "\\",
        "\\u00",
        "\\u005cu003cscript",
        "\\n",
        "\\u0065val(",
        "\\\\\\\\u0065nd",
        "%",
        "%4",
        "1",
        "%41",
        "%2541",
        "%25",
        "%u0065",
        "%u00",
        "%5cn",
        "\\u0041",
        "&lt;",
        "&l",
        "&",
        "&#x",
        "&#",
        "&#60",
        "0000000000000000000",
        "3c;",
        ";",
        "&amp;",
        "&lpar;",
        "\\u0026",
        "%26lt",
        "u003c",
        "\\u0301",
        "%cc%81",
        "%e2%80%8b",
        "&#x200b;",
        "41",
        "t;",
        "\\/",
        "\\\"",
        "\\u0430",
        "%d0",
        "%b0",
    ]);
    let characters = prop::sample::select(vec![
        "é",
        "e\u{301}",
        "\u{301}",
        "\u{327}",
        "\u{200b}",
        "\0",
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        "е",
        "а",
        "ｅ",
        "ｅｖａｌ（",
        "你好",
        "½",
        "\u{fdfa}",
        "😀",
        "ﬁ",
        "ａ",
        "с",
        "\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
    ]);
    let words = prop::sample::select(vec![
        "<script",
        "begin",
        "end",
        "a",
        "c",
        "eval(",
        " ",
        "script",
        "val(",
        "e",
        "b",
        "PHNjcmlwdD5hbGVydCgx",
        "PHNjcmlwdD5hbGVy",
        "dCgx",
        "=",
        "JXUwMDNj",
        "XHUwMDNjc2NyaXB0",
        "UEhOamNtbHdkRDVoYkdWeWRDZ3g",
    ]);
    let text = |piece: &str| piece.as_bytes().to_vec();
    let piece = prop_oneof![
        6 => escapes.prop_map(text),
        3 => characters.prop_map(text),
        4 => words.prop_map(text),
        1 => prop::sample::select(vec![vec![0xff], vec![0xc3], vec![0xe2, 0x80], vec![0x8b]]),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// Of base64 a text may have more views at a time than a stream follows, and where composing makes other escapes it follows none of
/// them. It says so then, and finds no more than there is.
fn gives_up(sets: &[Kinds], parts: &Found) -> bool {
    let may = sets.iter().any(|set| set.contains(Kinds::BASE64) || set.contains(Kinds::UNICODE));
    may && parts.1
}

/// What composing makes an escape, at any cut: found, or said to be out of reach.
#[test]
fn escapes_that_composing_makes_do_not_get_away() {
    for text in
        ["%6\u{200b}5val(", "\u{ff05}65val(", "\\u00\u{2060}65val(", "&\u{ff03}101;val(", "%EF%BC%8565val("]
    {
        let (found, _) = whole(&[DEFAULT], 4, text.as_bytes());
        assert!(!found[0].is_empty(), "{text}");
        for cut in 0..=text.len() {
            let (parts, is_too_deep) = in_parts(&[DEFAULT], 4, text.as_bytes(), &[cut, text.len() + 1]);
            assert!(is_too_deep || !parts[0].is_empty(), "{text} cut at {cut}");
        }
    }
}

fn sets() -> impl Strategy<Value = Vec<Kinds>> {
    prop::sample::select(vec![
        vec![Kinds::NONE],
        vec![Kinds::JSON],
        vec![Kinds::UNICODE],
        vec![Kinds::PERCENT.union(Kinds::HTML), Kinds::JSON],
        vec![DEFAULT],
        vec![DEFAULT, Kinds::PERCENT, Kinds::NONE],
        vec![Kinds::BASE64.union(Kinds::JSON)],
        vec![ALL.intersection(DEFAULT.union(Kinds::BASE64)), Kinds::JSON.union(Kinds::PERCENT)],
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn parts_find_what_the_whole_finds(
        text in text(), sizes in prop::collection::vec(1_usize..9, 1..6), sets in sets(), depth in 1..4_u32,
    ) {
        let (whole, parts) = (whole(&sets, depth, &text), in_parts(&sets, depth, &text, &sizes));
        if gives_up(&sets, &parts) {
            prop_assert!(parts.0.iter().zip(&whole.0).all(|(few, all)| few.is_subset(all)));
        } else {
            prop_assert_eq!(whole, parts, "{} {:?}", String::from_utf8_lossy(&text), sizes);
        }
    }
}

/// What is cut at any place, in texts that show what is hard.
#[test]
fn any_cut_will_do() {
    for text in [
        r"x%4\u0041\u0301",
        r"&am%70\u003b",
        "e\u{200b}\u{301}val(",
        r"%\u0034\u0031",
        "\\\\u0041",
        r"\u0026#\u0078\u0033c",
        "&#x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000003cscript",
        "е\u{301}vаl(",
        "é",
        "\u{fdfa}\u{301}",
        r"\ud83d%\u0034\u0031",
        "e\0v\0\0al(\0 \0x\0",
        r"e\u0000v%00al(",
    ] {
        for cut in 0..=text.len() {
            let sizes = [cut, text.len() + 1];
            for sets in [vec![DEFAULT], vec![ALL], vec![DEFAULT, Kinds::JSON]] {
                let (whole, parts) =
                    (whole(&sets, 4, text.as_bytes()), in_parts(&sets, 4, text.as_bytes(), &sizes));
                if !gives_up(&sets, &parts) {
                    assert_eq!(whole, parts, "{text} cut at {cut}");
                }
            }
        }
    }
}

/// More zeros than are held: the reference is a character all the same.
#[test]
fn a_reference_may_have_any_number_of_zeros() {
    for digits in ["3c", "00", "g"] {
        let text = format!(" &#x{}{digits}script", "0".repeat(2000));
        for sizes in [vec![100], vec![1500, 7], vec![2003, 1, 1]] {
            let sets = [DEFAULT, Kinds::HTML];
            let (whole, parts) =
                (whole(&sets, 4, text.as_bytes()), in_parts(&sets, 4, text.as_bytes(), &sizes));
            assert_eq!(whole, parts, "{digits} {sizes:?}");
            assert_eq!(whole.0[1].contains(&0), digits == "3c");
        }
    }
}

/// Texts whose views multiply have so many at most, and are said to hide too much.
#[test]
fn the_views_of_parts_are_bounded() {
    let nested = "UVVGQlFVRkJRVUZCUVVGQlFVRkJRUT09 \\\\\\\\u0430 %252525d0%252525b0 &amp;amp;amp;#x430; ½ ";
    let normalizer = Normalizer::new([ALL, Kinds::PERCENT, Kinds::HTML.union(Kinds::JSON)], 8);
    let mut stream = Stream::open(&PARTS, &normalizer).unwrap();
    let mut is_too_deep = false;
    for at in 0..300 {
        let sink = |_: Kinds, _: PatternId| Flow::Continue;
        let part = nested.repeat(20);
        is_too_deep |= stream.scan(&PARTS, &normalizer, part.as_bytes(), at == 299, sink).unwrap();
    }
    assert!(is_too_deep);
    let cursors: usize =
        format!("{stream:?}").chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap();
    assert!((10..=32).contains(&cursors), "{cursors}");
}

#[test]
fn spans_are_bounded_where_patterns_are() {
    let database = |expression: &str| {
        let expression = Expression::Regex { expression: expression.into(), flags: "".parse().unwrap() };
        StreamDatabase::compile(&[Pattern { id: PatternId(0), expression }]).unwrap().unwrap()
    };
    let span = |expression, kinds| database(expression).span_max(&Normalizer::new([kinds], 3));
    assert_eq!(span("ab{1,3}", Kinds::NONE), Some(4));
    assert_eq!(span("ab{1,3}", Kinds::JSON), Some((4 + 64) * 216));
    assert_eq!(span("ab{1,3}", DEFAULT), None);
    assert_eq!(span("ab+", Kinds::NONE), None);
}
