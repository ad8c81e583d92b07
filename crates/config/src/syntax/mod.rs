//! From the user's text to a KDL document whose spans can be traced back.

mod lexer;
mod offsets;
mod strings;
mod tolerance;

use kdl::{KdlDiagnostic, KdlDocument};

pub(crate) use self::offsets::OffsetMap;

use crate::diagnostics::Findings;

/// Parses KDL v2 with the two tolerances; `None` when there are mistakes of syntax. From then on `findings` takes
/// spans of the document.
pub(crate) fn parse(text: &str, findings: &mut Findings) -> Option<KdlDocument> {
    let (rewritten, offsets) = match tolerance::rewrite(text) {
        Ok(rewritten) => rewritten,
        Err(fault) => {
            findings.mistake(fault.range.into(), fault.message, fault.help);
            return None;
        }
    };
    findings.set_offsets(offsets);
    match KdlDocument::parse_v2(&rewritten) {
        Ok(document) => Some(document),
        Err(error) => {
            // Of several messages about one place, the last says most: "invalid node name" after "identifier".
            let mut diagnostics = error.diagnostics;
            diagnostics.reverse();
            diagnostics.sort_by_key(|diagnostic| diagnostic.span.offset());
            diagnostics.dedup_by_key(|diagnostic| diagnostic.span.offset());
            for diagnostic in diagnostics {
                report(diagnostic, findings);
            }
            None
        }
    }
}

fn report(diagnostic: KdlDiagnostic, findings: &mut Findings) {
    let message = diagnostic.message.unwrap_or_else(|| "this is not KDL".to_owned());
    let help = diagnostic.help.unwrap_or_else(|| "put texts in quotes: name \"value\"".to_owned());
    findings.mistake(diagnostic.span, message, help);
}
