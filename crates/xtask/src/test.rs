//! `cargo xtask test`: everything that can fail.

use std::path::PathBuf;

use crate::{
    conformance,
    demo::build_release,
    fuzz,
    run::{Result, cargo, command, root, run, target},
    setup, sim,
};

/// How many connections are simulated, once from a fixed seed and once from a fresh one.
const SEEDS: u64 = 5_000;
/// How long each fuzz target runs.
const FUZZ_S: u64 = 10;

pub(crate) fn test() -> Result {
    setup::for_tests()?;
    build_release()?;
    run(cargo().args(["test", "--workspace", "--quiet"]))?;
    sim::sim(Some(0), SEEDS)?;
    sim::sim(None, SEEDS)?;
    fuzz::fuzz(FUZZ_S, None)?;
    run(command(target().join("release/websocket-inspector")).args(["demo", "--once"]))?;
    end_to_end()?;
    conformance::conformance(&conformance::Options::default())
}

/// Real clients and servers, in Python and Node, against the binary that a user would run.
fn end_to_end() -> Result {
    let suite = root().join("crates/appliance/tests/e2e");
    let python = python()?;
    run(command("npm").args(["install", "--no-audit", "--no-fund", "--silent"]).current_dir(&suite))?;
    run(command(&python)
        .args(["-m", "pytest", "-q"])
        .arg(&suite)
        .env("WSI_BINARY", target().join("release/websocket-inspector")))
}

/// An interpreter with what the end-to-end tests need.
pub(crate) fn python() -> Result<PathBuf> {
    let venv = target().join("e2e-venv");
    let python = venv.join("bin/python");
    if !python.exists() {
        run(command("python3").args(["-m", "venv"]).arg(&venv))?;
    }
    run(command(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(root().join("crates/appliance/tests/e2e/requirements.txt")))?;
    Ok(python)
}
