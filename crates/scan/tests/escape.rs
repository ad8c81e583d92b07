//! Undoing JSON escapes, against serde_json where the text is a valid JSON string.
#![cfg(test)]

use std::ops::ControlFlow;

use proptest::prelude::*;
use wsi_scan::escape::{unescape_json, unescape_json_nested};

fn undone(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    let mut out = b"old".to_vec();
    if unescape_json(text, &mut out) {
        out
    } else {
        assert!(out.is_empty());
        text.to_vec()
    }
}

fn layers(text: &str, depth_max: usize) -> Vec<String> {
    let mut seen = Vec::new();
    let _ = unescape_json_nested(text.as_bytes(), &mut Vec::new(), &mut Vec::new(), depth_max, |layer| {
        seen.push(String::from_utf8(layer.to_vec()).unwrap());
        ControlFlow::<()>::Continue(())
    });
    seen
}

#[test]
fn every_escape_is_undone() {
    assert_eq!(
        undone(br#"\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\u0000"#),
        "\"\\/\u{8}\u{c}\n\r\tAé€\0".as_bytes()
    );
    assert_eq!(undone(r#"{"a":"\u003cscript\u003E"}"#), br#"{"a":"<script>"}"#);
}

#[test]
fn surrogates_are_joined_or_replaced() {
    assert_eq!(undone(r"\ud83d\ude00 \uD83D\uDE00"), "😀 😀".as_bytes());
    assert_eq!(undone(r"\ud83d"), "\u{fffd}".as_bytes());
    assert_eq!(undone(r"\ude00\ud83d"), "\u{fffd}\u{fffd}".as_bytes());
    assert_eq!(undone(r"\ud83d\u0041"), "\u{fffd}A".as_bytes());
    assert_eq!(undone(r"\ud83d\ud83d\ude00"), "\u{fffd}😀".as_bytes());
    assert_eq!(undone(r"\ud83d\n"), "\u{fffd}\n".as_bytes());
    assert_eq!(undone(r"\ud83d\ude0"), b"\xef\xbf\xbd\\ude0");
}

#[test]
fn malformed_escapes_stay() {
    for text in
        [r"\", r"\u", r"\u00", r"\u00g0", r"\x41", r"\U0041", r"\u+041", r"C:\Users", r"\é", "\\\u{0}"]
    {
        assert_eq!(undone(text), text.as_bytes());
    }
    assert_eq!(undone(r"\x\n\q\"), b"\\x\n\\q\\");
    assert_eq!(undone(b"\\\xff\\n\xff"), b"\\\xff\n\xff");
    assert_eq!(undone(r"\u00\u0041"), br"\u00A");
}

#[test]
fn an_escaped_backslash_does_not_escape_again() {
    assert_eq!(undone(r"\\u003c"), br"\u003c");
    assert_eq!(undone(r"\\\u003c"), br"\<");
}

#[test]
fn nesting_is_undone_layer_by_layer_to_its_limit() {
    let text = r"\\\\\\\\u003c";
    assert_eq!(layers(text, 0), [""; 0]);
    assert_eq!(layers(text, 2), [r"\\\\u003c", r"\\u003c"]);
    assert_eq!(layers(text, 9), [r"\\\\u003c", r"\\u003c", r"\u003c", "<"]);
    assert_eq!(layers("plain", 9), [""; 0]);
}

#[test]
fn nesting_stops_when_told() {
    let mut count = 0;
    let outcome = unescape_json_nested(br"\\\\n", &mut Vec::new(), &mut Vec::new(), 9, |layer| {
        count += 1;
        ControlFlow::Break(layer.len())
    });
    assert_eq!((outcome, count), (ControlFlow::Break(3), 1));
}

proptest! {
    #[test]
    fn agrees_with_serde_json(text in any::<String>(), escape_all in any::<bool>()) {
        let json = if escape_all {
            format!("\"{}\"", text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect::<String>())
        } else {
            serde_json::to_string(&text).unwrap()
        };
        prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text.clone());
        prop_assert_eq!(undone(&json[1..json.len() - 1]), text.as_bytes());
    }

    #[test]
    fn never_grows_and_never_fails(text in prop::collection::vec(prop_oneof![
        3 => prop::sample::select(b"\\\\\\uud8DcC0129nr\"/x".to_vec()), 1 => any::<u8>(),
    ], 0..80)) {
        let mut out = Vec::new();
        let changed = unescape_json(&text, &mut out);
        prop_assert!(out.len() <= text.len());
        prop_assert!(!changed || out != text);
    }
}
