use std::fmt;

use super::{
    depth::{DEPTH_MAX_CEILING, DEPTH_MAX_DEFAULT},
    integer,
    parse::{self, Parsed},
};
use crate::tree::Tree;

/// The longest message that is read, in bytes. What is inside a value is counted with 32 bits.
pub const TEXT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bounds on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How deep objects and arrays may nest. Values above [`DEPTH_MAX_CEILING`] mean the ceiling.
    pub depth_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth_max: DEPTH_MAX_DEFAULT }
    }
}

/// A parsed message: 24 bytes per value or name, beside its text, to which it refers.
pub struct Document<'a> {
    tree: Tree<'a>,
}

impl<'a> Document<'a> {
    /// Parses one JSON text (RFC 8259).
    ///
    /// # Errors
    /// See [`Fault`]; the first that applies, in the order of its variants. Of [`Fault::TooDeep`] and [`Fault::Syntax`] it is the one
    /// that comes first in the text.
    pub fn parse(text: &'a str, limits: &Limits) -> Result<Self, Fault> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        let depth_max = limits.depth_max.min(DEPTH_MAX_CEILING);
        let Parsed { tree, has_duplicate, is_beyond_64_bits } = parse::parse(text, depth_max)?;
        if has_duplicate {
            return Err(Fault::DuplicateKey);
        }
        if is_beyond_64_bits && !integer::all_fit_64_bits(text) {
            return Err(Fault::IntegerTooLarge);
        }
        Ok(Self { tree })
    }

    pub(crate) fn tree(&self) -> &Tree<'a> {
        &self.tree
    }
}

impl fmt::Debug for Document<'_> {
    /// Leaves the payload out: a message does not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").finish_non_exhaustive()
    }
}

/// Why a message is not a JSON document that can be inspected. The sender is at fault in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// More than [`TEXT_BYTES_MAX`] bytes.
    #[error("the text is longer than {TEXT_BYTES_MAX} bytes; lower the message size limit of this route")]
    TooLong,
    /// Objects and arrays nest deeper than [`Limits::depth_max`].
    #[error(
        "objects and arrays nest deeper than the limit; raise it for this route if the message is wanted"
    )]
    TooDeep,
    /// Not JSON: also empty or trailing text, a lone surrogate, or a number beyond an `f64`.
    #[error("the text is not JSON from byte {offset} on")]
    Syntax {
        /// Where the parser stopped, in bytes from the start of the text.
        offset: usize,
    },
    /// An object has the same member name twice; parsers differ in which one they keep.
    #[error("an object has the same member name twice; the sender must name each member once")]
    DuplicateKey,
    /// An integer literal is outside `i64` and `u64`, so that it could only be compared rounded.
    #[error("an integer does not fit 64 bits; the sender must write it as a string or with an exponent")]
    IntegerTooLarge,
}

impl Fault {
    /// A stable label for metrics and audit records.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TooLong => "json_too_long",
            Self::TooDeep => "json_too_deep",
            Self::Syntax { .. } => "json_syntax",
            Self::DuplicateKey => "json_duplicate_key",
            Self::IntegerTooLarge => "json_integer_too_large",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Schema;

    /// With a little optimisation (Cargo.toml); without any the parser takes about 20 KiB per level.
    const SMALL_STACK_BYTES: usize = if cfg!(debug_assertions) { 2 << 20 } else { 512 << 10 };

    fn parse(text: &str) -> Result<(), Fault> {
        Document::parse(text, &Limits::default()).map(drop)
    }

    fn on_a_stack_of(bytes: usize, work: impl FnOnce() + Send + 'static) {
        std::thread::Builder::new().stack_size(bytes).spawn(work).unwrap().join().unwrap();
    }

    #[test]
    fn what_rfc_8259_allows_is_accepted() {
        for text in [
            "0",
            "-0",
            "-0.0",
            "1e2",
            "1E+2",
            "1.5e-3",
            "1e-999",
            "1e300",
            " \t\r\n null \n",
            "\"\"",
            "[]",
            "{}",
            "\"\\u0000\"",
            "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
            "\"\\ud83d\\ude04\"",
            "\"\u{7f}\u{2028}é\"",
            "18446744073709551615",
            "-9223372036854775808",
            "100000000000000000000.0",
            "{\"\":1}",
        ] {
            assert_eq!(parse(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_rfc_8259_forbids_is_a_syntax_fault() {
        for text in [
            "",
            " ",
            "[",
            "]",
            "{",
            "[1",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "1 2",
            "{} {}",
            "[]]",
            "nul",
            "nullx",
            "True",
            "'a'",
            "\"",
            "\"a",
            "\"\\",
            "\"\\\"",
            "\"\\u12",
            "\"a\\",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u 123\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\u0041\"",
            "\"\\ud800x\"",
            "\"\\ud83d\\ud83d\"",
            "\"\n\"",
            "\"\t\"",
            "\"\0\"",
            "\0",
            "1\0",
            "[1]\0",
            "\u{feff}1",
            "01",
            "-01",
            "+1",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "0x1",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "-1e999",
            "[1e400]",
            "/**/1",
            "x\"x",
            "1x\"x",
            "\"ax",
            "\u{a0}1",
            "[1 2]",
            "[\"a\":1]",
            "tru",
            "-\"x",
        ] {
            let fault = parse(text);
            assert!(
                matches!(fault, Err(Fault::Syntax { offset }) if offset <= text.len()),
                "{text:?}: {fault:?}"
            );
        }
    }

    #[test]
    fn no_prefix_of_a_message_is_a_message() {
        let text = r#"{"side": "b\u0075y\n", "at": [1.5e3, true, null, "é\ud83d\ude04"], "x": {"y": ""}}"#;
        assert_eq!(parse(text), Ok(()));
        for (end, _) in text.char_indices() {
            assert!(matches!(parse(&text[..end]), Err(Fault::Syntax { .. })), "{}", &text[..end]);
        }
    }

    #[test]
    fn duplicates_and_large_integers_have_their_own_faults() {
        assert_eq!(parse(r#"{"a":1,"\u0061":2}"#), Err(Fault::DuplicateKey));
        assert_eq!(parse("18446744073709551616"), Err(Fault::IntegerTooLarge));
        assert_eq!(parse("[-9223372036854775809]"), Err(Fault::IntegerTooLarge));
        let digits = "9".repeat(300);
        assert_eq!(parse(&digits), Err(Fault::IntegerTooLarge));
        assert!(matches!(parse(&"9".repeat(400)), Err(Fault::Syntax { .. })));
    }

    #[test]
    fn hostile_nesting_is_refused_on_a_small_stack() {
        on_a_stack_of(SMALL_STACK_BYTES, || {
            for unit in ["[", "{\"a\":", "[{\"a\":"] {
                assert_eq!(parse(&unit.repeat(100_000)), Err(Fault::TooDeep));
                let unlimited = Limits { depth_max: u32::MAX };
                assert_eq!(Document::parse(&unit.repeat(100_000), &unlimited).map(drop), Err(Fault::TooDeep));
            }
        });
    }

    /// Validates the deepest messages against a recursive schema: objects, arrays, valid and not.
    fn validate_the_deepest(schema: &str) {
        let schema = Schema::from_text(schema, None).unwrap();
        let limits = Limits { depth_max: DEPTH_MAX_CEILING };
        let levels = DEPTH_MAX_CEILING as usize;
        for (open, close) in [("{\"a\":", "}"), ("{\"b\":", "}"), ("[", "]")] {
            for (end, valid) in [("null", true), ("7", false)] {
                let text = format!("{}{end}{}", open.repeat(levels), close.repeat(levels));
                let document = Document::parse(&text, &limits).unwrap();
                assert_eq!(schema.is_valid(&document), valid, "{open}");
                assert_eq!(schema.check(&document).is_ok(), valid, "{open}");
            }
        }
    }

    #[test]
    fn the_deepest_message_fits_a_small_stack() {
        on_a_stack_of(SMALL_STACK_BYTES, || {
            validate_the_deepest(
                r##"{
                "$defs": {"node": {
                    "anyOf": [{"$ref": "#/$defs/container"}, {"type": "null"}],
                    "if": {"type": "object"}, "then": {"minProperties": 1}, "uniqueItems": true
                }, "container": {
                    "type": ["object", "array"],
                    "properties": {"a": {"$ref": "#/$defs/node"}}, "patternProperties": {"^b": {"$ref": "#"}},
                    "allOf": [{"items": {"$ref": "#"}}, {"not": {"const": 1}}],
                    "oneOf": [{"type": "object"}, {"type": "array"}],
                    "unevaluatedProperties": false, "unevaluatedItems": false
                }},
                "$ref": "#/$defs/node"
            }"##,
            );
        });
    }

    #[test]
    fn debug_output_has_no_payload() {
        let document = Document::parse(r#"{"secret":"hunter2"}"#, &Limits::default()).unwrap();
        assert_eq!(format!("{document:?}"), "Document { .. }");
    }
}
