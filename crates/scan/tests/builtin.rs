//! The built-in rule sets against lists of attacks and of innocent messages, under `tests/corpus/`, one a line.
//! Like messages, they are scanned as they stand and with everything undone.
#![cfg(test)]

use std::{collections::BTreeSet, fmt::Write, ops::ControlFlow};

use wsi_scan::{
    Database, Flow, Kinds, Normalizer, PatternId, Scratch, builtin,
    normalize::{Buffers, DEPTH_MAX_DEFAULT, Outcome, undo},
};

const BENIGN: &str = include_str!("corpus/benign.txt");

/// One rule set, ready to scan.
struct Scanner {
    rules: &'static [builtin::BuiltinRule],
    database: Database,
    scratch: Scratch,
}

impl Scanner {
    fn new(set: &str) -> Self {
        let rules = builtin::rule_set(set).unwrap();
        let patterns: Vec<_> =
            (0..).zip(rules).map(|(id, rule)| rule.pattern(PatternId(id)).unwrap()).collect();
        let database = Database::compile(&patterns).unwrap_or_else(|error| panic!("{set}: {error}"));
        let mut scratch = Scratch::default();
        scratch.fit(&database).unwrap();
        Self { rules, database, scratch }
    }

    /// The names of the rules that match `message`, or what is left when its escapes are undone.
    fn matches(&mut self, message: &[u8]) -> BTreeSet<&'static str> {
        self.places(message).into_iter().map(|place| self.rules[place].name).collect()
    }

    /// The places of those rules; forms of one rule have one each.
    fn places(&mut self, message: &[u8]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut scan = |bytes: &[u8], _: Kinds| {
            let mut sink = |id: PatternId, _| {
                found.insert(id.0 as usize);
                Flow::Continue
            };
            self.database.scan(&mut self.scratch, bytes, &mut sink).unwrap();
            ControlFlow::<()>::Continue(())
        };
        let _ = scan(message, Kinds::NONE);
        let kinds = [Kinds::ESCAPES, Kinds::UNICODE, Kinds::BASE64].into_iter().collect();
        let outcome =
            Normalizer::new([kinds], DEPTH_MAX_DEFAULT).views(message, &mut Buffers::default(), scan);
        assert_eq!(outcome, Outcome::Complete, "{}", String::from_utf8_lossy(message));
        found
    }
}

/// The ways in which a line may travel.
fn presentations(line: &str) -> [String; 9] {
    let json = serde_json::json!({ "id": 7, "text": line, "tags": ["a", "b"], "zone": 3 }).to_string();
    let nested = serde_json::json!({ "body": json }).to_string();
    let escaped = line.encode_utf16().fold(String::new(), |mut out, unit| {
        write!(out, "\\u{unit:04x}").unwrap();
        out
    });
    let each = |write: fn(u8) -> String| line.bytes().map(write).collect::<String>();
    let percent = each(|byte| format!("%{byte:02X}"));
    let percent_json = serde_json::json!({ "q": each(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    }) });
    let html = line.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('(', "&lpar;");
    let references = line.chars().map(|it| format!("&#x{:x};", u32::from(it))).collect::<String>();
    let mut plain = Vec::new();
    undo(Kinds::JSON, line.as_bytes(), true, Kinds::NONE, &mut plain);
    let plain = String::from_utf8_lossy(&plain);
    let fullwidth = plain.chars().map(|it| match it {
        '!'..='~' => char::from_u32(u32::from(it) + 0xfee0).unwrap_or(it),
        _ => it,
    });
    [
        line.to_owned(),
        json,
        nested,
        format!("{{\"q\":\"{escaped}\"}}"),
        percent,
        percent_json.to_string(),
        html,
        references,
        fullwidth.collect(),
    ]
}

fn assert_all_caught(set: &str, corpus: &str) {
    let mut scanner = Scanner::new(set);
    let missed: Vec<_> = corpus
        .lines()
        .flat_map(presentations)
        .filter(|message| scanner.matches(message.as_bytes()).is_empty())
        .collect();
    assert!(missed.is_empty(), "{set} misses {} messages:\n{}", missed.len(), missed.join("\n"));
    assert!(corpus.lines().count() >= 25);
}

#[test]
fn xss_catches_its_corpus() {
    assert_all_caught("xss", include_str!("corpus/xss.txt"));
}

#[test]
fn sqli_catches_its_corpus() {
    assert_all_caught("sqli", include_str!("corpus/sqli.txt"));
}

#[test]
fn command_injection_catches_its_corpus() {
    assert_all_caught("command-injection", include_str!("corpus/command-injection.txt"));
}

#[test]
fn benign_messages_pass() {
    let mut scanners = builtin::NAMES.map(Scanner::new);
    let mut alarms = String::new();
    for message in BENIGN.lines().flat_map(presentations) {
        for rule in scanners.iter_mut().flat_map(|scanner| scanner.matches(message.as_bytes())) {
            writeln!(alarms, "{rule}: {message}").unwrap();
        }
    }
    assert!(alarms.is_empty(), "false alarms:\n{alarms}");
}

#[test]
fn every_rule_is_named_after_its_set_and_used_by_the_corpus() {
    let corpora = [
        include_str!("corpus/xss.txt"),
        include_str!("corpus/sqli.txt"),
        include_str!("corpus/command-injection.txt"),
    ];
    let mut idle = Vec::new();
    for (set, corpus) in builtin::NAMES.into_iter().zip(corpora) {
        let mut scanner = Scanner::new(set);
        let used: BTreeSet<_> =
            corpus.lines().flat_map(presentations).flat_map(|line| scanner.places(line.as_bytes())).collect();
        for (place, rule) in scanner.rules.iter().enumerate() {
            assert_eq!(rule.name.split_once('/').map(|(prefix, _)| prefix), Some(set));
            if !used.contains(&place) {
                idle.push(rule);
            }
        }
    }
    assert!(idle.is_empty(), "rules without an attack in the corpus: {idle:?}");
}

#[test]
fn an_unknown_set_is_none() {
    assert_eq!(builtin::rule_set("xxs"), None);
}
