//! Undoing JSON string escapes (RFC 8259 section 7), so that `\u003cscript` is seen as `<script`.

use std::ops::ControlFlow;

use memchr::memchr;

/// How many layers of JSON within JSON strings are undone unless the caller says otherwise.
pub const DEPTH_MAX_DEFAULT: usize = 3;

/// Undoes JSON string escapes everywhere in `text`, valid JSON or not, into `out`, whose old contents are dropped.
///
/// Returns false, leaving `out` empty, when there is nothing to undo. A surrogate pair becomes its character, a lone
/// surrogate U+FFFD; a malformed escape is kept as it stands. The result is never longer than `text`, and the time
/// is linear; memory is taken only by growing `out`.
pub fn unescape_json(text: &[u8], out: &mut Vec<u8>) -> bool {
    unescape_json_part(text, true, out) == Unescaped::Changed
}

/// What [`unescape_json_part`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unescaped {
    /// There was nothing to undo; `out` is empty.
    Same,
    Changed,
    /// The text ends in what may become an escape, from this byte on: it is to come again, with what follows it. What is before
    /// it is in `out`, changed or not.
    Cut {
        at: usize,
    },
}

/// [`unescape_json`] of a part of a text, which is its last or not.
pub(crate) fn unescape_json_part(text: &[u8], is_last: bool, out: &mut Vec<u8>) -> Unescaped {
    out.clear();
    let Some(mut at) = memchr(b'\\', text) else { return Unescaped::Same };
    out.reserve(text.len());
    let mut changed = false;
    let mut copied = 0;
    loop {
        // `at` is always at a backslash.
        if !is_last && is_cut(&text[at..]) {
            out.extend_from_slice(&text[copied..at]);
            return Unescaped::Cut { at };
        }
        let length = match unescape_one(&text[at..]) {
            Some((character, length)) => {
                out.extend_from_slice(&text[copied..at]);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                copied = at + length;
                changed = true;
                length
            }
            None => 1,
        };
        match memchr(b'\\', &text[at + length..]) {
            Some(distance) => at += length + distance,
            None => break,
        }
    }
    if !changed {
        return Unescaped::Same;
    }
    out.extend_from_slice(&text[copied..]);
    Unescaped::Changed
}

/// The longest escape: a surrogate pair.
pub(crate) const ESCAPE_SIZE_MAX: usize = 12;

/// Whether the escape at the start of `text` may need more than there is.
fn is_cut(text: &[u8]) -> bool {
    text.len() == 1 || text[1] == b'u' && text.len() < ESCAPE_SIZE_MAX
}

/// Undoes the escapes of `text` again and again, for JSON within JSON strings, and shows each result to `layer`:
/// once for each depth, at most `depth_max` times, until nothing changes or `layer` breaks. `text` itself is not shown.
///
/// `out` and `spare` are working memory, worth reusing; their contents afterwards mean nothing. Each layer is no
/// longer than the one before. What is nested deeper than `depth_max` is not undone.
pub fn unescape_json_nested<B>(
    text: &[u8],
    out: &mut Vec<u8>,
    spare: &mut Vec<u8>,
    depth_max: usize,
    mut layer: impl FnMut(&[u8]) -> ControlFlow<B>,
) -> ControlFlow<B> {
    if depth_max == 0 || !unescape_json(text, out) {
        return ControlFlow::Continue(());
    }
    layer(out)?;
    for _ in 1..depth_max {
        if !unescape_json(out, spare) {
            break;
        }
        layer(spare)?;
        std::mem::swap(out, spare);
    }
    ControlFlow::Continue(())
}

/// The character that the escape at the start of `text` stands for, and the escape's length.
fn unescape_one(text: &[u8]) -> Option<(char, usize)> {
    let character = match text.get(1)? {
        b'u' => return unescape_unicode(text),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        &byte @ (b'"' | b'\\' | b'/') => char::from(byte),
        _ => return None,
    };
    Some((character, 2))
}

fn unescape_unicode(text: &[u8]) -> Option<(char, usize)> {
    let first = code_unit(text)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, 6));
    }
    let pair = code_unit(&text[6..])
        .filter(|second| first < 0xdc00 && (0xdc00..0xe000).contains(second))
        .and_then(|second| char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)));
    Some(pair.map_or((char::REPLACEMENT_CHARACTER, 6), |character| (character, 12)))
}

/// The UTF-16 code unit of the `\uXXXX` at the start of `text`.
fn code_unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}
