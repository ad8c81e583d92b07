//! What is searched for, and its translation into Hyperscan's terms.

use std::{fmt::Write, str::FromStr};

use hyperscan::PatternFlags;

use crate::{CompileError, FlagError, error::advice};

/// The caller's name for a pattern; several patterns may share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatternId(pub u32);

/// One thing to search for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub id: PatternId,
    pub expression: Expression,
}

/// What is reported of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reports {
    /// That it occurs.
    Once,
    /// Every match, with its start.
    Spans,
    /// Every match.
    Ends,
}

/// The two languages of patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// These bytes, case-sensitively.
    Literal(Vec<u8>),
    /// PCRE syntax without lookaround, back-references, atomic groups and recursion.
    Regex { expression: String, flags: RegexFlags },
}

/// How a regex is read.
///
/// Without `unicode` a pattern is bytes: `.` is one byte, `\w` and ignored case are ASCII, and a character beyond
/// ASCII stands for its UTF-8 bytes in sequence (so it can't stand in a class). With `unicode` the pattern and the
/// text are characters, and `\w`, `\d`, `\b` and ignored case follow Unicode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegexFlags {
    /// `i`
    pub caseless: bool,
    /// `m`: `^` and `$` match at every line.
    pub multiline: bool,
    /// `s`: the dot matches newline too.
    pub dotall: bool,
    /// `u`
    pub unicode: bool,
}

impl FromStr for RegexFlags {
    type Err = FlagError;

    /// Letters of `imsu` in any order, or none.
    fn from_str(letters: &str) -> Result<Self, FlagError> {
        let mut flags = Self::default();
        for flag in letters.chars() {
            match flag {
                'i' => flags.caseless = true,
                'm' => flags.multiline = true,
                's' => flags.dotall = true,
                'u' => flags.unicode = true,
                _ => return Err(FlagError { flag }),
            }
        }
        Ok(flags)
    }
}

impl Pattern {
    /// Whether the pattern sees characters, not bytes.
    pub(crate) fn is_unicode(&self) -> bool {
        matches!(self.expression, Expression::Regex { flags: RegexFlags { unicode: true, .. }, .. })
    }

    /// `index` is the position to name in an error.
    pub(crate) fn to_engine(
        &self,
        index: usize,
        reports: Reports,
    ) -> Result<hyperscan::Pattern, CompileError> {
        let fault = |reason: &str, advice| {
            Err(CompileError::Pattern { index, expression: self.text(), reason: reason.into(), advice })
        };
        // Who only asks whether a pattern occurs has enough of one report: this lets Hyperscan forget a pattern once found. It can't
        // be combined with the start of a match.
        let mut flags = match reports {
            Reports::Once => PatternFlags::SINGLEMATCH,
            Reports::Spans => PatternFlags::SOM_LEFTMOST,
            Reports::Ends => PatternFlags::empty(),
        };
        let expression = match &self.expression {
            Expression::Literal(bytes) if bytes.is_empty() => {
                return fault(EMPTY_REASON, Some("write the text to look for"));
            }
            Expression::Literal(bytes) => escape_literal(bytes),
            // A verb such as (*UTF8) would switch modes behind the flags' back.
            Expression::Regex { expression, .. } if expression.starts_with("(*") => {
                return fault("starts with a control verb", Some("use the flags i, m, s, u instead"));
            }
            Expression::Regex { expression, .. } if expression.contains('\0') => {
                return fault("contains a NUL character", Some("write it as \\x00"));
            }
            Expression::Regex { expression, flags: regex_flags } => {
                flags |= regex_flags.to_engine();
                expression.clone()
            }
        };
        let id = Some(self.id.0 as usize);
        Ok(hyperscan::Pattern { expression, flags, id, ext: hyperscan::ExprExt::default(), som: None })
    }

    /// What Hyperscan says against this pattern.
    pub(crate) fn refusal(&self, index: usize, reason: String) -> CompileError {
        let expression = self.text();
        if reason.contains("matches empty buffer") {
            return CompileError::Pattern {
                index,
                expression,
                reason: EMPTY_REASON.into(),
                advice: Some(EMPTY_ADVICE),
            };
        }
        let advice = advice(&reason);
        CompileError::Pattern { index, expression, reason, advice }
    }

    /// As it was written, for messages.
    fn text(&self) -> String {
        match &self.expression {
            Expression::Literal(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Expression::Regex { expression, .. } => expression.clone(),
        }
    }
}

impl RegexFlags {
    fn to_engine(self) -> PatternFlags {
        [
            (self.caseless, PatternFlags::CASELESS),
            (self.multiline, PatternFlags::MULTILINE),
            (self.dotall, PatternFlags::DOTALL),
            (self.unicode, PatternFlags::UTF8 | PatternFlags::UCP),
        ]
        .into_iter()
        .filter_map(|(set, flag)| set.then_some(flag))
        .collect()
    }
}

/// Hyperscan's own words, without the crate's wrapping.
pub(crate) fn error_reason(error: &hyperscan::Error) -> String {
    match error {
        hyperscan::Error::Hyperscan(hyperscan::HsError::CompileError(error)) => error.message().to_owned(),
        _ => error.to_string(),
    }
}

const EMPTY_REASON: &str = "matches the empty string, so it would match every message";
const EMPTY_ADVICE: &str = "require at least one character, as + for *, or {1,9} for {0,9}";

/// A regex for exactly these bytes. Hyperscan's literal API can't share a database with regexes.
fn escape_literal(bytes: &[u8]) -> String {
    let mut regex = String::with_capacity(4 * bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() {
            regex.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(regex, "\\x{byte:02x}");
        }
    }
    regex
}
