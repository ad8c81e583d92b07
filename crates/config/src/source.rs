//! The text of a configuration with its name, and where in it an offset lies.

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// Lines around a mistake that are together longer, in bytes, are not shown.
const SHOWN_LEN_MAX: usize = 2_000;

/// A named text. Lines end at LF, CR LF or CR; columns count characters; both begin at 1.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    text: String,
}

impl Source {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.chars().map(visible).collect() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Line and column of the byte at `offset`.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line_start = line_start(before);
        let ends = before[..line_start].bytes();
        let mut line = 1;
        let mut previous = 0;
        for byte in ends {
            line += usize::from(byte == b'\r' || (byte == b'\n' && previous != b'\r'));
            previous = byte;
        }
        (line, before[line_start..].chars().count() + 1)
    }
}

/// What stands for a character that would move the cursor or the reading direction of a terminal; as long in UTF-8,
/// so that offsets hold.
fn visible(character: char) -> char {
    match character {
        '\t' | '\n' | '\r' => character,
        '\0'..='\u{1f}' | '\u{7f}' => '?',
        '\u{80}'..='\u{9f}' => '¿',
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
            '\u{fffd}'
        }
        _ => character,
    }
}

fn line_start(before: &str) -> usize {
    before.rfind(['\n', '\r']).map_or(0, |at| at + 1)
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let mut contents = self.text.read_span(span, lines_before, lines_after)?;
        if contents.data().len() > SHOWN_LEN_MAX {
            contents = self.text.read_span(span, 0, 0)?;
        }
        // miette counts bytes; an editor counts characters.
        let column = match contents.column() {
            0 => 0,
            _ => self.position(span.offset()).1 - 1,
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            contents.data(),
            *contents.span(),
            contents.line(),
            column,
            contents.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_steer_a_terminal_are_replaced_in_place() {
        let text = "\u{1b}[2J\u{9b}\u{202e}\u{2028}\u{feff}\té";
        let source = Source::new("a.kdl", text);
        assert_eq!(source.text, "?[2J¿\u{fffd}\u{fffd}\u{fffd}\té");
        assert_eq!(source.text.len(), text.len());
    }

    #[test]
    fn positions_count_characters_and_every_line_end() {
        let source = Source::new("a.kdl", "é x\r\nb\rc\n\nd");
        let at = |needle| source.position(source.text.find(needle).unwrap());
        assert_eq!(at("x"), (1, 3));
        assert_eq!(at("b"), (2, 1));
        assert_eq!(at("c"), (3, 1));
        assert_eq!(at("d"), (5, 1));
        assert_eq!(source.position(usize::MAX), (5, 2));
    }
}
