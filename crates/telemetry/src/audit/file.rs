//! The audit file.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The audit file can't be opened.
#[derive(Debug)]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

/// Opens the audit file to append to it. A new file is readable by its owner only.
///
/// # Errors
/// The system's, with what to do about it.
pub fn open(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| OpenError { path: path.to_owned(), source })
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = match self.source.kind() {
            io::ErrorKind::NotFound => "create its folder",
            io::ErrorKind::PermissionDenied => "let this user write to it and its folder",
            io::ErrorKind::IsADirectory => "name a file in it",
            io::ErrorKind::StorageFull => "make room on its disk",
            io::ErrorKind::ReadOnlyFilesystem => "choose a place that can be written",
            _ => "check it",
        };
        write!(
            f,
            "audit file \"{}\": {}; {advice}, or set another path in audit",
            self.path.display(),
            self.source
        )
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
