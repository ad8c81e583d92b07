//! What the patterns of a direction redact, compiled to find all of a match.

use std::sync::Arc;

use wsi_policy::{Action, Policy};
use wsi_scan::{CompileError, Kinds, Pattern, PatternId, Scratch, SpanDatabase};

use super::{EngineError, FilterPattern};

/// What a match becomes by default, once for each character.
pub(crate) const MASK: u8 = b'*';

/// The patterns with action `redact`. It is asked only where one of them has matched.
#[derive(Debug)]
pub(crate) struct Redaction {
    pub database: SpanDatabase,
    /// By pattern id.
    pub patterns: Vec<RedactPattern>,
}

#[derive(Debug)]
pub(crate) struct RedactPattern {
    /// What may have been undone for a match to count.
    pub kinds: Kinds,
    /// What takes the place of a match in text; `None`: a [`MASK`] for each character.
    pub with: Option<Arc<str>>,
}

impl Redaction {
    /// `None`: nothing is redacted.
    ///
    /// # Errors
    /// A pattern that would match what takes the place of a match, by the name that `name` gives its rule.
    pub fn compile(
        policy: &Policy,
        patterns: &[&FilterPattern],
        name: impl Fn(&FilterPattern) -> String,
    ) -> Result<Option<Self>, EngineError> {
        let chosen: Vec<_> =
            patterns.iter().filter(|pattern| pattern.rule.action == Action::Redact).collect();
        let Some(first) = chosen.first() else { return Ok(None) };
        let numbered = |is_built_in: bool| -> Vec<_> {
            let numbered = (0..).zip(&chosen).filter(|(_, pattern)| pattern.is_built_in == is_built_in);
            numbered
                .map(|(id, pattern)| Pattern { id: PatternId(id), expression: pattern.expression.clone() })
                .collect()
        };
        let fault = |source: CompileError| EngineError::Pattern {
            policy: policy.name.clone(),
            rule: name(first),
            source: Box::new(source),
        };
        // Built-in rules are too large to follow where their matches start.
        let database = SpanDatabase::compile(&numbered(false), &numbered(true)).map_err(fault)?;
        let redaction = Self {
            database,
            patterns: chosen
                .iter()
                .map(|pattern| RedactPattern { kinds: pattern.rule.kinds, with: pattern.redact_with.clone() })
                .collect(),
        };
        let culprit = chosen.iter().find_map(|pattern| redaction.finds_replacement(pattern));
        match culprit.and_then(|culprit| chosen.get(culprit)) {
            Some(pattern) => {
                Err(EngineError::Replacement { policy: policy.name.clone(), rule: name(pattern) })
            }
            None => Ok(Some(redaction)),
        }
    }

    /// The pattern that is found in what takes the place of a match of this one, so that nothing could ever be redacted.
    fn finds_replacement(&self, pattern: &FilterPattern) -> Option<usize> {
        let masks = [MASK; 32];
        let text = pattern.redact_with.as_ref().map_or(&masks[..], |text| text.as_bytes());
        let mut scratch = Scratch::default();
        let mut found = None;
        if self.database.databases().into_iter().all(|each| scratch.fit(each).is_ok()) {
            // Where there is no memory for it, messages will be dropped for the same reason.
            let _ = self.database.scan(&mut scratch, text, |id, _| found = Some(id.0 as usize));
        }
        found
    }
}
