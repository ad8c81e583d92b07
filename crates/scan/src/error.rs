//! Errors, each saying what to do next.

/// A letter that is no regex flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown regex flag {flag:?}; the flags are i (ignore case), m (^ and $ at every line), s (dot matches \
     newline), u (Unicode)"
)]
pub struct FlagError {
    pub flag: char,
}

/// A set of patterns that is no database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// One pattern is at fault.
    #[error("pattern {expression:?}: {reason}{}", with_advice(*.advice))]
    Pattern {
        /// Position in the list given to [`Database::compile`](crate::Database::compile), from 0.
        index: usize,
        /// The pattern as it was written.
        expression: String,
        /// What is wrong, mostly in Hyperscan's own words.
        reason: String,
        /// How to write it instead, where that is known.
        advice: Option<&'static str>,
    },
    /// The set as a whole is at fault, or the machine.
    #[error("the pattern set could not be compiled: {reason}{}", with_advice(*.advice))]
    Set { reason: String, advice: Option<&'static str> },
}

/// A scan that did not take place, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// The scratch was never fitted to this database.
    #[error("the scratch is not fitted to this database; call Scratch::fit once for each database it serves")]
    UnfittedScratch,
    /// Hyperscan counts in 32 bits.
    #[error("{length} bytes are more than one scan takes ({max}); lower the message size limit", max = u32::MAX)]
    TooLong { length: usize },
    /// More matches than are looked for one by one.
    #[error("patterns match in more places than are looked for")]
    TooManyMatches,
    /// Hyperscan failed: in practice only for want of memory.
    #[error("Hyperscan failed: {0}")]
    Engine(String),
}

/// What to do about `reason`, as Hyperscan 5.4 words it.
pub(crate) fn advice(reason: &str) -> Option<&'static str> {
    let reason = reason.to_ascii_lowercase();
    ADVICE.iter().find(|(part, _)| reason.contains(part)).map(|(_, advice)| *advice)
}

const ADVICE: [(&str, &str); 15] = [
    (
        "zero-width assertion",
        "lookahead and lookbehind, (?=..) (?!..) (?<=..) (?<!..), are not supported: match the surrounding text as \
         part of the pattern, or list what may follow as a class such as [^a-z]",
    ),
    ("back-reference", "spell the repeated text out, or repeat its class, as in (\"[^\"]*\"|'[^']*')"),
    ("backreference", "spell the repeated text out, or repeat its class, as in (\"[^\"]*\"|'[^']*')"),
    ("atomic group", "write a plain group (?:..) instead: there is no backtracking to prevent"),
    ("possessive", "drop the + behind the quantifier: there is no backtracking to prevent"),
    ("conditional", "write both branches as alternatives, (?:..|..)"),
    ("recursion", "nesting can't be matched: match its outermost fixed part"),
    ("too large", "shorten the pattern or lower its repeat counts, as {0,1000} to {0,100} or *"),
    ("length exceeds", "split the pattern, or match a shorter part of it"),
    ("end anchors not", "move $ to the end of the pattern, or write \\n for the end of a line"),
    ("start anchors not", "move ^ to the start of the pattern, or write \\n for the start of a line"),
    ("never match", "check the anchors ^ and $; \\p{..} beyond ASCII needs the flag u"),
    ("greater than \\xff", "add the flag u to match characters beyond ASCII"),
    ("control verb", "use the flags i, m, s, u instead"),
    ("\\r at index", "write the line ends out, as (?:\\r\\n|\\n)"),
];

fn with_advice(advice: Option<&'static str>) -> String {
    advice.map_or_else(String::new, |advice| format!("; {advice}"))
}
