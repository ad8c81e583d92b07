//! Any text as a configuration: reading and reporting never panic, and every place that is shown lies in the text.
#![no_main]

use std::{net::SocketAddr, path::Path};

use libfuzzer_sys::fuzz_target;
use miette::Diagnostic;
use wsi_config::Mistake;

fuzz_target!(|text: &str| {
    if resolves_names(text) {
        return;
    }
    match wsi_config::parse("fuzz.kdl", text, Path::new("")) {
        Ok(configuration) => {
            assert_eq!(configuration.settings.listeners.len(), configuration.ruleset.routes.len());
            for warning in configuration.warnings {
                assert!(is_inside(text, warning.line, warning.column), "{warning}");
            }
        }
        Err(error) => {
            assert!(!error.mistakes().is_empty(), "a refusal says why");
            error.mistakes().iter().for_each(|mistake| check(text, mistake));
            assert!(!error.render(false).is_empty() && !error.render(true).is_empty());
        }
    }
});

fn check(text: &str, mistake: &Mistake) {
    assert!(!mistake.to_string().is_empty() && !mistake.help().is_empty());
    for label in mistake.labels().into_iter().flatten() {
        assert!(label.offset() + label.len() <= text.len(), "{mistake}: {label:?}");
        let source = mistake.source_code().expect("a place is one of a text");
        source.read_span(label.inner(), 1, 1).expect("a place can be shown");
    }
    if let Some((line, column)) = mistake.position() {
        assert!(is_inside(text, line, column), "{mistake}: {line}:{column}");
    }
}

/// The end of a line, and of the text, count as inside.
fn is_inside(text: &str, line: usize, column: usize) -> bool {
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    let line = line.checked_sub(1).and_then(|index| lines.split('\n').nth(index));
    // One more where the line ends in CR LF.
    line.is_some_and(|line| (1..=line.chars().count() + 2).contains(&column))
}

/// Whether a server might be given by a name, which would be looked up on the network.
fn resolves_names(text: &str) -> bool {
    let is_address = |at: usize| {
        let start = text[..at].rfind('"').map_or(0, |quote| quote + 1);
        let end = text[at..].find('"').map_or(text.len(), |quote| at + quote);
        text[start..end].parse::<SocketAddr>().is_ok()
    };
    let begins_port = |at: usize| matches!(text.as_bytes().get(at + 1), Some(b'0'..=b'9' | b'+' | b'\\'));
    let colon_escaped = text.contains("3a}") || text.contains("3A}");
    colon_escaped || text.match_indices(':').any(|(at, _)| begins_port(at) && !is_address(at))
}
