//! What a text looks like, to be compared with others.

use std::borrow::Cow;

use super::{compat, lookalikes};

/// `text` in small letters, in compatibility forms (NFKC), without invisible characters, and with look-alikes of ASCII letters and
/// digits as those; ASCII is left as it is. It takes memory of a few times the text where that is not ASCII.
pub fn likeness(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let (mut composed, mut folded) = (Vec::new(), Vec::new());
    compat::compose(text.as_bytes(), true, false, &mut composed);
    // Before they are looked up: of a few letters only the small or only the capital one looks like another.
    let small = String::from_utf8_lossy(&composed).to_lowercase();
    lookalikes::fold(small.as_bytes(), true, false, &mut folded);
    Cow::Owned(String::from_utf8_lossy(&folded).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_looks_alike_is_alike() {
        for (text, expected) in [
            ("\u{420}\u{430}\u{443}\u{420}\u{430}l", "paypal"),
            ("\u{ff34}\u{ff25}\u{ff33}\u{ff34}", "test"),
            ("t\u{200b}e\u{2060}st\u{ad}", "test"),
            ("\u{1d413}\u{1d41e}\u{1d42c}\u{1d42d}", "test"),
            ("\u{42c} \u{44c}", "\u{44c} \u{44c}"),
            ("e\u{301}", "\u{e9}"),
            ("As It Is", "As It Is"),
        ] {
            assert_eq!(likeness(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn case_makes_no_difference(text in "[а-яё ]{0,40}") {
            let capitals = text.to_uppercase();
            prop_assert_eq!(likeness(&text), likeness(&capitals));
        }

        #[test]
        fn any_text_has_one(text in any::<String>()) {
            prop_assert!(likeness(&text).len() <= 12 * text.len());
        }
    }
}
