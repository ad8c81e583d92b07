//! Files that a configuration names.

use std::path::{Path, PathBuf};

use crate::diagnostics::Findings;
use crate::document::Value;

/// A relative path is looked for in the current directory, then beside the configuration. `kind` is what the file is called in
/// messages, and `holds` what should be in it.
pub(crate) fn find(
    value: Value<'_>,
    kind: &str,
    holds: &str,
    base: &Path,
    findings: &mut Findings,
) -> Option<PathBuf> {
    let path = Path::new(value.string(findings)?);
    let beside = base.join(path);
    if let Some(found) = [path, &beside].into_iter().find(|place| place.is_file()) {
        return Some(found.to_owned());
    }
    let (shown, beside) = (path.display(), beside.display());
    if path.is_dir() {
        let help = format!("name the file in it that holds {holds}");
        findings.mistake(value.span(), format!("{kind} \"{shown}\" is a folder"), help);
        return None;
    }
    let help = match path.is_absolute() || beside.to_string() == shown.to_string() {
        true => format!("create {shown}, which should hold {holds}, or correct the path"),
        false => format!(
            "create it in the current directory or at {beside}; it should hold {holds}. Or correct the path"
        ),
    };
    findings.mistake(value.span(), format!("{kind} \"{shown}\" is missing"), help);
    None
}
