//! Builds the proxy from its published crate, once.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::run::{Result, cargo, run, target};

/// The first release that sends frames to an agent.
const VERSION: &str = "0.6.54";

/// Its own profile takes twice as long to build, and what it does is the same.
const PROFILE: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
];

/// The path of the binary.
pub(crate) fn build() -> Result<PathBuf> {
    let directory = target().join("interop");
    let binary = directory.join(format!("zentinel-{VERSION}"));
    if binary.exists() {
        return Ok(binary);
    }
    let source = directory.join(format!("zentinel-proxy-{VERSION}"));
    if !source.join("Cargo.lock").exists() {
        fetch(&source)?;
    }
    // The release that its lock file names can't be had everywhere. The proxy asks for Rust 1.96, and 1.95 is enough.
    run(cargo().current_dir(&source).args([
        "update",
        "--package=webpki-roots",
        "--precise=1.0.10",
        "--ignore-rust-version",
    ]))?;
    let built = directory.join("build");
    run(cargo()
        .current_dir(&source)
        .args([
            "build",
            "--release",
            "--bin",
            "zentinel",
            "--locked",
            "--ignore-rust-version",
            "--target-dir",
        ])
        .arg(&built)
        .envs(PROFILE))?;
    fs::copy(built.join("release/zentinel"), &binary)?;
    // Gigabytes that nobody needs any more.
    fs::remove_dir_all(built)?;
    Ok(binary)
}

/// Has cargo unpack the crate, and copies it: a build must not change what cargo keeps.
fn fetch(source: &Path) -> Result {
    let package = format!("zentinel-proxy-{VERSION}");
    run(cargo().args(["info", "--quiet", &format!("zentinel-proxy@{VERSION}")]))?;
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .ok_or("neither CARGO_HOME nor HOME says where cargo keeps crates: set one of them")?;
    for registry in fs::read_dir(home.join("registry/src"))? {
        let unpacked = registry?.path().join(&package);
        if unpacked.exists() {
            copy(&unpacked, source)?;
            // Otherwise cargo takes it for a part of the workspace that it lies in.
            let manifest = source.join("Cargo.toml");
            let text = fs::read_to_string(&manifest)? + "\n[workspace]\n";
            return Ok(fs::write(manifest, text)?);
        }
    }
    Err(format!("cargo did not unpack {package} below {}", home.display()).into())
}

fn copy(from: &Path, to: &Path) -> Result {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
