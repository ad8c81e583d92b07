//! Just enough JSON to write one line (RFC 8259), safe for whoever shows it on a terminal.

use std::io::Write;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// An object on one line.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Line<'a> {
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out }
    }

    pub fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }

    /// A string of which `write` writes the inside; it must not need escapes.
    pub fn plain(&mut self, key: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        self.key(key);
        self.out.push(b'"');
        write(self.out);
        self.out.push(b'"');
    }

    pub fn text(&mut self, key: &'static str, text: &str) {
        self.plain(key, |out| escape(text, out));
    }

    pub fn text_or_null(&mut self, key: &'static str, text: Option<&str>) {
        match text {
            Some(text) => self.text(key, text),
            None => self.null(key),
        }
    }

    pub fn number(&mut self, key: &'static str, number: impl itoa::Integer) {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    pub fn null(&mut self, key: &'static str) {
        self.key(key);
        self.out.extend_from_slice(b"null");
    }

    fn key(&mut self, key: &'static str) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// Writes bytes as lower-case hexadecimal digits.
pub(crate) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend([byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]));
    }
}

/// Writes the inside of a JSON string. Beyond what JSON asks, everything is escaped that could end a line, drive a
/// terminal or turn the direction of the text.
fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((at, special)) = rest.char_indices().find(|(_, each)| is_special(*each)) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        match special {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            // All others are in the basic plane: one UTF-16 unit. Writing to a Vec can't fail.
            special => drop(write!(out, "\\u{:04x}", u32::from(special))),
        }
        rest = &rest[at + special.len_utf8()..];
    }
    out.extend_from_slice(rest.as_bytes());
}

const fn is_special(each: char) -> bool {
    matches!(each,
        '"' | '\\'
        | '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' // C0, DEL, C1
        | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // directions
        | '\u{2028}' | '\u{2029}' | '\u{feff}' // line and paragraph separators, byte order mark
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        escape(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_character_survives_and_none_of_the_special_ones_shows() {
        let all: Vec<char> = ('\0'..=char::MAX).collect();
        for some in all.chunks(4_096) {
            let text = String::from_iter(some);
            let escaped = escaped(&text);
            let parsed: String = serde_json::from_str(&format!("\"{escaped}\"")).unwrap();
            assert_eq!(parsed, text);
            assert!(
                !escaped.chars().any(|each| each.is_control() || matches!(each, '\u{2028}' | '\u{2029}'))
            );
        }
    }

    #[test]
    fn known_escapes() {
        assert_eq!(escaped("\"\\\r\n\u{1b}\u{7f}\u{2028}é😀"), r#"\"\\\u000d\u000a\u001b\u007f\u2028é😀"#);
        assert_eq!(escaped(""), "");
    }

    #[test]
    fn hexadecimal() {
        let mut out = Vec::new();
        write_hex(&[0x00, 0x1f, 0xa0, 0xff], &mut out);
        assert_eq!(out, b"001fa0ff");
    }
}
