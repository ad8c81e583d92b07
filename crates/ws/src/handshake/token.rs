//! Tokens and lists of them (RFC 9110 section 5.6).

use super::limits::LIST_SIZE_MAX;

/// A `tchar` (RFC 9110 section 5.6.2).
pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// The text, if it is a token.
pub(super) fn token(bytes: &[u8]) -> Option<&str> {
    let valid = !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte));
    valid.then(|| str::from_utf8(bytes).ok()).flatten()
}

/// Cuts optional white space, SP and HTAB only, from both ends.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// All elements of a list that may be spread over several header fields. `None`: an element is not a token, empty
/// ones included, or there are more than [`LIST_SIZE_MAX`].
pub(super) fn tokens<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Vec<&'a str>> {
    let mut list = Vec::new();
    for element in values.flat_map(|value| value.split(|byte| *byte == b',')) {
        if list.len() == LIST_SIZE_MAX {
            return None;
        }
        list.push(token(trim(element))?);
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let list = |values: &[&'static str]| tokens(values.iter().map(|value| value.as_bytes()));
        assert_eq!(list(&[]), Some(vec![]));
        assert_eq!(list(&["a", "b ,\tc"]), Some(vec!["a", "b", "c"]));
        for bad in ["", "a,", ",a", "a,,b", "a b", "a;b", "\"a\"", "a\u{b}"] {
            assert_eq!(list(&[bad]), None, "{bad:?}");
        }
        assert_eq!(list(&["a"; LIST_SIZE_MAX]).map(|list| list.len()), Some(LIST_SIZE_MAX));
        assert_eq!(list(&["a"; LIST_SIZE_MAX + 1]), None);
    }
}
