//! The tokens of KDL 2.0.0, as far as the tolerances need to tell them apart.

use std::ops::Range;

use super::strings;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Blanks, and a line that is continued by a backslash.
    Space,
    BlockComment,
    /// A line end, `//` comment included.
    LineEnd,
    Semicolon,
    /// An identifier or a number.
    Word,
    /// A quoted or raw string.
    Text,
    /// `#true` and its like.
    Keyword,
    Equals,
    BlockOpen,
    BlockClose,
    ListOpen,
    ListClose,
    /// Only in a list; elsewhere a comma is part of a word.
    Comma,
    SlashDash,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub range: Range<usize>,
}

/// A mistake of syntax, in the user's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub range: Range<usize>,
    pub message: String,
    pub help: &'static str,
}

impl Fault {
    pub(super) fn new(range: Range<usize>, message: impl Into<String>, help: &'static str) -> Self {
        Self { range, message: message.into(), help }
    }
}

/// The token at `start`, or `None` at the end of the text.
///
/// # Errors
/// Whatever can't begin a token, and a string or comment that doesn't end.
pub(super) fn token(text: &str, start: usize, in_list: bool) -> Result<Option<Token>, Fault> {
    let rest = &text[start..];
    let Some(first) = rest.chars().next() else { return Ok(None) };
    let (kind, end) = match first {
        _ if newline_len(rest) > 0 => (Kind::LineEnd, start + newline_len(rest)),
        _ if is_space(first) || (start == 0 && first == BYTE_ORDER_MARK) => {
            (Kind::Space, start + first.len_utf8())
        }
        _ if rest.starts_with("//") => (Kind::LineEnd, line_comment_end(text, start)),
        _ if rest.starts_with("/*") => (Kind::BlockComment, block_comment_end(text, start)?),
        _ if rest.starts_with("/-") => (Kind::SlashDash, start + 2),
        '\\' => (Kind::Space, continuation_end(text, start)?),
        '"' => (Kind::Text, strings::quoted_end(text, start)?),
        '#' => hash(text, start)?,
        ';' => (Kind::Semicolon, start + 1),
        '=' => (Kind::Equals, start + 1),
        '{' => (Kind::BlockOpen, start + 1),
        '}' => (Kind::BlockClose, start + 1),
        '[' => (Kind::ListOpen, start + 1),
        ']' => (Kind::ListClose, start + 1),
        ',' if in_list => (Kind::Comma, start + 1),
        _ if !is_word_char(first) => return Err(stray(start, first)),
        _ => (Kind::Word, word_end(text, start, in_list)),
    };
    Ok(Some(Token { kind, range: start..end }))
}

/// A character that KDL allows nowhere in a text (KDL 2.0.0, "Disallowed Literal Code Points").
pub(super) fn disallowed(text: &str) -> Option<Fault> {
    let (at, found) = text.char_indices().find(|(at, found)| {
        matches!(found,
            '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{200e}' | '\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || (*found == BYTE_ORDER_MARK && *at > 0)
    })?;
    let message = format!("the character U+{:04X} may not stand in a configuration", u32::from(found));
    let help = "remove it; in a quoted string it can be written as \\u{...}";
    Some(Fault::new(at..at + found.len_utf8(), message, help))
}

/// The length of the line end that `rest` begins with, or 0.
pub(super) fn newline_len(rest: &str) -> usize {
    match rest.chars().next() {
        Some('\r') if rest.as_bytes().get(1) == Some(&b'\n') => 2,
        Some(first @ ('\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')) => {
            first.len_utf8()
        }
        _ => 0,
    }
}

/// The length of the blanks and line ends that `rest` begins with.
pub(super) fn newline_or_space_len(rest: &str) -> usize {
    let mut length = 0;
    while let Some(first) = rest[length..].chars().next() {
        match newline_len(&rest[length..]) {
            0 if is_space(first) => length += first.len_utf8(),
            0 => break,
            newline => length += newline,
        }
    }
    length
}

pub(super) fn is_space(character: char) -> bool {
    matches!(
        character,
        '\t' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

const BYTE_ORDER_MARK: char = '\u{feff}';

fn is_word_char(character: char) -> bool {
    !is_space(character)
        && !matches!(character, '\\' | '/' | '(' | ')' | '{' | '}' | '[' | ']' | ';' | '"' | '#' | '=')
        && !matches!(character, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn word_end(text: &str, start: usize, in_list: bool) -> usize {
    let ends = |character: char| !is_word_char(character) || (in_list && character == ',');
    text[start..].find(ends).map_or(text.len(), |length| start + length)
}

/// A raw string or a keyword.
fn hash(text: &str, start: usize) -> Result<(Kind, usize), Fault> {
    let hashes = text[start..].bytes().take_while(|byte| *byte == b'#').count();
    if text[start + hashes..].starts_with('"') {
        return Ok((Kind::Text, strings::raw_end(text, start, hashes)?));
    }
    let end = word_end(text, start + 1, true);
    match &text[start + 1..end] {
        "true" | "false" | "null" | "inf" | "-inf" | "nan" => Ok((Kind::Keyword, end)),
        _ => Err(Fault::new(
            start..end.max(start + hashes),
            format!("`{}` is not a word of KDL", &text[start..end.max(start + hashes)]),
            "comments begin with //, and values are texts in quotes, numbers, true or false",
        )),
    }
}

fn line_comment_end(text: &str, start: usize) -> usize {
    let rest = &text[start..];
    let newline = rest.char_indices().map(|(at, _)| at).find(|at| newline_len(&rest[*at..]) > 0);
    newline.map_or(text.len(), |at| start + at + newline_len(&rest[at..]))
}

fn block_comment_end(text: &str, start: usize) -> Result<usize, Fault> {
    let bytes = text.as_bytes();
    let mut open = 0_usize;
    let mut at = start;
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => open += 1,
            b"*/" if open == 1 => return Ok(at + 2),
            b"*/" => open -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
    }
    Err(Fault::new(start..start + 2, "this comment is never closed", "end it with */"))
}

/// A backslash that continues the line: only blanks and a comment may follow.
fn continuation_end(text: &str, start: usize) -> Result<usize, Fault> {
    let mut at = start + 1;
    loop {
        match token(text, at, false) {
            Ok(None) => return Ok(at),
            Ok(Some(Token { kind: Kind::LineEnd, range })) => return Ok(range.end),
            Ok(Some(Token { kind: Kind::BlockComment, range })) => at = range.end,
            Ok(Some(Token { kind: Kind::Space, range })) if !text[range.clone()].starts_with('\\') => {
                at = range.end;
            }
            _ => return Err(stray(start, '\\')),
        }
    }
}

fn stray(start: usize, found: char) -> Fault {
    Fault::new(
        start..start + found.len_utf8(),
        format!("`{found}` has no meaning here"),
        "put texts in quotes: name \"value\"",
    )
}
