use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Fault, number::Number};
use crate::tree::{Builder, Tree, Value};

/// A text that is JSON, and what makes it no document all the same.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    pub tree: Tree<'a>,
    /// Some object has the same name twice, as unescaped.
    pub has_duplicate: bool,
    /// A number is beyond 64 bits; whether it was written as an integer only the text can tell.
    pub is_beyond_64_bits: bool,
}

/// Parses a text to its end. It recurses once per level, of which there may be `depth_max`.
///
/// # Errors
/// [`Fault::TooDeep`] or [`Fault::Syntax`].
pub(super) fn parse(text: &str, depth_max: u32) -> Result<Parsed<'_>, Fault> {
    let builder = Builder::for_message_of(text.len());
    let mut parser = Parser {
        builder,
        depth_left: depth_max,
        is_too_deep: false,
        has_duplicate: false,
        is_beyond_64_bits: false,
    };
    let mut reader = sonic_rs::Deserializer::from_str(text);
    let read = (&mut parser).deserialize(&mut reader).and_then(|()| reader.end());
    let Parser { builder, is_too_deep, has_duplicate, is_beyond_64_bits, .. } = parser;
    read.map_err(|error| match is_too_deep {
        true => Fault::TooDeep,
        false => Fault::Syntax { offset: error.offset().min(text.len()) },
    })?;
    Ok(Parsed { tree: builder.finish(), has_duplicate, is_beyond_64_bits })
}

/// Puts down what the reader tells it of, value after value.
struct Parser<'a> {
    builder: Builder<'a>,
    depth_left: u32,
    is_too_deep: bool,
    has_duplicate: bool,
    is_beyond_64_bits: bool,
}

impl Parser<'_> {
    #[inline]
    fn descend<E: serde::de::Error>(&mut self) -> Result<(), E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => self.depth_left = depth_left,
            None => {
                self.is_too_deep = true;
                return Err(E::custom("too deep"));
            }
        }
        Ok(())
    }
}

impl<'a> DeserializeSeed<'a> for &mut Parser<'a> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for &mut Parser<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    #[inline]
    fn visit_unit<E>(self) -> Result<(), E> {
        self.builder.push(Value::Null);
        Ok(())
    }

    #[inline]
    fn visit_bool<E>(self, boolean: bool) -> Result<(), E> {
        self.builder.push(Value::Boolean(boolean));
        Ok(())
    }

    #[inline]
    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.builder.push(Value::unsigned(number));
        Ok(())
    }

    #[inline]
    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.builder.push(Value::signed(number));
        Ok(())
    }

    #[inline]
    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        let number = Number::Float(number);
        self.is_beyond_64_bits |= number.is_beyond_64_bits();
        self.builder.push(Value::Number(number));
        Ok(())
    }

    #[inline]
    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<(), E> {
        self.builder.push(Value::Text(text));
        Ok(())
    }

    /// The reader undid escapes in memory of its own.
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.builder.push_unescaped(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        self.descend()?;
        let open = self.builder.open();
        let mut count = 0;
        while elements.next_element_seed(&mut *self)?.is_some() {
            count += 1;
        }
        self.builder.close_array(open, count);
        self.depth_left += 1;
        Ok(())
    }

    /// Two members of one name are told only at the end: a text that is no JSON is that first.
    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<(), A::Error> {
        self.descend()?;
        let mut open = self.builder.open();
        let mut count = 0;
        while members.next_key_seed(&mut *self)?.is_some() {
            self.builder.name(&mut open);
            members.next_value_seed(&mut *self)?;
            count += 1;
        }
        self.has_duplicate |= self.builder.has_duplicate(&open);
        self.builder.close_object(open, count);
        self.depth_left += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::DEPTH_MAX_CEILING;

    fn parse(text: &str) -> Result<Parsed<'_>, Fault> {
        super::parse(text, DEPTH_MAX_CEILING)
    }

    fn is_too_deep(text: &str, depth_max: u32) -> bool {
        super::parse(text, depth_max).is_err_and(|fault| fault == Fault::TooDeep)
    }

    const NAMES: [&str; 5] = ["a", "axb", "ayb", "7", ""];

    fn has_duplicate(text: &str) -> bool {
        parse(text).unwrap().has_duplicate
    }

    fn object(members: usize, last: &str) -> String {
        let names: Vec<_> = (1..members).map(|at| format!(r#""n{at}":0"#)).collect();
        format!("{{{},{last}:0}}", names.join(","))
    }

    #[test]
    fn levels_count_and_not_brackets() {
        assert!(!is_too_deep("1", 0));
        assert!(is_too_deep("[]", 0));
        assert!(!is_too_deep(&format!("[{}]", vec!["{}"; 500].join(",")), 2));
        assert!(is_too_deep(&format!("[{}]", vec!["{}"; 500].join(",")), 1));
        assert!(is_too_deep(&"[{\"a\":".repeat(5), 9));
        assert!(!is_too_deep(&"[{\"a\":".repeat(5), 10));
        // Within the limit it is no JSON, and beyond it nobody looks.
        assert!(!is_too_deep("[[1 [[[[", 2));
        assert!(is_too_deep("[[[1 2]]]", 2));
    }

    #[test]
    fn brackets_inside_strings_do_not_count() {
        let text = format!(r#"["{}\"[[\\", [1]]"#, "[".repeat(1_000));
        assert!(!is_too_deep(&text, 2));
        assert!(is_too_deep(&text, 1));
        // The escaped backslash ends before the quote, so the brackets after it are real.
        assert!(is_too_deep(r#"["\\", [[[[]]]]]"#, 4));
        assert!(!is_too_deep(r#"["\"", "[[[[[["]"#, 4));
    }

    #[test]
    fn the_same_name_twice_is_found_at_any_size() {
        for members in [2, 3, 16, 17, 5_000] {
            assert!(has_duplicate(&object(members, r#""n1""#)), "{members}");
            assert!(has_duplicate(&object(members, r#""\u006e1""#)), "{members}");
            assert!(!has_duplicate(&object(members, r#""N1""#)), "{members}");
        }
    }

    #[test]
    fn names_that_share_a_filter_bit_are_told_apart() {
        assert!(!has_duplicate(r#"{"axb":1, "ayb":2, "azb":3, "":4, "\u0000":5, "a\u0000":6}"#));
        assert!(!has_duplicate(r#"{"1":1, "01":2, "1.0":3, "-1":4, "-01":5, "1e0":6}"#));
        assert!(has_duplicate(r#"{"18446744073709551616":1, "1844674407370955161\u0036":1}"#));
    }

    #[test]
    fn every_level_is_looked_at() {
        assert!(has_duplicate(r#"[1, {"a": {"b": [{"c":1,"c":2}]}}]"#));
        assert!(!has_duplicate(r#"[{"a": {"a": 1}}, {"a": 1}]"#));
    }

    #[test]
    fn numbers_beyond_64_bits_are_told() {
        assert!(parse("[[-9223372036854775809]]").unwrap().is_beyond_64_bits);
        assert!(!parse(r#"{"a": [1, -2.5, "x", 18446744073709551615]}"#).unwrap().is_beyond_64_bits);
    }

    /// A name, with its characters escaped by the bits of `escaped`.
    fn written(name: &str, escaped: u8) -> String {
        let characters = name.chars().enumerate().map(|(at, it)| match escaped >> at & 1 {
            0 => it.to_string(),
            _ => format!("\\u{:04x}", it as u32),
        });
        characters.collect()
    }

    proptest! {
        #[test]
        fn names_are_compared_as_they_are_read(
            names in prop::collection::vec((prop::sample::select(NAMES.to_vec()), any::<u8>()), 0..24),
            padding in 0..20,
        ) {
            let padding = (0..padding).map(|at| format!("p{at}"));
            let all: Vec<_> = names.iter().map(|(name, escaped)| written(name, *escaped)).chain(padding).collect();
            let members: Vec<_> = all.iter().map(|name| format!(r#""{name}":[{{}}]"#)).collect();
            let distinct = NAMES.iter().filter(|name| names.iter().any(|(other, _)| other == *name)).count();
            let text = format!("{{{}}}", members.join(","));
            prop_assert_eq!(has_duplicate(&text), distinct < names.len());
        }

        /// What is JSON, and where it is not: the same as for the parser's own values.
        #[test]
        fn damaged_texts_are_refused_where_the_parser_refuses_them(
            at in any::<prop::sample::Index>(),
            with in prop::sample::select(vec!["", "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "-", ".", "e", " ", "\n", "é", "\\ud800", "nul"]),
            cut in any::<prop::sample::Index>(),
        ) {
            const TEXT: &str = r#"{"side": "b\u0075y\n", "at": [1.5e3, -0, true, null, "\ud83d\ude04 and a longer text, escaped \t at its end"], "x": {"y": ""}, "": false}"#;
            let (at, cut) = (at.index(TEXT.len()), cut.index(TEXT.len()));
            for text in [format!("{}{with}{}", &TEXT[..at], &TEXT[at..]), format!("{}{with}{}", &TEXT[..at.min(cut)], &TEXT[at.max(cut)..])] {
                let own = sonic_rs::from_str::<sonic_rs::Value>(&text);
                prop_assert_eq!(parse(&text).is_ok(), own.is_ok(), "{}", text);
                if let (Ok(parsed), Ok(own)) = (parse(&text), own) {
                    let as_read: serde_json::Value = serde_json::from_str(&text).unwrap();
                    let side = crate::Pointer::parse("/side").unwrap();
                    let told = parsed.tree.field(&side);
                    let told = told.as_ref().and_then(|field| field.as_name());
                    prop_assert_eq!(told.as_deref(), as_read["side"].as_str());
                    drop(own);
                }
            }
        }
    }
}
