//! The `Sec-WebSocket-Extensions` of a request (RFC 6455 section 9.1).

use super::limits::LIST_SIZE_MAX;
use super::token::{is_token_byte, token, trim};

/// The names of all offered extensions, in order. `None`: the syntax is wrong, or there are more than
/// [`LIST_SIZE_MAX`], or one has more parameters than that.
pub(super) fn names<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Vec<&'a str>> {
    let mut names = Vec::new();
    // A quoted value must be a token once unquoted, so no comma or semicolon can stand inside quotes.
    for extension in values.flat_map(|value| value.split(|byte| *byte == b',')) {
        let mut parts = extension.split(|byte| *byte == b';').map(trim);
        let name = token(parts.next()?)?;
        let mut parameters = 0;
        for parameter in parts {
            parameters += 1;
            if parameters > LIST_SIZE_MAX || !is_parameter(parameter) {
                return None;
            }
        }
        if names.len() == LIST_SIZE_MAX {
            return None;
        }
        names.push(name);
    }
    Some(names)
}

fn is_parameter(parameter: &[u8]) -> bool {
    let Some(equals) = memchr::memchr(b'=', parameter) else { return token(parameter).is_some() };
    let (name, value) = (trim(&parameter[..equals]), trim(&parameter[equals + 1..]));
    let value_valid = match value {
        [b'"', quoted @ .., b'"'] => is_quoted_token(quoted),
        value => token(value).is_some(),
    };
    token(name).is_some() && value_valid
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
        names(std::iter::once(value.as_bytes()))
    }

    #[test]
    fn offers() {
        assert_eq!(parse("permessage-deflate; client_max_window_bits"), Some(vec!["permessage-deflate"]));
        assert_eq!(parse("a ; x = \"1\\5\";y , b;z=2"), Some(vec!["a", "b"]));
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
