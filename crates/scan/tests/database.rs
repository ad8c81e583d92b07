//! Compiling and scanning: errors, limits, and the use of scratch.
#![cfg(test)]

use std::{panic::AssertUnwindSafe, sync::Arc};

use wsi_scan::{
    CompileError, Database, Expression, Flow, Pattern, PatternId, RegexFlags, ScanError, Scratch, builtin,
};

fn regex(id: u32, expression: &str, flags: &str) -> Pattern {
    let flags = flags.parse().unwrap();
    Pattern { id: PatternId(id), expression: Expression::Regex { expression: expression.into(), flags } }
}

fn literal(id: u32, bytes: &[u8]) -> Pattern {
    Pattern { id: PatternId(id), expression: Expression::Literal(bytes.to_vec()) }
}

fn fitted(database: &Database) -> Scratch {
    let mut scratch = Scratch::default();
    scratch.fit(database).unwrap();
    scratch
}

/// Ids and ends of all matches, in order of id.
fn matches(database: &Database, scratch: &mut Scratch, bytes: &[u8]) -> Vec<(u32, usize)> {
    let mut found = Vec::new();
    let mut sink = |id: PatternId, end: usize| {
        found.push((id.0, end));
        Flow::Continue
    };
    database.scan(scratch, bytes, &mut sink).unwrap();
    found.sort_unstable();
    found
}

fn matches_once(patterns: &[Pattern], bytes: &[u8]) -> Vec<(u32, usize)> {
    let database = Database::compile(patterns).unwrap();
    matches(&database, &mut fitted(&database), bytes)
}

#[test]
fn literals_are_bytes_and_case_sensitive() {
    let all_bytes: Vec<u8> = (0..=255).collect();
    let patterns =
        [literal(1, b"a.b*("), literal(2, &all_bytes), literal(3, b"\xff\x00\\x41"), literal(4, b"Key")];
    let text = [b"aXb*( a.b*( key ", &all_bytes[..], b" \xff\x00\\x41"].concat();
    assert_eq!(matches_once(&patterns, &text), [(1, 11), (2, 272), (3, 279)]);
}

#[test]
fn flags_change_what_matches() {
    let text = b"Ab\ncd";
    let pattern = |flags| matches_once(&[regex(1, "^ab|^cd|b.c", flags)], text);
    assert_eq!(pattern(""), []);
    assert_eq!(pattern("i"), [(1, 2)]);
    assert_eq!(pattern("m"), [(1, 5)]);
    assert_eq!(pattern("s"), [(1, 4)]);
}

#[test]
fn a_pattern_is_reported_once_and_at_its_first_match() {
    assert_eq!(matches_once(&[regex(9, "a+", ""), literal(3, b"aa")], b"..aaaa..aaaa"), [(3, 4), (9, 3)]);
}

#[test]
fn the_flag_u_makes_characters_of_bytes() {
    let text = "ПРИВЕТ é".as_bytes();
    assert_eq!(matches_once(&[regex(1, "привет", "iu")], text), [(1, 12)]);
    assert_eq!(matches_once(&[regex(1, "привет", "i")], text), []);
    assert_eq!(matches_once(&[regex(1, r"\w\s.$", "u")], text), [(1, 15)]);
}

#[test]
fn the_flag_u_is_safe_on_bytes_that_are_not_utf8() {
    let patterns = [regex(1, "д.+я", "u"), literal(2, b"\xd0\xb4"), regex(3, "[а-я]{2}", "u")];
    let database = Database::compile(&patterns).unwrap();
    let mut scratch = fitted(&database);
    let broken = [b"\xff\xfe\xd0", "д".as_bytes(), b"\x80\xed\xa0\x80", "я".as_bytes(), b"\xf0\x9f"].concat();
    assert_eq!(matches(&database, &mut scratch, &broken), [(1, 11), (2, 5)]);
    assert_eq!(matches(&database, &mut scratch, "дя".as_bytes()), [(2, 2), (3, 4)]);
}

#[test]
fn stop_ends_the_scan_of_both_engines() {
    let database = Database::compile(&[literal(1, b"a"), literal(2, b"b"), regex(3, "a", "u")]).unwrap();
    let mut count = 0;
    let mut sink = |_: PatternId, _: usize| {
        count += 1;
        Flow::Stop
    };
    database.scan(&mut fitted(&database), b"abab", &mut sink).unwrap();
    assert_eq!(count, 1);
}

#[test]
fn an_unfitted_scratch_is_an_error() {
    let small = Database::compile(&[literal(1, b"a")]).unwrap();
    let large: Vec<_> = (0..500).map(|id| regex(id, &format!("a{{3,40}}[^b]*{id}"), "")).collect();
    let large = Database::compile(&large).unwrap();
    let mut sink = |_: PatternId, _: usize| Flow::Continue;
    assert_eq!(small.scan(&mut Scratch::default(), b"a", &mut sink), Err(ScanError::UnfittedScratch));
    // Fitted to another database, and to one that is gone.
    assert_eq!(large.scan(&mut fitted(&small), b"a", &mut sink), Err(ScanError::UnfittedScratch));
    let mut scratch = fitted(&large);
    drop(large);
    let anew = Database::compile(&[literal(1, b"a")]).unwrap();
    assert_eq!(anew.scan(&mut scratch, b"a", &mut sink), Err(ScanError::UnfittedScratch));
}

#[test]
fn one_scratch_serves_two_databases() {
    let small = Database::compile(&[literal(1, b"ab")]).unwrap();
    let large: Vec<_> = (0..200).map(|id| regex(id, &format!("x[a-z]{{3,9}}{id}y"), "i")).collect();
    let large = Database::compile(&large).unwrap();
    let mut scratch = fitted(&small);
    scratch.fit(&large).unwrap();
    for _ in 0..3 {
        assert_eq!(matches(&small, &mut scratch, b"cab"), [(1, 3)]);
        assert_eq!(matches(&large, &mut scratch, b"Xabc17Y"), [(17, 7)]);
    }
}

#[test]
fn a_database_is_shared_between_threads() {
    let database = Arc::new(Database::compile(&[literal(1, b"needle")]).unwrap());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let database = Arc::clone(&database);
            let mut scratch = fitted(&database);
            std::thread::spawn(move || matches(&database, &mut scratch, b"hay needle"))
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), [(1, 10)]);
    }
}

#[test]
fn a_panic_of_the_sink_comes_out_and_leaves_the_scratch_usable() {
    let database = Database::compile(&[literal(1, b"a")]).unwrap();
    let mut scratch = fitted(&database);
    let scan = || database.scan(&mut scratch, b"a", &mut |_: PatternId, _: usize| panic!("sink"));
    assert!(std::panic::catch_unwind(AssertUnwindSafe(scan)).is_err());
    assert_eq!(matches(&database, &mut scratch, b"a"), [(1, 1)]);
}

#[test]
fn an_empty_set_never_matches() {
    assert_eq!(matches_once(&[], b"anything"), []);
    assert_eq!(matches_once(&[literal(1, b"a")], b""), []);
}

#[test]
fn errors_name_the_pattern_and_the_way_out() {
    let cases = [
        (regex(0, "a*", ""), "matches the empty string", "require at least one character"),
        (regex(0, "", ""), "matches the empty string", "require at least one character"),
        (literal(0, b""), "matches the empty string", "write the text"),
        (regex(0, "foo(?=bar)", ""), "Zero-width assertions", "lookahead"),
        (regex(0, "(?<!a)b", ""), "Zero-width assertions", "lookahead"),
        (regex(0, r"(a|b)\1", ""), "Back-references", "spell the repeated text out"),
        (regex(0, r"(?>a+)b", ""), "Atomic group", "plain group"),
        (regex(0, r"a++b", ""), "Possessive", "drop the +"),
        (regex(0, r"(a)(?(1)b|c)", ""), "Conditional", "both branches"),
        (regex(0, "(*UTF8)é", ""), "control verb", "flags i, m, s, u"),
        (regex(0, "a\0b", ""), "NUL", r"\x00"),
        (regex(0, "a{1,40000}", ""), "too large", "lower its repeat counts"),
        (regex(0, "a(*PRUNE)b", ""), "control verb", "flags i, m, s, u"),
        (regex(0, "$a", ""), "end anchors", "end of the pattern"),
        (literal(0, &[b'-'; 20_000]), "length exceeds", "split the pattern"),
    ];
    for (faulty, reason_part, advice_part) in cases {
        for unicode in [false, true] {
            let mut faulty = faulty.clone();
            if let Expression::Regex { flags, .. } = &mut faulty.expression {
                *flags = RegexFlags { unicode, ..*flags };
            }
            let set = [literal(1, b"fine"), regex(2, "fine too", "u"), faulty, literal(3, b"good")];
            let error = Database::compile(&set).unwrap_err();
            let CompileError::Pattern { index, reason, advice, .. } = &error else { panic!("{error}") };
            assert_eq!(*index, 2, "{error}");
            assert!(reason.contains(reason_part), "{error}");
            assert!(advice.is_some_and(|advice| advice.contains(advice_part)), "{error}");
        }
    }
}

#[test]
fn syntax_errors_keep_hyperscans_words() {
    let error = Database::compile(&[regex(0, "a(b", "")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"pattern "a(b": Missing close parenthesis for group started at index 1."#
    );
}

#[test]
fn unknown_flags_are_refused() {
    assert_eq!("ix".parse::<RegexFlags>().unwrap_err().flag, 'x');
    let all = RegexFlags { caseless: true, multiline: true, dotall: true, unicode: true };
    assert_eq!("smui".parse(), Ok(all));
}

#[test]
fn two_hundred_patterns_and_the_built_in_sets_scan_a_mebibyte() {
    let rules = builtin::NAMES.iter().flat_map(|set| builtin::rule_set(set).unwrap());
    let mut patterns: Vec<_> =
        (0..).zip(rules).map(|(id, rule)| rule.pattern(PatternId(id)).unwrap()).collect();
    patterns.extend((0..226).map(|id| literal(1_000 + id, format!("blocked-{id:03}(").as_bytes())));
    let database = Database::compile(&patterns).unwrap();
    let mut scratch = fitted(&database);

    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut noise = Vec::with_capacity(1 << 20);
    while noise.len() < 1 << 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.extend_from_slice(b"blocked-225(");
    assert!(matches(&database, &mut scratch, &noise).contains(&(1_225, noise.len())));

    let every_rule = [
        include_str!("corpus/xss.txt"),
        include_str!("corpus/sqli.txt"),
        include_str!("corpus/command-injection.txt"),
    ]
    .concat()
    .repeat(20);
    let found = matches(&database, &mut scratch, every_rule.as_bytes());
    let mut ids: Vec<_> = found.iter().map(|(id, _)| *id).collect();
    ids.dedup();
    assert_eq!(ids.len(), found.len(), "an id was reported twice");
    assert!(ids.len() > 50);
}
