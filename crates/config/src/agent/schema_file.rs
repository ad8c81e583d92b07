//! Files of schemas.

use std::path::{Path, PathBuf};

use crate::diagnostics::Findings;
use crate::document::Value;

/// What a file should hold, for help.
pub(super) const JSON_SCHEMA: &str = "a JSON Schema";
pub(super) const PROTOBUF: &str = "Protobuf messages: a .proto file, or a descriptor set";

/// A relative path is looked for in the current directory, then beside the configuration.
pub(super) fn find_file(
    value: Value<'_>,
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
        findings.mistake(
            value.span(),
            format!("schema file \"{shown}\" is a folder"),
            format!("name the file in it that holds {holds}"),
        );
        return None;
    }
    let help = match path.is_absolute() || beside.to_string() == shown.to_string() {
        true => format!("create {shown}, which should hold {holds}, or correct the path"),
        false => format!(
            "create it in the current directory or at {beside}; it should hold {holds}. Or correct the path"
        ),
    };
    findings.mistake(value.span(), format!("schema file \"{shown}\" is missing"), help);
    None
}
