//! The built-in rule sets against lists of attacks and of innocent messages, under `tests/corpus/`, one a line.
//! Lines may hold JSON escapes: like messages, they are scanned as they stand and with their escapes undone.
#![cfg(test)]

use std::{collections::BTreeSet, fmt::Write, ops::ControlFlow};

use wsi_scan::{
    Database, Flow, PatternId, Scratch, builtin,
    escape::{DEPTH_MAX_DEFAULT, unescape_json_nested},
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
        let mut found = BTreeSet::new();
        let mut scan = |bytes: &[u8]| {
            let mut sink = |id: PatternId, _| {
                found.insert(self.rules[id.0 as usize].name);
                Flow::Continue
            };
            self.database.scan(&mut self.scratch, bytes, &mut sink).unwrap();
            ControlFlow::<()>::Continue(())
        };
        let _ = scan(message);
        let _ = unescape_json_nested(message, &mut Vec::new(), &mut Vec::new(), DEPTH_MAX_DEFAULT, scan);
        found
    }
}

/// The ways in which a line may travel.
fn presentations(line: &str) -> [String; 4] {
    let json = serde_json::json!({ "id": 7, "text": line, "tags": ["a", "b"], "zone": 3 }).to_string();
    let nested = serde_json::json!({ "body": json }).to_string();
    let escaped = line.encode_utf16().fold(String::new(), |mut out, unit| {
        write!(out, "\\u{unit:04x}").unwrap();
        out
    });
    [line.to_owned(), json, nested, format!("{{\"q\":\"{escaped}\"}}")]
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
        let used: BTreeSet<_> = corpus
            .lines()
            .flat_map(presentations)
            .flat_map(|line| scanner.matches(line.as_bytes()))
            .collect();
        for rule in scanner.rules {
            assert_eq!(rule.name.split_once('/').map(|(prefix, _)| prefix), Some(set));
            if !used.contains(rule.name) {
                idle.push(rule.name);
            }
        }
    }
    assert!(idle.is_empty(), "rules without an attack in the corpus: {idle:?}");
}

#[test]
fn an_unknown_set_is_none() {
    assert_eq!(builtin::rule_set("xxs"), None);
}
