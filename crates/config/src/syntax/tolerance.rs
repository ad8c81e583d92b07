//! The two tolerances beside KDL v2, by rewriting the text before it is parsed:
//! bare `true`, `false` and `null` where a value stands, and values in brackets, `["a" "b"]`, with or without commas.
//!
//! Brackets, commas and line ends within them become blanks of the same length; only the `#` of `#true` makes the text
//! longer, and an [`OffsetMap`] remembers where. The blocks are balanced on the way, because the parser behind
//! recurses: what it is given is at most [`DEPTH_MAX`] deep, and block comments are blank.

use std::ops::Range;

use super::OffsetMap;
use super::lexer::{self, Fault, Kind, Token};

/// Blocks within blocks; the deepest that means anything is three.
const DEPTH_MAX: usize = 8;

/// Text in plain KDL v2, and the way back.
///
/// # Errors
/// The first mistake of syntax.
pub(super) fn rewrite(text: &str) -> Result<(String, OffsetMap), Fault> {
    if let Some(fault) = lexer::disallowed(text) {
        return Err(fault);
    }
    let mut rewriter = Rewriter::new(text);
    while let Some(token) = lexer::token(text, rewriter.copied, rewriter.list.is_some())? {
        rewriter.take(token)?;
    }
    rewriter.finish()
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Name,
    /// After a node's name.
    Entry,
    /// After a word or text that a `=` may follow.
    EntryOrEquals,
    /// After `=`.
    Value,
    /// After a node's block: only the end of the node.
    End,
}

struct Rewriter<'t> {
    text: &'t str,
    output: String,
    offsets: OffsetMap,
    /// How much of `text` is in `output`.
    copied: usize,
    place: Place,
    blocks: Vec<OpenBlock>,
    /// Where the open list opens.
    list: Option<usize>,
    /// A `/-` that waits for what it hides.
    slash_dash: Option<Range<usize>>,
    /// Where the last value or name ended.
    value_end: Option<usize>,
}

struct OpenBlock {
    start: usize,
    /// What comes after it.
    after: Place,
    /// By a `/-` of its own.
    hidden: bool,
}

impl<'t> Rewriter<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            output: String::with_capacity(text.len() + text.len() / 16),
            offsets: OffsetMap::default(),
            copied: 0,
            place: Place::Name,
            blocks: Vec::new(),
            list: None,
            slash_dash: None,
            value_end: None,
        }
    }

    fn take(&mut self, token: Token) -> Result<(), Fault> {
        let Token { kind, range } = token;
        match kind {
            Kind::Space => self.copy(range),
            Kind::BlockComment => self.blank(range),
            Kind::LineEnd => return self.line_end(range),
            Kind::SlashDash => return self.hide(range),
            Kind::Word | Kind::Text | Kind::Keyword => return self.value(kind, range),
            Kind::ListOpen => return self.open_list(range),
            Kind::ListClose => return self.close_list(range),
            Kind::Comma => self.blank(range),
            _ if self.list.is_some() => {
                return Err(fault(range, "a list holds values only", "close it with `]` first"));
            }
            Kind::Semicolon => return self.end_node(range),
            Kind::Equals => return self.equals(range),
            Kind::BlockOpen => return self.open_block(range),
            Kind::BlockClose => return self.close_block(range),
        }
        Ok(())
    }

    fn line_end(&mut self, range: Range<usize>) -> Result<(), Fault> {
        if self.list.is_some() {
            self.blank(range);
        } else if self.slash_dash.is_some() {
            // What is hidden may stand on the next line.
            self.copy(range);
        } else {
            return self.end_node(range);
        }
        Ok(())
    }

    fn end_node(&mut self, range: Range<usize>) -> Result<(), Fault> {
        self.nothing_awaited(range.start)?;
        self.copy(range);
        self.place = Place::Name;
        Ok(())
    }

    fn hide(&mut self, range: Range<usize>) -> Result<(), Fault> {
        self.nothing_awaited(range.start)?;
        self.slash_dash = Some(range.clone());
        self.copy(range);
        Ok(())
    }

    fn value(&mut self, kind: Kind, range: Range<usize>) -> Result<(), Fault> {
        let word = &self.text[range.clone()];
        if self.place == Place::End {
            return Err(fault(range, "this node has ended", "begin the next one on a new line or after `;`"));
        }
        if word.starts_with(',') {
            return Err(fault(range, "values stand side by side without commas", "remove the comma"));
        }
        if self.value_end == Some(range.start) && self.place != Place::Value {
            return Err(fault(range, "a blank is missing before this", "put a blank between two values"));
        }
        if kind == Kind::Word && is_broken_number(word) {
            let help = "write it with a digit at its begin, and 32 at most; texts stand in quotes";
            return Err(fault(range, "this is not a number that can be read", help));
        }
        let bare = kind == Kind::Word && matches!(word, "true" | "false" | "null");
        if bare && self.place != Place::Name && !self.is_key(range.end)? {
            self.offsets.insert(self.output.len());
            self.output.push('#');
        }
        self.place = match self.place {
            Place::Name => Place::Entry,
            Place::Value => Place::Entry,
            _ if kind == Kind::Keyword || self.list.is_some() => Place::Entry,
            _ => Place::EntryOrEquals,
        };
        self.slash_dash = None;
        self.value_end = Some(range.end);
        self.copy(range);
        Ok(())
    }

    fn equals(&mut self, range: Range<usize>) -> Result<(), Fault> {
        if self.place != Place::EntryOrEquals {
            let help = "a node's value follows its name without `=`: name \"value\"";
            return Err(fault(range, "`=` stands only between a property and its value", help));
        }
        self.copy(range);
        self.place = Place::Value;
        Ok(())
    }

    fn open_block(&mut self, range: Range<usize>) -> Result<(), Fault> {
        let hidden = self.slash_dash.take().is_some();
        let after = match self.place {
            Place::Entry | Place::EntryOrEquals | Place::End if hidden => self.place,
            Place::Entry | Place::EntryOrEquals => Place::End,
            Place::End => return Err(fault(range, "this node has its block already", "remove one of them")),
            Place::Name => return Err(fault(range, "a block needs a name before it", "write name { ... }")),
            Place::Value => return Err(value_awaited(range)),
        };
        if self.blocks.len() == DEPTH_MAX {
            return Err(fault(range, "blocks stand too deep in one another", "close some of them before"));
        }
        // The parser tries each of these several times, and all of them for each of those around them.
        if hidden && self.blocks.iter().any(|block| block.hidden) {
            return Err(fault(range, "this block is hidden already", "remove the `/-` before it"));
        }
        self.blocks.push(OpenBlock { start: range.start, after, hidden });
        self.copy(range);
        self.place = Place::Name;
        Ok(())
    }

    fn close_block(&mut self, range: Range<usize>) -> Result<(), Fault> {
        self.nothing_awaited(range.start)?;
        let Some(OpenBlock { after, .. }) = self.blocks.pop() else {
            return Err(fault(
                range,
                "this `}` closes nothing",
                "remove it, or add the `{` that it belongs to",
            ));
        };
        self.copy(range);
        self.place = after;
        Ok(())
    }

    fn open_list(&mut self, range: Range<usize>) -> Result<(), Fault> {
        if let Some(hidden) = &self.slash_dash {
            return Err(fault(
                hidden.clone(),
                "`/-` hides one value, not a list",
                "put it before each value",
            ));
        }
        match self.place {
            _ if self.list.is_some() => {
                return Err(fault(range, "a list within a list means nothing here", "close the first one"));
            }
            Place::Entry | Place::EntryOrEquals => {}
            Place::Value => {
                return Err(fault(range, "a property has one value, not a list", "remove the brackets"));
            }
            Place::Name => {
                return Err(fault(range, "a list needs a name before it", "write name [\"a\" \"b\"]"));
            }
            Place::End => {
                return Err(fault(range, "this node has ended", "put its values before its block"));
            }
        }
        self.list = Some(range.start);
        self.blank(range);
        self.place = Place::Entry;
        Ok(())
    }

    fn close_list(&mut self, range: Range<usize>) -> Result<(), Fault> {
        self.nothing_awaited(range.start)?;
        if self.list.take().is_none() {
            return Err(fault(
                range,
                "this `]` closes nothing",
                "remove it, or add the `[` that it belongs to",
            ));
        }
        self.blank(range);
        self.place = Place::Entry;
        Ok(())
    }

    fn finish(self) -> Result<(String, OffsetMap), Fault> {
        if let Some(start) = self.list {
            return Err(fault(start..start + 1, "this list is never closed", "end it with `]`"));
        }
        if let Some(OpenBlock { start, .. }) = self.blocks.last() {
            return Err(fault(*start..*start + 1, "this block is never closed", "end it with `}`"));
        }
        self.nothing_awaited(self.text.len())?;
        Ok((self.output, self.offsets))
    }

    /// A `=` or `/-` waits for what follows it.
    fn nothing_awaited(&self, at: usize) -> Result<(), Fault> {
        match &self.slash_dash {
            Some(range) => Err(fault(range.clone(), "`/-` hides nothing here", "remove it")),
            None if self.place == Place::Value => Err(value_awaited(at..at)),
            None => Ok(()),
        }
    }

    /// Whether a `=` follows, so that the word before `end` is a property's name.
    fn is_key(&self, mut end: usize) -> Result<bool, Fault> {
        while let Some(token) = lexer::token(self.text, end, self.list.is_some())? {
            match token.kind {
                Kind::Space | Kind::BlockComment => end = token.range.end,
                kind => return Ok(kind == Kind::Equals),
            }
        }
        Ok(false)
    }

    fn copy(&mut self, range: Range<usize>) {
        self.copied = range.end;
        self.output.push_str(&self.text[range]);
    }

    fn blank(&mut self, range: Range<usize>) {
        self.copied = range.end;
        self.output.extend(range.map(|_| ' '));
    }
}

/// What is neither a number that fits nor an identifier: `.5`, `-.5`, or a hundred digits.
fn is_broken_number(word: &str) -> bool {
    // An i128 in binary, with its prefix and sign, would have more; no value here needs them.
    const NUMBER_LEN_MAX: usize = 32;
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    let is_digit = |first: char| first.is_ascii_digit();
    unsigned.strip_prefix('.').is_some_and(|rest| rest.starts_with(is_digit))
        || (unsigned.starts_with(is_digit) && unsigned.len() > NUMBER_LEN_MAX)
}

fn value_awaited(range: Range<usize>) -> Fault {
    fault(range, "a value is missing after `=`", "write the value after it: name=\"value\"")
}

fn fault(range: Range<usize>, message: &'static str, help: &'static str) -> Fault {
    Fault::new(range, message, help)
}

#[cfg(test)]
#[path = "tolerance_tests.rs"]
mod tests;
