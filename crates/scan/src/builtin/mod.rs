//! Built-in rule sets: signatures of well-known attack families.
//!
//! A signature asks for the structure of an attack (a quote, then a condition that is always true; a separator, then
//! a command with its arguments), not for single words: people talk about SQL and shells. What only proves itself by
//! running (`1 and 1`, `;id` in a list of column names) is left alone. Payloads are expected with escapes
//! undone (see [`normalize`](crate::normalize)); spaces may be comments, as attackers write them.

mod command_injection;
mod sqli;
mod xss;

use crate::{Expression, FlagError, Pattern, PatternId};

/// The names of the rule sets.
pub const NAMES: [&str; 3] = ["xss", "sqli", "command-injection"];

/// One signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltinRule {
    /// Stable name, led by the set's, as `xss/script-element`. Rules that follow each other under one name are forms of one.
    pub name: &'static str,
    /// A regex as in [`Expression::Regex`].
    pub expression: &'static str,
    /// Letters for [`RegexFlags`](crate::RegexFlags).
    pub flags: &'static str,
}

impl BuiltinRule {
    /// This rule as a pattern for [`Database::compile`](crate::Database::compile).
    ///
    /// # Errors
    /// When `flags` has an unknown letter; the rules of this module have none.
    pub fn pattern(&self, id: PatternId) -> Result<Pattern, FlagError> {
        let flags = self.flags.parse()?;
        Ok(Pattern { id, expression: Expression::Regex { expression: self.expression.to_owned(), flags } })
    }
}

/// The rules of the set `name`, one of [`NAMES`].
pub fn rule_set(name: &str) -> Option<&'static [BuiltinRule]> {
    match name {
        "xss" => Some(xss::RULES),
        "sqli" => Some(sqli::RULES),
        "command-injection" => Some(command_injection::RULES),
        _ => None,
    }
}

/// Case never matters in these rules.
const fn rule(name: &'static str, expression: &'static str) -> BuiltinRule {
    BuiltinRule { name, expression, flags: "i" }
}
