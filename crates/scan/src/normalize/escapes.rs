//! Undoing one level of escapes, in one pass from left to right.

use memchr::memchr3;

use super::{Kinds, entities, trace::Track};

/// More than any cut escape has, but for references with many digits.
pub(crate) const CUT_SIZE_MAX: usize = 32;

/// What a pass did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undone {
    /// Bytes of the text that are done with; the rest has to be shown again, with what follows it.
    pub consumed: usize,
    /// What was undone.
    pub kinds: Kinds,
    /// It ended before something that it was told to stop at.
    pub stopped: bool,
}

/// What stands at a byte that may begin an escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// An escape of so many bytes.
    Character(char, usize),
    Byte(u8, usize),
    Plain,
    /// It depends on what follows the text.
    Cut,
}

impl Reading {
    pub const fn cut_unless(is_final: bool) -> Self {
        if is_final { Self::Plain } else { Self::Cut }
    }
}

/// Appends `text` to `out` with one level of the escapes of `kinds` undone, wherever they stand.
///
/// A malformed escape is kept as it stands, half a surrogate pair becomes U+FFFD. What is appended is never longer than what was
/// consumed, and the time is linear. Unless `is_final`, an escape that the end of `text` cuts is not consumed. The pass stops before
/// the first escape of `stop_before`.
pub fn undo(kinds: Kinds, text: &[u8], is_final: bool, stop_before: Kinds, out: &mut Vec<u8>) -> Undone {
    undo_tracked(kinds, text, is_final, stop_before, out, &mut ())
}

/// As [`undo`]; `track` hears what each escape became.
#[inline]
pub(crate) fn undo_tracked(
    kinds: Kinds,
    text: &[u8],
    is_final: bool,
    stop_before: Kinds,
    out: &mut Vec<u8>,
    track: &mut impl Track,
) -> Undone {
    let markers = Markers::new(kinds);
    let (mut copied, mut from, mut undone) = (0, 0, Kinds::NONE);
    let (consumed, stopped) = loop {
        let Some((at, kind, reading)) = markers.next(text, from, is_final) else { break (text.len(), false) };
        if matches!(reading, Reading::Cut) {
            break (at, false);
        }
        if stop_before.contains(kind) {
            break (at, true);
        }
        out.extend_from_slice(&text[copied..at]);
        undone = undone.union(kind);
        let before = out.len();
        let size = match reading {
            Reading::Character(character, size) => {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                size
            }
            Reading::Byte(byte, size) => {
                out.push(byte);
                size
            }
            Reading::Plain | Reading::Cut => 1,
        };
        track.replaced(at..at + size, before..out.len());
        copied = at + size;
        from = copied;
    };
    out.extend_from_slice(&text[copied..consumed]);
    Undone { consumed, kinds: undone, stopped }
}

/// Whether `text` holds an escape of `kinds` that hides a character, and how much of it is done with. Escapes of JSON that only
/// protect a quote, a slash or a backslash hide nothing.
pub(crate) fn is_hiding(kinds: Kinds, text: &[u8], is_final: bool) -> (bool, usize) {
    let markers = Markers::new(kinds);
    let mut from = 0;
    while let Some((at, kind, reading)) = markers.next(text, from, is_final) {
        from = match reading {
            Reading::Cut => return (false, at),
            Reading::Character('"' | '\\' | '/', size @ 2) if kind == Kinds::JSON => at + size,
            _ => return (true, at),
        };
    }
    (false, text.len())
}

/// Which escapes a text holds, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(u64);

impl Tally {
    /// Adds those of `kinds` in `text`, and gives how much of it is done with.
    pub fn add(&mut self, kinds: Kinds, text: &[u8], is_final: bool) -> usize {
        let (markers, mut from) = (Markers::new(kinds), 0);
        while let Some((at, kind, reading)) = markers.next(text, from, is_final) {
            let (value, size) = match reading {
                Reading::Cut => return at,
                Reading::Character(character, size) => (u64::from(u32::from(character)), size),
                Reading::Byte(byte, size) => (u64::from(byte), size),
                Reading::Plain => (0, 1),
            };
            // An odd factor loses nothing of what came before.
            let read = (value << 8 | u64::from(kind.bits())) << 24 ^ size as u64;
            self.0 = (self.0 ^ read).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            from = at + size;
        }
        text.len()
    }
}

/// Where an escape of `kinds` may begin that more text would complete. There is none in `text` that is complete.
pub(crate) fn pending(kinds: Kinds, text: &[u8]) -> usize {
    let near = text.len().saturating_sub(CUT_SIZE_MAX);
    Markers::new(kinds).next(&text[near..], 0, false).map_or(text.len(), |(at, _, _)| near + at)
}

/// Makes a cut escape short without changing what it will become: only references with many digits are long.
pub(crate) fn shorten(cut: &mut Vec<u8>) {
    if cut.len() <= CUT_SIZE_MAX || !cut.starts_with(b"&#") {
        return;
    }
    let prefix = if matches!(cut[2], b'x' | b'X') { 3 } else { 2 };
    let zeros = cut[prefix..].iter().take_while(|byte| **byte == b'0').count();
    cut.drain(prefix..prefix + zeros.min(cut.len() - prefix - 1));
    // Beyond Unicode is beyond Unicode.
    cut.truncate(prefix + 10);
}

/// Whether `text` has a byte that may begin an escape.
#[inline]
pub(crate) fn has_marker(text: &[u8]) -> bool {
    memchr3(b'\\', b'%', b'&', text).is_some()
}

/// The bytes that begin escapes of some kinds; one that is not wanted is replaced by one that is.
struct Markers([u8; 3]);

impl Markers {
    fn new(kinds: Kinds) -> Self {
        let all = [(Kinds::JSON, b'\\'), (Kinds::PERCENT, b'%'), (Kinds::HTML, b'&')];
        // Without any kind there is nothing to look for, and this byte is not an escape.
        let any = all.iter().find(|(kind, _)| kinds.contains(*kind)).map_or(0, |(_, byte)| *byte);
        Self(all.map(|(kind, byte)| if kinds.contains(kind) { byte } else { any }))
    }

    /// The first escape from `from` on, or the place where it takes more text to tell.
    fn next(&self, text: &[u8], mut from: usize, is_final: bool) -> Option<(usize, Kinds, Reading)> {
        let [first, second, third] = self.0;
        loop {
            let at = from + memchr3(first, second, third, text.get(from..)?)?;
            let (kind, reading) = match text[at] {
                b'\\' => (Kinds::JSON, read_json(&text[at..], is_final)),
                b'%' => (Kinds::PERCENT, read_percent(&text[at..], is_final)),
                b'&' => (Kinds::HTML, entities::read(&text[at..], is_final)),
                _ => (Kinds::NONE, Reading::Plain),
            };
            if reading != Reading::Plain {
                return Some((at, kind, reading));
            }
            from = at + 1;
        }
    }
}

fn read_json(text: &[u8], is_final: bool) -> Reading {
    let character = match text.get(1) {
        None => return Reading::cut_unless(is_final),
        Some(b'u') => return read_utf16(text, *b"\\u", is_final),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(&byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
        Some(_) => return Reading::Plain,
    };
    Reading::Character(character, 2)
}

fn read_percent(text: &[u8], is_final: bool) -> Reading {
    let digit = |at: usize| text.get(at).map(|&byte| char::from(byte).to_digit(16));
    match (digit(1), digit(2)) {
        (None, _) | (Some(Some(_)), None) => Reading::cut_unless(is_final),
        (Some(Some(high)), Some(Some(low))) => Reading::Byte((high << 4 | low) as u8, 3),
        _ if text[1] == b'u' => read_utf16(text, *b"%u", is_final),
        _ => Reading::Plain,
    }
}

/// A UTF-16 code unit in four hexadecimal digits, or two that are a surrogate pair.
fn read_utf16(text: &[u8], prefix: [u8; 2], is_final: bool) -> Reading {
    let first = match read_unit(text, prefix, is_final) {
        Unit::Value(first) => first,
        Unit::None => return Reading::Plain,
        Unit::Cut => return Reading::Cut,
    };
    if let Some(character) = char::from_u32(first) {
        return Reading::Character(character, 6);
    }
    let is_high = first < 0xdc00;
    match read_unit(&text[6..], prefix, is_final) {
        Unit::Cut if is_high => Reading::Cut,
        Unit::Value(second @ 0xdc00..0xe000) if is_high => {
            let value = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            Reading::Character(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        _ => Reading::Character(char::REPLACEMENT_CHARACTER, 6),
    }
}

enum Unit {
    Value(u32),
    None,
    Cut,
}

fn read_unit(text: &[u8], prefix: [u8; 2], is_final: bool) -> Unit {
    let mut value = 0;
    for at in 0..6 {
        let Some(&byte) = text.get(at) else { return if is_final { Unit::None } else { Unit::Cut } };
        match (prefix.get(at), char::from(byte).to_digit(16)) {
            (Some(&expected), _) if byte == expected => {}
            (None, Some(digit)) => value = value << 4 | digit,
            _ => return Unit::None,
        }
    }
    Unit::Value(value)
}
