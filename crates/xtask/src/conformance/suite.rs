//! Installs the suite, once.

use std::{fs, path::PathBuf};

use crate::run::{Result, command, root, run, target};

const PARTS: [&str; 5] = ["install.sh", "debian.sha256", "peers.txt", "pip.txt", "suite.txt"];

/// Where it was installed: `wstest` is the suite, `peers/bin/python` has `websockets`.
pub(crate) fn install() -> Result<PathBuf> {
    let directory = target().join("conformance/suite");
    let wanted = PARTS
        .iter()
        .map(|part| fs::read_to_string(sources().join(part)))
        .collect::<std::io::Result<String>>()?;
    let stamp = directory.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(directory);
    }
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    run(command(sources().join("install.sh")).arg(&directory))?;
    fs::write(stamp, wanted)?;
    Ok(directory)
}

/// The files beside this code that are not Rust.
pub(crate) fn sources() -> PathBuf {
    root().join("crates/xtask/conformance")
}
