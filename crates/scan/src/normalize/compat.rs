//! Compatibility forms (NFKC, UAX #15) and characters that nobody sees.

use std::iter;

use unicode_normalization::{
    IsNormalized, UnicodeNormalization, char::canonical_combining_class, is_nfkc_quick,
};

use super::{Kinds, escapes::Undone};

/// Text is composed in pieces from one ASCII character to before the next, which gives the same as composing it whole: ASCII never
/// combines with what stands before it. A piece that becomes longer is cut, in bytes.
const PIECE_SIZE_MAX: usize = 256;

/// Appends `text` to `out` in NFKC, without default-ignorable characters, and bytes that are not UTF-8 as they are.
///
/// What is appended is at most four times as long as what was consumed. Unless `is_final`, up to [`PIECE_SIZE_MAX`] bytes at the end are not consumed. With `stop` the pass ends before the first piece
/// that changes.
pub(super) fn compose(text: &[u8], is_final: bool, stop: bool, out: &mut Vec<u8>) -> Undone {
    let (mut at, mut kinds) = (0, Kinds::NONE);
    loop {
        let plain = text[at..].iter().position(|byte| !byte.is_ascii()).unwrap_or(text.len() - at);
        let start = at + plain.saturating_sub(1);
        out.extend_from_slice(&text[at..start]);
        let Some(size) = piece_size(&text[start..], is_final) else {
            return Undone { consumed: start, kinds, stopped: false };
        };
        let piece = &text[start..start + size];
        let before = out.len();
        compose_piece(piece, out);
        if out[before..] != *piece {
            if stop {
                out.truncate(before);
                return Undone { consumed: start, kinds, stopped: true };
            }
            kinds = Kinds::UNICODE;
        }
        at = start + size;
        if at == text.len() {
            return Undone { consumed: at, kinds, stopped: false };
        }
    }
}

/// The size of the piece at the start of `text`; `None` if more text could make it longer.
fn piece_size(text: &[u8], is_final: bool) -> Option<usize> {
    let longest = &text[..text.len().min(PIECE_SIZE_MAX)];
    let next = longest.iter().skip(1).position(u8::is_ascii).map(|at| at + 1);
    match next {
        Some(size) => Some(size),
        None if longest.len() == PIECE_SIZE_MAX => {
            // Before a character, if it is UTF-8 at all.
            let cut = (PIECE_SIZE_MAX - 3..PIECE_SIZE_MAX).rev().find(|&at| longest[at] >= 0xc0);
            Some(cut.unwrap_or(PIECE_SIZE_MAX))
        }
        None if is_final => Some(text.len()),
        None => None,
    }
}

fn compose_piece(piece: &[u8], out: &mut Vec<u8>) {
    for chunk in piece.utf8_chunks() {
        let text = chunk.valid();
        if text.chars().all(is_inert) {
            out.extend_from_slice(text.as_bytes());
        } else {
            for part in text.split_inclusive(is_giant) {
                let short = part.strip_suffix(is_giant).unwrap_or(part);
                for character in short.chars().filter(|it| !is_ignorable(*it)).nfkc() {
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                out.extend_from_slice(&part.as_bytes()[short.len()..]);
            }
        }
        out.extend_from_slice(chunk.invalid());
    }
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
        '\0'..='\u{7f}'
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
/// tags.
fn is_ignorable(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
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
            | '\u{fff0}'..='\u{fff8}'
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
            assert!(tables, "{character:?}");
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
