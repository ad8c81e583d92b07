//! Text and JSON: the same content in other spellings, and text that is none.

use wsi_config::policy::Direction;

use super::{Class, Fault, Subject};
use crate::selftest::trial::Variant;

/// Spellings of UTF-8 that readers differ on, beside content: each makes the message no text.
const NOT_UTF8: [(&str, &[u8]); 8] = [
    ("0xff", b"\xff"),
    ("a continuation byte", b"\x80"),
    ("an overlong '<'", b"\xc0\xbc"),
    ("an overlong NUL", b"\xc0\x80"),
    ("a surrogate", b"\xed\xa0\x80"),
    ("a pair of surrogates", b"\xed\xa0\xbd\xed\xb8\x80"),
    ("beyond U+10FFFF", b"\xf4\x90\x80\x80"),
    ("half a character", b"\xe2\x82"),
];

/// What a rule names, where documents can be read in two ways.
pub(in crate::selftest) fn of(subject: Subject<'_>) -> Vec<Variant> {
    let token = &subject.sample.token[..];
    if subject.sample.filler.is_none() || !subject.sample.in_json {
        return Vec::new();
    }
    let variant = |name, before: &str, after: &str| {
        let payload = [before.as_bytes(), token, after.as_bytes()].concat();
        subject.text("documents", name, &payload)
    };
    vec![
        variant("a value", r#"{"a":""#, r#""}"#),
        variant("a key", r#"{""#, r#"":1}"#),
        variant("the last of two keys", r#"{"a":"ok","a":""#, r#""}"#),
        variant("the first of two keys", r#"{"a":""#, r#"","a":"ok"}"#),
        variant("the second document", r#"{"a":"ok"}{"a":""#, r#""}"#),
        variant("behind a document", r#"{"a":"ok"}"#, ""),
        variant("deep down", &"[".repeat(100), &"]".repeat(100)),
        variant("beside a huge number", r#"{"n":1e999,"a":""#, r#""}"#),
        variant("after a NUL", "\0", ""),
        variant("before a NUL", "", "\0"),
        variant("after a byte order mark", "\u{feff}", ""),
        variant("in a document that is none", r#"{"a":"#, "}}"),
    ]
}

/// What a rule names, beside what is no UTF-8.
pub(in crate::selftest) fn beside_broken_text(subject: Subject<'_>) -> Vec<Variant> {
    let fault = Fault { class: Class::Text, group: "invalid UTF-8", direction: subject.direction };
    let token = &subject.sample.token[..];
    let variants = NOT_UTF8.iter().flat_map(|(name, bytes)| {
        [("before", [bytes, token].concat()), ("after", [token, bytes].concat())].map(|(place, payload)| {
            let wire = fault.framer().text(&payload);
            let variant = fault.variant(format!("{name} {place} it"), &[1007], wire);
            Variant { token: token.to_vec(), ..variant }
        })
    });
    variants.collect()
}

/// Text that is none, without anything beside it.
pub(in crate::selftest) fn faults(direction: Direction) -> Vec<Variant> {
    let fault = Fault { class: Class::Text, group: "invalid UTF-8", direction };
    let variants = NOT_UTF8.iter().map(|(name, bytes)| {
        fault.variant(format!("{name} alone"), &[1007], fault.framer().text(&[b"ok ", *bytes].concat()))
    });
    variants.collect()
}
