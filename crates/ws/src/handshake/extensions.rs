//! `Sec-WebSocket-Extensions`, offered or accepted (RFC 6455 section 9.1).

use super::limits::LIST_SIZE_MAX;
use super::token::{is_token_byte, token, trim};

/// One element of the list: a name, and parameters whose syntax has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extension<'a> {
    name: &'a str,
    parameters: &'a [u8],
}

impl<'a> Extension<'a> {
    /// All extensions, in order. `None`: the syntax is wrong, or there are more than [`LIST_SIZE_MAX`], or one has more
    /// parameters than that.
    pub fn list(values: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Self>> {
        let mut list = Vec::new();
        // A quoted value must be a token once unquoted, so no comma or semicolon can stand inside quotes.
        for extension in values.flat_map(|value| value.split(|byte| *byte == b',')) {
            if list.len() == LIST_SIZE_MAX {
                return None;
            }
            list.push(Self::parse(extension)?);
        }
        Some(list)
    }

    fn parse(extension: &'a [u8]) -> Option<Self> {
        let name_end = memchr::memchr(b';', extension).unwrap_or(extension.len());
        let name = token(trim(&extension[..name_end]))?;
        let parameters = &extension[name_end..];
        for (index, part) in parts(parameters).enumerate() {
            if index == LIST_SIZE_MAX {
                return None;
            }
            parameter(part)?;
        }
        Some(Self { name, parameters })
    }

    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Names and values in order; a quoted value with its quotes and escapes.
    pub fn parameters(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> {
        parts(self.parameters).filter_map(parameter)
    }
}

/// What follows each semicolon.
fn parts(parameters: &[u8]) -> impl Iterator<Item = &[u8]> {
    parameters.split(|byte| *byte == b';').skip(1)
}

fn parameter(part: &[u8]) -> Option<(&str, Option<&[u8]>)> {
    let Some(equals) = memchr::memchr(b'=', part) else { return Some((token(trim(part))?, None)) };
    let value = trim(&part[equals + 1..]);
    let value_valid = match value {
        [b'"', quoted @ .., b'"'] => is_quoted_token(quoted),
        value => token(value).is_some(),
    };
    value_valid.then_some((token(trim(&part[..equals]))?, Some(value)))
}

fn is_quoted_token(quoted: &[u8]) -> bool {
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        let literal = if *byte == b'\\' { bytes.next() } else { Some(byte) };
        if !literal.is_some_and(|byte| is_token_byte(*byte)) {
            return false;
        }
    }
    !quoted.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<Vec<&str>> {
        let list = Extension::list(std::iter::once(value.as_bytes()))?;
        Some(list.iter().map(Extension::name).collect())
    }

    #[test]
    fn offers() {
        assert_eq!(parse("permessage-deflate; client_max_window_bits"), Some(vec!["permessage-deflate"]));
        assert_eq!(parse("a ; x = \"1\\5\";y , b;z=2"), Some(vec!["a", "b"]));
        let list = Extension::list([&b"a ; x = \"1\\5\";y , b"[..], b"c"].into_iter()).unwrap();
        let parameters: Vec<_> = list[0].parameters().collect();
        assert_eq!(parameters, [("x", Some(&b"\"1\\5\""[..])), ("y", None)]);
        assert_eq!((list.len(), list[1].parameters().count()), (3, 0));
    }

    #[test]
    fn wrong_syntax() {
        for bad in [
            "",
            ",",
            "a,",
            "a;",
            "a;=",
            "a;x=",
            "a;=1",
            "a;x=\"\"",
            "a;x=\"",
            "a;x=\"1",
            "a;x=\"1,2\"",
            "a;x=\"1 2\"",
            "a;x=\"\\\"",
            "a;x=\"1\"2",
            "a b",
            "a;x y",
            "a=1",
            "\"a\"",
            "a;x==1",
            "a;x=\"\\\"\"",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        assert_eq!(parse(&["a"; LIST_SIZE_MAX + 1].join(",")), None);
        assert_eq!(parse(&["a"; LIST_SIZE_MAX + 2].join(";")), None);
        assert!(parse(&["a"; LIST_SIZE_MAX + 1].join(";")).is_some());
    }
}
