//! Files of schemas.

use std::path::{Path, PathBuf};

use crate::diagnostics::Findings;
use crate::document::Value;
use crate::file;

/// What a file should hold, for help.
pub(super) const JSON_SCHEMA: &str = "a JSON Schema";
pub(super) const PROTOBUF: &str = "Protobuf messages: a .proto file, or a descriptor set";

pub(super) fn find_file(
    value: Value<'_>,
    holds: &str,
    base: &Path,
    findings: &mut Findings,
) -> Option<PathBuf> {
    file::find(value, "schema file", holds, base, findings)
}
