//! Where the strings of a JSON text are, and what their characters are written with.

use std::ops::Range;

use super::depth::skip_string;

/// What stands between the quotes of each string of `text`, names of members among them. `text` must be JSON; of what is not,
/// it says what it can.
pub fn strings(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut rest = text.as_bytes().iter();
    std::iter::from_fn(move || {
        rest.position(|byte| *byte == b'"')?;
        let start = text.len() - rest.len();
        skip_string(&mut rest);
        // The quote at its end.
        let end = (text.len() - rest.len()).saturating_sub(1);
        Some(start..end.max(start))
    })
}

/// How many bytes the first character in a string's content is written with: itself, or an escape as a whole, with both halves of a
/// surrogate pair (RFC 8259 section 7). At least 1 and at most what there is, unless there is nothing.
pub fn character_size(content: &[u8]) -> usize {
    let size = match content {
        [b'\\', b'u', digits @ ..] if is_high_surrogate(digits) => match digits.get(4..) {
            Some([b'\\', b'u', ..]) => 12,
            _ => 6,
        },
        [b'\\', b'u', ..] => 6,
        [b'\\', ..] => 2,
        [0xc0..=0xdf, ..] => 2,
        [0xe0..=0xef, ..] => 3,
        [0xf0..=0xff, ..] => 4,
        _ => 1,
    };
    size.min(content.len())
}

fn is_high_surrogate(digits: &[u8]) -> bool {
    matches!(digits, [b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn strings_are_found_between_their_quotes() {
        let found = |text: &'static str| strings(text).map(|it| &text[it]).collect::<Vec<_>>();
        assert_eq!(found(r#"{"a":"b\"c","":[1,"\\"]}"#), ["a", r#"b\"c"#, "", r"\\"]);
        assert_eq!(found(r#""é""#), ["é"]);
        assert_eq!(found("[1,true]"), [""; 0]);
        // No JSON, and no panic.
        assert_eq!(found(r#"""#), [""]);
        assert_eq!(found(r#"x"a\"#), ["a"]);
    }

    proptest! {
        /// Against serde_json: strings in their order, and as many characters.
        #[test]
        fn characters_are_those_of_the_value(values in prop::collection::vec(any::<String>(), 0..5), ascii in any::<bool>()) {
            let mut text = serde_json::to_string(&values).unwrap();
            if ascii {
                text = text.chars().map(|it| match it {
                    it if it.is_ascii() => it.to_string(),
                    it => it.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
                }).collect();
            }
            let found: Vec<_> = strings(&text).collect();
            prop_assert_eq!(found.len(), values.len());
            for (range, value) in found.into_iter().zip(&values) {
                let (mut content, mut count) = (&text.as_bytes()[range], 0);
                while !content.is_empty() {
                    content = &content[character_size(content)..];
                    count += 1;
                }
                prop_assert_eq!(count, value.chars().count());
            }
        }
    }
}
