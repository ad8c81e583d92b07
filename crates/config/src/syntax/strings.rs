//! The end of a KDL string (KDL 2.0.0, "Quoted String", "Raw String" and "Multi-line String").

use super::lexer::{Fault, is_space, newline_len, newline_or_space_len};

const QUOTES: &str = "\"\"\"";

/// The end of the quoted string at `start`.
///
/// # Errors
/// A string that is not closed, and an escape that KDL doesn't have.
pub(super) fn quoted_end(text: &str, start: usize) -> Result<usize, Fault> {
    let multi_line = opens_lines(&text[start..]);
    let closing = if multi_line { QUOTES } else { "\"" };
    let mut at = start + closing.len();
    loop {
        let rest = &text[at..];
        if rest.starts_with(closing) {
            return Ok(at + closing.len());
        }
        let Some(first) = rest.chars().next() else { return Err(unclosed(text, start)) };
        if first == '\\' {
            at += escape_len(text, at)?;
        } else if !multi_line && newline_len(rest) > 0 {
            return Err(unclosed(text, start));
        } else {
            at += first.len_utf8();
        }
    }
}

/// The end of the raw string at `start`, which begins with `hashes` hashes and a quote.
///
/// # Errors
/// A string that is not closed.
pub(super) fn raw_end(text: &str, start: usize, hashes: usize) -> Result<usize, Fault> {
    let body = start + hashes;
    let multi_line = opens_lines(&text[body..]);
    let quotes = if multi_line { QUOTES } else { "\"" };
    let closing = format!("{quotes}{}", &text[start..body]);
    let from = body + quotes.len();
    let end = text[from..].find(&closing).ok_or_else(|| unclosed(text, start))?;
    if !multi_line && text[from..from + end].char_indices().any(|(at, _)| newline_len(&text[from + at..]) > 0)
    {
        return Err(unclosed(text, start));
    }
    Ok(from + end + closing.len())
}

fn opens_lines(rest: &str) -> bool {
    rest.strip_prefix(QUOTES).is_some_and(|after| newline_len(after) > 0)
}

/// The length of the escape at `at`, backslash included.
fn escape_len(text: &str, at: usize) -> Result<usize, Fault> {
    let after = &text[at + 1..];
    let length = match after.chars().next() {
        Some('"' | '\\' | 'b' | 'f' | 'n' | 'r' | 't' | 's') => Some(2),
        Some('u') => unicode_escape_len(after).map(|length| length + 1),
        Some(first) if is_space(first) || newline_len(after) > 0 => Some(1 + newline_or_space_len(after)),
        _ => None,
    };
    length.ok_or_else(|| {
        let shown: String = text[at..].chars().take(2).collect();
        let message = format!("`{shown}` is not an escape of KDL");
        Fault::new(
            at..at + shown.len(),
            message,
            "write a backslash as `\\\\`, or use a raw string as in #\"/exec\\(/\"#",
        )
    })
}

/// The length of `u{...}`: one to six hexadecimal digits that name a character.
fn unicode_escape_len(after: &str) -> Option<usize> {
    let digits = after.strip_prefix("u{")?.split_once('}')?.0;
    let is_hex = (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_hex.then(|| u32::from_str_radix(digits, 16).ok())??;
    char::from_u32(number).map(|_| digits.len() + 3)
}

fn unclosed(text: &str, start: usize) -> Fault {
    let line = text[start..].find(['\n', '\r']).map_or(text.len(), |length| start + length);
    Fault::new(
        start..line,
        "this string is never closed",
        "end it with the quotes that it begins with; a string of several lines stands between \"\"\" and \"\"\", each \
         on a line of its own",
    )
}
