//! Character references of HTML (WHATWG HTML, section 13.2.5.72 and following).

use super::escapes::Reading;

/// The longest name below.
const NAME_SIZE_MAX: usize = 21;

/// The reference at the start of `text`, which begins with `&`.
pub(super) fn read(text: &[u8], is_final: bool) -> Reading {
    match text.get(1) {
        Some(b'#') => read_number(text, is_final),
        Some(_) => read_name(text, is_final),
        None => Reading::cut_unless(is_final),
    }
}

/// Any number of digits, leading zeros too, and the semicolon may be missing, as in browsers.
fn read_number(text: &[u8], is_final: bool) -> Reading {
    let (radix, start) = match text.get(2) {
        Some(b'x' | b'X') => (16, 3),
        _ => (10, 2),
    };
    let digits = text[start.min(text.len())..].iter().map_while(|&byte| char::from(byte).to_digit(radix));
    let (count, value) = digits.fold((0, 0u32), |(count, value), digit| {
        (count + 1, value.saturating_mul(radix).saturating_add(digit))
    });
    match text.get(start + count) {
        None if !is_final => Reading::Cut,
        _ if count == 0 => Reading::Plain,
        next => {
            let character =
                char::from_u32(value).filter(|&it| it != '\0').unwrap_or(char::REPLACEMENT_CHARACTER);
            Reading::Character(character, start + count + usize::from(next == Some(&b';')))
        }
    }
}

fn read_name(text: &[u8], is_final: bool) -> Reading {
    let longest = &text[1..text.len().min(2 + NAME_SIZE_MAX)];
    let size = longest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    match text.get(1 + size) {
        None if !is_final => return Reading::Cut,
        Some(b';') => {
            if let Some(character) = named(&text[1..=size]) {
                return Reading::Character(character, size + 2);
            }
        }
        _ => {}
    }
    let old = OLD_NAMES.iter().find(|name| text[1..].starts_with(name));
    match old.and_then(|name| Some((named(name)?, name.len()))) {
        Some((character, size)) => Reading::Character(character, size + 1),
        None => Reading::Plain,
    }
}

/// Names that HTML takes without the semicolon.
const OLD_NAMES: [&[u8]; 9] = [b"lt", b"LT", b"gt", b"GT", b"amp", b"AMP", b"quot", b"QUOT", b"nbsp"];

/// The names of ASCII characters, and of blanks that could stand for one or hide between letters.
fn named(name: &[u8]) -> Option<char> {
    Some(match name {
        b"Tab" => '\t',
        b"NewLine" => '\n',
        b"excl" => '!',
        b"quot" | b"QUOT" => '"',
        b"num" => '#',
        b"dollar" => '$',
        b"percnt" => '%',
        b"amp" | b"AMP" => '&',
        b"apos" => '\'',
        b"lpar" => '(',
        b"rpar" => ')',
        b"ast" | b"midast" => '*',
        b"plus" => '+',
        b"comma" => ',',
        b"period" => '.',
        b"sol" => '/',
        b"colon" => ':',
        b"semi" => ';',
        b"lt" | b"LT" => '<',
        b"equals" => '=',
        b"gt" | b"GT" => '>',
        b"quest" => '?',
        b"commat" => '@',
        b"lsqb" | b"lbrack" => '[',
        b"bsol" => '\\',
        b"rsqb" | b"rbrack" => ']',
        b"Hat" => '^',
        b"lowbar" | b"UnderBar" => '_',
        b"grave" | b"DiacriticalGrave" => '`',
        b"lcub" | b"lbrace" => '{',
        b"verbar" | b"vert" | b"VerticalLine" => '|',
        b"rcub" | b"rbrace" => '}',
        b"nbsp" | b"NonBreakingSpace" => '\u{a0}',
        b"shy" => '\u{ad}',
        b"ensp" => '\u{2002}',
        b"emsp" => '\u{2003}',
        b"thinsp" | b"ThinSpace" => '\u{2009}',
        b"ZeroWidthSpace"
        | b"NegativeThinSpace"
        | b"NegativeMediumSpace"
        | b"NegativeThickSpace"
        | b"NegativeVeryThinSpace" => '\u{200b}',
        b"ApplyFunction" | b"af" => '\u{2061}',
        b"InvisibleTimes" | b"it" => '\u{2062}',
        b"InvisibleComma" | b"ic" => '\u{2063}',
        b"zwnj" => '\u{200c}',
        b"zwj" => '\u{200d}',
        b"lrm" => '\u{200e}',
        b"rlm" => '\u{200f}',
        b"NoBreak" => '\u{2060}',
        // Letters in double-struck, script and Fraktur, which are compatibility forms of these.
        [letter, b'o', b'p', b'f'] | [letter, b's', b'c', b'r'] | [letter, b'f', b'r']
            if letter.is_ascii_alphabetic() =>
        {
            char::from(*letter)
        }
        _ => return None,
    })
}
