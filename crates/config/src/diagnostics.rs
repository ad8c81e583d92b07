//! What is wrong with a configuration, and where.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode, SourceSpan, ThemeCharacters,
    ThemeStyles,
};

use crate::source::Source;
use crate::syntax::OffsetMap;

/// Mistakes that are kept; a file with more is better corrected from the top.
const MISTAKES_MAX: usize = 100;
/// The longest message or help, in characters.
const TEXT_CHARS_MAX: usize = 1_000;
/// How much of a text is underlined, in bytes.
const SPAN_LEN_MAX: usize = 200;
/// Warnings that are kept.
const WARNINGS_MAX: usize = 100;

/// One mistake, with the text it stands in.
#[derive(Clone, Debug)]
pub struct Mistake {
    message: String,
    help: String,
    place: Option<Place>,
}

#[derive(Clone, Debug)]
struct Place {
    source: Arc<Source>,
    span: SourceSpan,
}

impl Mistake {
    /// What to do about it.
    pub fn help(&self) -> &str {
        &self.help
    }

    /// Line and column (in characters), both from 1; `None` when the mistake concerns the whole file.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.place.as_ref().map(|place| place.source.position(place.span.offset()))
    }

    fn offset(&self) -> usize {
        self.place.as_ref().map_or(usize::MAX, |place| place.span.offset())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

impl Diagnostic for Mistake {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.as_ref().map(|place| &*place.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, place.span))))
    }
}

/// Something that is allowed but deserves a look. Shown as `file:line:column text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{} {}", self.file, self.line, self.column, self.text)
    }
}

/// Every mistake that was found in a configuration, in the order of the text. Shown as [`ConfigError::render`]
/// without colour.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    mistakes: Vec<Mistake>,
    /// How many more there are.
    omitted: usize,
}

impl ConfigError {
    pub(crate) fn of_file(message: String, help: &str) -> Self {
        let mistake = Mistake { message: clipped(message), help: help.to_owned(), place: None };
        Self { mistakes: vec![mistake], omitted: 0 }
    }

    /// At least one; each is a [`miette::Diagnostic`].
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The report for a person: each mistake with file, line and column, the line itself underlined, and what to do.
    pub fn render(&self, colour: bool) -> String {
        let styles = if colour { ThemeStyles::ansi() } else { ThemeStyles::none() };
        let theme = GraphicalTheme { characters: ThemeCharacters::unicode(), styles };
        // Unwrapped, so that a message can be searched for.
        let handler = GraphicalReportHandler::new_themed(theme).with_wrap_lines(false).with_context_lines(1);
        let mut report = String::new();
        for mistake in &self.mistakes {
            if handler.render_report(&mut report, mistake).is_err() {
                report.push_str(&mistake.message);
            }
            report.push('\n');
        }
        match self.omitted {
            0 => {}
            omitted => report.push_str(&format!("{omitted} more mistakes are not shown.\n")),
        }
        report
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.render(false).trim_end())
    }
}

/// Collects what is found while a text is read. Spans are given in the rewritten text, until it is parsed in the
/// user's own, and are kept in the user's own.
#[derive(Debug)]
pub(crate) struct Findings {
    source: Arc<Source>,
    offsets: OffsetMap,
    mistakes: Vec<Mistake>,
    omitted: usize,
    warnings: Vec<Warning>,
    places: Places,
}

/// Where each rule stands, for mistakes that only its compilation finds.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// By policy and rule, as `guard` and `content-filter-1/block-patterns-2`.
    rules: HashMap<(String, String), Place>,
}

impl Places {
    /// The report of a mistake in `rule` of `policy`; without a place where the rule is not known.
    pub fn mistake(&self, policy: &str, rule: &str, message: String, help: &str) -> ConfigError {
        let place = self.rules.get(&(policy.to_owned(), rule.to_owned())).cloned();
        let mistake = Mistake { message: clipped(message), help: help.to_owned(), place };
        ConfigError { mistakes: vec![mistake], omitted: 0 }
    }
}

impl Findings {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source: Arc::new(source),
            offsets: OffsetMap::default(),
            mistakes: Vec::new(),
            omitted: 0,
            warnings: Vec::new(),
            places: Places::default(),
        }
    }

    /// Remembers where a rule stands.
    pub(crate) fn rule(&mut self, policy: &str, rule: String, span: SourceSpan) {
        let place = Place { source: Arc::clone(&self.source), span: self.original(span) };
        self.places.rules.insert((policy.to_owned(), rule), place);
    }

    /// From here on spans are those of the rewritten text.
    pub(crate) fn set_offsets(&mut self, offsets: OffsetMap) {
        self.offsets = offsets;
    }

    pub(crate) fn mistake(&mut self, span: SourceSpan, message: impl Into<String>, help: impl Into<String>) {
        if self.mistakes.len() == MISTAKES_MAX {
            self.omitted += 1;
            return;
        }
        let place = Place { source: Arc::clone(&self.source), span: self.original(span) };
        let (message, help) = (clipped(message.into()), clipped(help.into()));
        self.mistakes.push(Mistake { message, help, place: Some(place) });
    }

    /// A name or value that is agreed but not built: refused, because ignoring it would weaken a policy silently.
    pub(crate) fn not_built(&mut self, span: SourceSpan, what: &str, instead: &str) {
        self.mistake(span, format!("`{what}` is not built yet: it is refused, not ignored"), instead);
    }

    pub(crate) fn warning(&mut self, span: SourceSpan, text: impl Into<String>) {
        if self.warnings.len() < WARNINGS_MAX {
            let (line, column) = self.source.position(self.original(span).offset());
            let file = self.source.name().to_owned();
            self.warnings.push(Warning { file, line, column, text: clipped(text.into()) });
        }
    }

    pub(crate) fn into_warnings(mut self) -> Result<(Vec<Warning>, Places), ConfigError> {
        if !self.mistakes.is_empty() {
            return Err(self.into_error());
        }
        self.warnings.sort_by_key(|warning| (warning.line, warning.column));
        Ok((self.warnings, self.places))
    }

    pub(crate) fn into_error(mut self) -> ConfigError {
        self.mistakes.sort_by_key(Mistake::offset);
        ConfigError { mistakes: self.mistakes, omitted: self.omitted }
    }

    fn original(&self, span: SourceSpan) -> SourceSpan {
        let start = self.offsets.original(span.offset()).min(self.source.len());
        let end = self.offsets.original(span.offset() + span.len()).min(self.source.len());
        (start..end.clamp(start, start + SPAN_LEN_MAX)).into()
    }
}

/// Names of the configuration stand in messages; neither their length nor their characters may spoil a report.
fn clipped(text: String) -> String {
    let mut clipped: String = text
        .chars()
        .take(TEXT_CHARS_MAX)
        .map(|one| if one.is_control() { '\u{fffd}' } else { one })
        .collect();
    if text.chars().nth(TEXT_CHARS_MAX).is_some() {
        clipped.push('…');
    }
    clipped
}
