//! Compatibility forms (NFKC, UAX #15) and characters that nobody sees.

use std::{iter, ops::ControlFlow};

use unicode_normalization::{
    IsNormalized, UnicodeNormalization,
    char::{canonical_combining_class, decompose_compatible},
    is_nfkc_quick,
};

use super::{Kinds, escapes::Undone, trace::Track};

/// Text is composed in pieces, each from one character that combines with none before it to before the next such character, which
/// gives the same as composing it whole. A piece that would become longer is cut, in bytes; no language has such.
pub(crate) const PIECE_SIZE_MAX: usize = 64;

/// Appends `text` to `out` in NFKC, without default-ignorable characters, and bytes that are not UTF-8 as they are.
///
/// What is appended is at most four times as long as what was consumed. Unless `is_final`, the last piece, of up to
/// [`PIECE_SIZE_MAX`] bytes, is not consumed. With `stop` the pass ends before the first piece that changes.
pub(crate) fn compose(text: &[u8], is_final: bool, stop: bool, out: &mut Vec<u8>) -> Undone {
    compose_tracked(text, is_final, stop, out, &mut ())
}

/// As [`compose`]; `track` hears of each piece that changes.
#[inline]
pub(crate) fn compose_tracked(
    text: &[u8],
    is_final: bool,
    stop: bool,
    out: &mut Vec<u8>,
    track: &mut impl Track,
) -> Undone {
    let mut pieces =
        Pieces { text, out, track, start: 0, is_inert: true, copied: 0, kinds: Kinds::NONE, stop };
    let (consumed, stopped) = match pieces.run(is_final) {
        ControlFlow::Continue(consumed) => (consumed, false),
        ControlFlow::Break(consumed) => (consumed, true),
    };
    pieces.out.extend_from_slice(&text[pieces.copied..consumed]);
    Undone { consumed, kinds: pieces.kinds, stopped }
}

/// Whether [`compose`] may change `text`.
#[inline]
pub(crate) fn may_change(text: &[u8]) -> bool {
    !text.is_ascii() || memchr::memchr(0, text).is_some()
}

/// Where the last piece of `text` begins, which more text may change. `text` begins with a piece.
pub(crate) fn pending(text: &[u8]) -> usize {
    // Before ASCII, but for a NUL, a piece ends for certain.
    let near = text.len().saturating_sub(2 * PIECE_SIZE_MAX);
    let from = text[near..].iter().rposition(|byte| is_start(*byte)).map_or(0, |at| near + at);
    from + compose(&text[from..], false, false, &mut Vec::new()).consumed
}

struct Pieces<'a, T> {
    text: &'a [u8],
    out: &'a mut Vec<u8>,
    track: &'a mut T,
    /// Of the piece that is being read, and whether it is known to stay as it is.
    start: usize,
    is_inert: bool,
    /// What is in `out` already, as it is or composed.
    copied: usize,
    kinds: Kinds,
    stop: bool,
}

impl<T: Track> Pieces<'_, T> {
    /// To what is consumed; breaks where it is to stop.
    fn run(&mut self, is_final: bool) -> ControlFlow<usize, usize> {
        let mut at = 0;
        for chunk in self.text.utf8_chunks() {
            let mut rest = chunk.valid();
            while let Some(character) = rest.chars().next() {
                let size = if rest.as_bytes().first().is_some_and(|byte| is_start(*byte)) {
                    // All but the last of these are pieces of their own.
                    let size = rest.bytes().position(|byte| !is_start(byte)).unwrap_or(rest.len());
                    self.end(at)?;
                    self.start = at + size - 1;
                    size
                } else if character == '\0' {
                    let size = rest.bytes().take_while(|byte| *byte == 0).count();
                    self.read_nuls(at, size, is_final)?;
                    size
                } else {
                    self.read(character, at)?;
                    character.len_utf8()
                };
                rest = &rest[size..];
                at += size;
            }
            let invalid = chunk.invalid();
            if invalid.is_empty() || !is_final && at + invalid.len() == self.text.len() && is_cut(invalid) {
                continue;
            }
            self.end(at)?;
            at += invalid.len();
            self.start = at;
        }
        if is_final {
            self.end(self.text.len())?;
        }
        ControlFlow::Continue(self.start)
    }

    /// NULs between visible characters, or where such may follow, are nothing: some readers pass over them. Others are pieces of their own.
    fn read_nuls(&mut self, at: usize, size: usize, is_final: bool) -> ControlFlow<usize> {
        let is_visible = |byte: &u8| byte.is_ascii_graphic() || !byte.is_ascii();
        let is_behind = at > self.start && self.text.get(self.start).is_some_and(is_visible);
        let is_before = self.text.get(at + size).map_or(!is_final, is_visible);
        if at + size - self.start <= PIECE_SIZE_MAX && is_behind && is_before {
            self.is_inert = false;
        } else {
            self.end(at)?;
            self.start = at + size - 1;
        }
        ControlFlow::Continue(())
    }

    fn read(&mut self, character: char, at: usize) -> ControlFlow<usize> {
        let is_known = is_known_inert(character);
        let is_first = is_known || is_boundary(character);
        if is_first || at + character.len_utf8() - self.start > PIECE_SIZE_MAX {
            self.end(at)?;
        }
        self.is_inert &= is_known || is_first && is_inert(character);
        ControlFlow::Continue(())
    }

    /// The piece that is being read ends at `at`, where the next one begins.
    fn end(&mut self, at: usize) -> ControlFlow<usize> {
        let start = std::mem::replace(&mut self.start, at);
        if std::mem::replace(&mut self.is_inert, true) {
            return ControlFlow::Continue(());
        }
        let piece = &self.text[start..at];
        self.out.extend_from_slice(&self.text[self.copied..start]);
        self.copied = start;
        let before = self.out.len();
        compose_piece(piece, self.out);
        if self.out[before..] == *piece {
            self.out.truncate(before);
        } else if self.stop {
            self.out.truncate(before);
            return ControlFlow::Break(start);
        } else {
            self.kinds = Kinds::UNICODE;
            self.copied = at;
            self.track.replaced(start..at, before..self.out.len());
        }
        ControlFlow::Continue(())
    }
}

/// ASCII that combines with nothing before it.
fn is_start(byte: u8) -> bool {
    byte.is_ascii() && byte != 0
}

/// Whether bytes that are not UTF-8 may be the beginning of a character.
fn is_cut(invalid: &[u8]) -> bool {
    std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none())
}

fn compose_piece(piece: &[u8], out: &mut Vec<u8>) {
    // A piece that is cut out of UTF-8 is UTF-8.
    let Ok(text) = std::str::from_utf8(piece) else { return out.extend_from_slice(piece) };
    for part in text.split_inclusive(is_giant) {
        let short = part.strip_suffix(is_giant).unwrap_or(part);
        for character in short.chars().filter(|it| !is_ignorable(*it)).nfkc() {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        out.extend_from_slice(&part.as_bytes()[short.len()..]);
    }
}

/// Whether a character combines with none before it, whatever becomes of it.
fn is_boundary(character: char) -> bool {
    let mut first = None;
    decompose_compatible(character, |it| first = first.or(Some(it)));
    let first = first.unwrap_or(character);
    !is_ignorable(character)
        && canonical_combining_class(first) == 0
        && is_nfkc_quick(iter::once(first)) == IsNormalized::Yes
}

/// Whether a character stays as it is among others of which this is true.
fn is_inert(character: char) -> bool {
    is_known_inert(character)
        || !is_ignorable(character)
            && canonical_combining_class(character) == 0
            && is_nfkc_quick(iter::once(character)) == IsNormalized::Yes
}

/// The letters of most texts, so that they need no tables.
fn is_known_inert(character: char) -> bool {
    matches!(
        character,
        '\u{1}'..='\u{7f}'
            | '\u{c0}'..='\u{131}'
            | '\u{410}'..='\u{44f}'
            | '\u{5d0}'..='\u{5ea}'
            | '\u{641}'..='\u{64a}'
            | '\u{2013}'..='\u{2014}'
            | '\u{2018}'..='\u{201e}'
            | '\u{3041}'..='\u{3094}'
            | '\u{30a1}'..='\u{30fa}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{1f300}'..='\u{1f64f}'
    )
}

/// Characters that NFKC spells out in words, in scripts that no ASCII comes from. They stay as they are, so that the text can't grow
/// without bound.
fn is_giant(character: char) -> bool {
    matches!(character, '\u{fdfa}' | '\u{fdfb}' | '\u{3300}'..='\u{3357}')
}

/// Default_Ignorable_Code_Point of Unicode: soft hyphen, joiners and spaces without width, marks of direction, variation selectors,
/// tags. Beside it NUL, of which only those between visible characters are asked for, annotation marks, and strokes through letters.
fn is_ignorable(character: char) -> bool {
    matches!(
        character,
        '\0'
            | '\u{ad}'
            | '\u{334}'..='\u{338}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROWTH_MAX: usize = 4;

    fn every_char() -> impl Iterator<Item = char> {
        '\0'..=char::MAX
    }

    #[test]
    fn what_is_taken_for_inert_is() {
        for character in every_char().filter(|it| is_known_inert(*it)) {
            let tables = !is_ignorable(character)
                && canonical_combining_class(character) == 0
                && is_nfkc_quick(iter::once(character)) == IsNormalized::Yes;
            assert!(tables && is_boundary(character), "{character:?}");
        }
    }

    #[test]
    fn pieces_compose_as_the_whole_does() {
        let characters =
            "aé\u{301}\u{327}\u{308}e\u{200b}ｅ\u{ff9e}ｶ한\u{1161}\u{11a8}\u{1100}½ﬁ 中\u{fe0f}д\u{306}и";
        let characters: Vec<char> = characters.chars().collect();
        let mut random = 1_u32;
        for _ in 0..20_000 {
            let text: String = (0..8)
                .map(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    characters[(random >> 16) as usize % characters.len()]
                })
                .collect();
            let whole: String = text.chars().filter(|it| !is_ignorable(*it)).nfkc().collect();
            let mut out = Vec::new();
            compose(text.as_bytes(), true, false, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), whole, "{text:?}");
        }
    }

    #[test]
    fn no_character_outgrows_the_bound() {
        for character in every_char() {
            let (text, mut out) = (character.to_string(), Vec::new());
            compose_piece(text.as_bytes(), &mut out);
            assert!(out.len() <= GROWTH_MAX * text.len(), "{character:?} becomes {} bytes", out.len());
        }
    }
}
