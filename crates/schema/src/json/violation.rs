use std::fmt;

use jsonschema::ValidationError;

/// The longest pointer that is reported, in bytes; a longer one ends in an ellipsis.
const POINTER_BYTES_MAX: usize = 160;
const ELLIPSIS: &str = "\u{2026}";

/// Where a message breaks its schema: one place of possibly many.
///
/// It holds no value of the message. Its pointer does hold member names, which the sender chose: it is cut
/// to 160 bytes and has no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer (RFC 6901) into the message; empty for the message as a whole.
    pub pointer: String,
    /// The keyword that failed, such as `required`.
    pub keyword: String,
    /// JSON pointer to that keyword in the schema file that has it.
    pub schema_pointer: String,
}

impl Violation {
    pub(crate) fn new(error: &ValidationError<'_>) -> Self {
        Self {
            pointer: printable(error.instance_path().as_str()),
            keyword: error.kind().keyword().to_owned(),
            schema_pointer: printable(error.schema_path().as_str()),
        }
    }

    /// A message that could not be judged: the regular-expression engine gave up on a pattern.
    pub(crate) fn undecided() -> Self {
        Self { pointer: String::new(), keyword: "pattern".to_owned(), schema_pointer: String::new() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pointer, keyword, schema_pointer } = self;
        write!(f, "\"{pointer}\" breaks \"{keyword}\" at \"{schema_pointer}\" of the schema")
    }
}

fn printable(pointer: &str) -> String {
    let kept = if pointer.len() <= POINTER_BYTES_MAX {
        pointer.len()
    } else {
        pointer.floor_char_boundary(POINTER_BYTES_MAX - ELLIPSIS.len())
    };
    // One byte in, one byte out: what replaces a control character must not make the text longer. A C1
    // control has two bytes.
    let mut printable: String =
        pointer[..kept].chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if kept < pointer.len() {
        printable.push_str(ELLIPSIS);
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_short_and_printable() {
        assert_eq!(printable("/a~1b/0/é"), "/a~1b/0/é");
        assert_eq!(printable("/a\n\u{1b}[31m\0\u{85}"), "/a??[31m??");
        for name in ["x", "é", "日", "😄", "\0"] {
            let long = printable(&name.repeat(300));
            assert!(long.len() <= POINTER_BYTES_MAX && long.len() > POINTER_BYTES_MAX - 8, "{}", long.len());
            assert!(long.ends_with(ELLIPSIS));
        }
        assert_eq!(printable(&"x".repeat(160)), "x".repeat(160));
    }
}
