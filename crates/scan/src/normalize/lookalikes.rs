//! Letters and digits that look like ASCII ones.
//!
//! The table is that part of Unicode's confusables (UTS #39) that stands for one ASCII letter or digit, from scripts and styles in
//! use; compatibility forms are missing because NFKC comes before. What Unicode holds for a small `l` and is a capital stands here
//! for `I`, and a few small Cyrillic and Greek letters have been added that differ only in size.

use super::{Kinds, escapes::Undone, trace::Track};

/// Appends `text` to `out` with look-alikes replaced by their ASCII characters, and bytes that are not UTF-8 as they are.
///
/// What is appended is never longer than what was consumed. Unless `is_final`, a character that the end of `text` cuts is not
/// consumed. With `stop` the pass ends before the first look-alike.
pub(crate) fn fold(text: &[u8], is_final: bool, stop: bool, out: &mut Vec<u8>) -> Undone {
    fold_tracked(text, is_final, stop, out, &mut ())
}

/// As [`fold`]; `track` hears of each look-alike.
#[inline]
pub(crate) fn fold_tracked(
    text: &[u8],
    is_final: bool,
    stop: bool,
    out: &mut Vec<u8>,
    track: &mut impl Track,
) -> Undone {
    let whole = if is_final { text } else { &text[..text.len() - cut_size(text)] };
    let (mut at, mut copied, mut kinds) = (0, 0, Kinds::NONE);
    for chunk in whole.utf8_chunks() {
        for (offset, character) in chunk.valid().char_indices() {
            let Some(byte) = ascii(character) else { continue };
            let here = at + offset;
            out.extend_from_slice(&whole[copied..here]);
            if stop {
                return Undone { consumed: here, kinds, stopped: true };
            }
            out.push(byte);
            kinds = Kinds::UNICODE;
            copied = here + character.len_utf8();
            track.replaced(here..copied, out.len() - 1..out.len());
        }
        at += chunk.valid().len() + chunk.invalid().len();
    }
    out.extend_from_slice(&whole[copied..]);
    Undone { consumed: whole.len(), kinds, stopped: false }
}

/// The size of what could be the beginning of a character at the end of `text`.
pub(crate) fn cut_size(text: &[u8]) -> usize {
    let is_cut = |size: usize| match text[text.len() - size] {
        0xc0..=0xdf => size < 2,
        0xe0..=0xef => size < 3,
        0xf0.. => size < 4,
        _ => false,
    };
    (1..=text.len().min(3)).find(|size| is_cut(*size)).unwrap_or(0)
}

fn ascii(character: char) -> Option<u8> {
    // White on black, in circles and squares.
    if let base @ ('\u{1f150}'..='\u{1f169}' | '\u{1f170}'..='\u{1f189}') = character {
        return u8::try_from((u32::from(base) - 0x1f150) % 32).ok().map(|letter| b'A' + letter);
    }
    // Between them are most of the world's characters.
    if matches!(character, ..'\u{fe}' | '\u{3000}'..'\u{a4d0}' | '\u{ac00}'..) {
        return None;
    }
    let found = TABLE.binary_search_by_key(&character, |(from, _)| *from).ok()?;
    Some(TABLE[found].1)
}

#[rustfmt::skip]
static TABLE: [(char, u8); 314] = [
    ('\u{fe}', b'p'), ('\u{131}', b'i'), ('\u{138}', b'k'), ('\u{184}', b'b'), ('\u{18d}', b'g'),
    ('\u{192}', b'f'), ('\u{196}', b'I'), ('\u{1a6}', b'R'), ('\u{1a7}', b'2'), ('\u{1b7}', b'3'),
    ('\u{1bc}', b'5'), ('\u{1bd}', b's'), ('\u{1bf}', b'p'), ('\u{1c0}', b'l'), ('\u{21c}', b'3'),
    ('\u{222}', b'8'), ('\u{223}', b'8'), ('\u{237}', b'j'), ('\u{24c}', b'R'), ('\u{251}', b'a'),
    ('\u{261}', b'g'), ('\u{262}', b'g'), ('\u{263}', b'y'), ('\u{269}', b'i'), ('\u{26a}', b'i'),
    ('\u{26f}', b'w'), ('\u{274}', b'n'), ('\u{280}', b'r'), ('\u{284}', b'f'), ('\u{28b}', b'u'),
    ('\u{28d}', b'm'), ('\u{28f}', b'y'), ('\u{299}', b'b'), ('\u{29c}', b'h'), ('\u{29f}', b'l'),
    ('\u{37f}', b'J'), ('\u{391}', b'A'), ('\u{392}', b'B'), ('\u{395}', b'E'), ('\u{396}', b'Z'),
    ('\u{397}', b'H'), ('\u{399}', b'I'), ('\u{39a}', b'K'), ('\u{39c}', b'M'), ('\u{39d}', b'N'),
    ('\u{39f}', b'O'), ('\u{3a1}', b'P'), ('\u{3a4}', b'T'), ('\u{3a5}', b'Y'), ('\u{3a7}', b'X'),
    ('\u{3b1}', b'a'), ('\u{3b3}', b'y'), ('\u{3b9}', b'i'), ('\u{3ba}', b'k'), ('\u{3bd}', b'v'),
    ('\u{3bf}', b'o'), ('\u{3c1}', b'p'), ('\u{3c3}', b'o'), ('\u{3c4}', b't'), ('\u{3c5}', b'u'),
    ('\u{3dc}', b'F'), ('\u{3e8}', b'2'), ('\u{3ec}', b'6'), ('\u{3ed}', b'o'), ('\u{3f3}', b'j'),
    ('\u{3f8}', b'p'), ('\u{3fa}', b'M'), ('\u{405}', b'S'), ('\u{406}', b'I'), ('\u{408}', b'J'),
    ('\u{410}', b'A'), ('\u{412}', b'B'), ('\u{415}', b'E'), ('\u{417}', b'3'), ('\u{41a}', b'K'),
    ('\u{41c}', b'M'), ('\u{41d}', b'H'), ('\u{41e}', b'O'), ('\u{420}', b'P'), ('\u{421}', b'C'),
    ('\u{422}', b'T'), ('\u{423}', b'Y'), ('\u{425}', b'X'), ('\u{42c}', b'b'), ('\u{430}', b'a'),
    ('\u{431}', b'6'), ('\u{432}', b'b'), ('\u{433}', b'r'), ('\u{435}', b'e'), ('\u{43a}', b'k'),
    ('\u{43c}', b'm'), ('\u{43d}', b'h'), ('\u{43e}', b'o'), ('\u{440}', b'p'), ('\u{441}', b'c'),
    ('\u{442}', b't'), ('\u{443}', b'y'), ('\u{445}', b'x'), ('\u{448}', b'w'), ('\u{455}', b's'),
    ('\u{456}', b'i'), ('\u{458}', b'j'), ('\u{461}', b'w'), ('\u{474}', b'V'), ('\u{475}', b'v'),
    ('\u{4ae}', b'Y'), ('\u{4af}', b'y'), ('\u{4ba}', b'h'), ('\u{4bb}', b'h'), ('\u{4bd}', b'e'),
    ('\u{4c0}', b'I'), ('\u{4cf}', b'l'), ('\u{4e0}', b'3'), ('\u{501}', b'd'), ('\u{50c}', b'G'),
    ('\u{50d}', b'g'), ('\u{51a}', b'Q'), ('\u{51b}', b'q'), ('\u{51c}', b'W'), ('\u{51d}', b'w'),
    ('\u{545}', b'3'), ('\u{54d}', b'U'), ('\u{54f}', b'S'), ('\u{555}', b'O'), ('\u{561}', b'w'),
    ('\u{563}', b'q'), ('\u{566}', b'q'), ('\u{570}', b'h'), ('\u{575}', b'j'), ('\u{578}', b'n'),
    ('\u{57c}', b'n'), ('\u{57d}', b'u'), ('\u{581}', b'g'), ('\u{582}', b'i'), ('\u{584}', b'f'),
    ('\u{585}', b'o'), ('\u{10b9}', b'h'), ('\u{10bd}', b'S'), ('\u{10c7}', b'2'), ('\u{10cd}', b'Z'),
    ('\u{10e7}', b'y'), ('\u{10fd}', b'S'), ('\u{10ff}', b'o'), ('\u{13a0}', b'D'), ('\u{13a1}', b'R'),
    ('\u{13a2}', b'T'), ('\u{13a5}', b'i'), ('\u{13a9}', b'Y'), ('\u{13aa}', b'A'), ('\u{13ab}', b'J'),
    ('\u{13ac}', b'E'), ('\u{13b3}', b'W'), ('\u{13b7}', b'M'), ('\u{13bb}', b'H'), ('\u{13bd}', b'Y'),
    ('\u{13c0}', b'G'), ('\u{13c2}', b'h'), ('\u{13c3}', b'Z'), ('\u{13ce}', b'4'), ('\u{13cf}', b'b'),
    ('\u{13d2}', b'R'), ('\u{13d4}', b'W'), ('\u{13d5}', b'S'), ('\u{13d9}', b'V'), ('\u{13da}', b'S'),
    ('\u{13de}', b'L'), ('\u{13df}', b'C'), ('\u{13e2}', b'P'), ('\u{13e6}', b'K'), ('\u{13e7}', b'd'),
    ('\u{13ee}', b'6'), ('\u{13f3}', b'G'), ('\u{13f4}', b'B'), ('\u{13fb}', b'g'), ('\u{13fc}', b'b'),
    ('\u{1c82}', b'o'), ('\u{1c83}', b'c'), ('\u{1c84}', b'7'), ('\u{1d00}', b'a'), ('\u{1d04}', b'c'),
    ('\u{1d05}', b'd'), ('\u{1d07}', b'e'), ('\u{1d0a}', b'j'), ('\u{1d0b}', b'k'), ('\u{1d0d}', b'm'),
    ('\u{1d0f}', b'o'), ('\u{1d11}', b'o'), ('\u{1d18}', b'p'), ('\u{1d1b}', b't'), ('\u{1d1c}', b'u'),
    ('\u{1d20}', b'v'), ('\u{1d21}', b'w'), ('\u{1d22}', b'z'), ('\u{1d26}', b'r'), ('\u{1d29}', b'p'),
    ('\u{1d83}', b'g'), ('\u{1d8c}', b'y'), ('\u{2c6b}', b'Z'), ('\u{2c6c}', b'z'), ('\u{2c82}', b'B'),
    ('\u{2c83}', b'b'), ('\u{2c85}', b'r'), ('\u{2c8c}', b'Z'), ('\u{2c8d}', b'z'), ('\u{2c8e}', b'H'),
    ('\u{2c8f}', b'h'), ('\u{2c92}', b'I'), ('\u{2c93}', b'i'), ('\u{2c94}', b'K'), ('\u{2c98}', b'M'),
    ('\u{2c9a}', b'N'), ('\u{2c9b}', b'n'), ('\u{2c9c}', b'3'), ('\u{2c9e}', b'O'), ('\u{2c9f}', b'o'),
    ('\u{2ca2}', b'P'), ('\u{2ca3}', b'p'), ('\u{2ca4}', b'C'), ('\u{2ca5}', b'c'), ('\u{2ca6}', b'T'),
    ('\u{2ca7}', b't'), ('\u{2ca8}', b'Y'), ('\u{2ca9}', b'y'), ('\u{2cac}', b'X'), ('\u{2cbd}', b'w'),
    ('\u{2cc4}', b'3'), ('\u{2cca}', b'9'), ('\u{2ccb}', b'9'), ('\u{2ccc}', b'3'), ('\u{2cce}', b'P'),
    ('\u{2ccf}', b'p'), ('\u{2cd0}', b'L'), ('\u{2cd1}', b'l'), ('\u{2cd2}', b'6'), ('\u{2cd3}', b'6'),
    ('\u{2cdc}', b'6'), ('\u{2d2d}', b'z'), ('\u{a4d0}', b'B'), ('\u{a4d1}', b'P'), ('\u{a4d2}', b'd'),
    ('\u{a4d3}', b'D'), ('\u{a4d4}', b'T'), ('\u{a4d6}', b'G'), ('\u{a4d7}', b'K'), ('\u{a4d9}', b'J'),
    ('\u{a4da}', b'C'), ('\u{a4dc}', b'Z'), ('\u{a4dd}', b'F'), ('\u{a4df}', b'M'), ('\u{a4e0}', b'N'),
    ('\u{a4e1}', b'L'), ('\u{a4e2}', b'S'), ('\u{a4e3}', b'R'), ('\u{a4e6}', b'V'), ('\u{a4e7}', b'H'),
    ('\u{a4ea}', b'W'), ('\u{a4eb}', b'X'), ('\u{a4ec}', b'Y'), ('\u{a4ee}', b'A'), ('\u{a4f0}', b'E'),
    ('\u{a4f2}', b'I'), ('\u{a4f3}', b'O'), ('\u{a4f4}', b'U'), ('\u{a644}', b'2'), ('\u{a647}', b'i'),
    ('\u{a68d}', b't'), ('\u{a730}', b'f'), ('\u{a731}', b's'), ('\u{a75a}', b'2'), ('\u{a76a}', b'3'),
    ('\u{a76e}', b'9'), ('\u{a76f}', b'9'), ('\u{a781}', b'l'), ('\u{a798}', b'F'), ('\u{a799}', b'f'),
    ('\u{a79f}', b'u'), ('\u{a7ab}', b'3'), ('\u{a7ae}', b'I'), ('\u{a7af}', b'q'), ('\u{a7b2}', b'J'),
    ('\u{a7b3}', b'X'), ('\u{a7b4}', b'B'), ('\u{a7fa}', b'w'), ('\u{a7fe}', b'l'), ('\u{ab32}', b'e'),
    ('\u{ab35}', b'f'), ('\u{ab3d}', b'o'), ('\u{ab47}', b'r'), ('\u{ab48}', b'r'), ('\u{ab4e}', b'u'),
    ('\u{ab52}', b'u'), ('\u{ab5a}', b'y'), ('\u{ab64}', b'a'), ('\u{ab70}', b'd'), ('\u{ab71}', b'r'),
    ('\u{ab72}', b't'), ('\u{ab75}', b'i'), ('\u{ab7a}', b'a'), ('\u{ab7b}', b'j'), ('\u{ab7c}', b'e'),
    ('\u{ab81}', b'r'), ('\u{ab83}', b'w'), ('\u{ab8b}', b'h'), ('\u{ab90}', b'g'), ('\u{ab93}', b'z'),
    ('\u{ab9e}', b'4'), ('\u{aba2}', b'r'), ('\u{aba4}', b'w'), ('\u{aba9}', b'v'), ('\u{abaa}', b's'),
    ('\u{abae}', b'l'), ('\u{abaf}', b'c'), ('\u{abb2}', b'p'), ('\u{abbe}', b'6'),
];
