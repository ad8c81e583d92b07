//! libFuzzer on the stable compiler: coverage by the compiler's own pass, without a sanitizer, because what is ours has no unsafe
//! code. Hyperscan, which is C++, is not instrumented.

use std::fs;

use crate::run::{Result, cargo, command, root, run, target};

const TRIPLE: &str = "x86_64-unknown-linux-gnu";
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// Runs each target, or only one, for `seconds`. Inputs that were found interesting are kept beside the builds; one that fails
/// is named by libFuzzer, and belongs into `crates/fuzz/seeds` once it is mended.
pub(crate) fn fuzz(seconds: u64, only: Option<&str>) -> Result {
    let targets = targets()?;
    if let Some(name) = only.filter(|only| !targets.iter().any(|name| name == only)) {
        return Err(format!("no fuzz target is called {name}; there are {}", targets.join(", ")).into());
    }
    let builds = target().join("fuzz");
    run(cargo()
        .args(["build", "--release", "--locked", "--target", TRIPLE, "--manifest-path"])
        .arg(root().join("crates/fuzz/Cargo.toml"))
        .arg("--target-dir")
        .arg(&builds)
        .env("RUSTFLAGS", FLAGS))?;
    for name in targets.iter().filter(|name| only.is_none_or(|only| only == *name)) {
        let corpus = builds.join("corpus").join(name);
        fs::create_dir_all(&corpus)?;
        let seeds = root().join("crates/fuzz/seeds").join(name);
        run(command(builds.join(TRIPLE).join("release").join(name))
            .arg(format!("-max_total_time={seconds}"))
            .args(["-verbosity=0", "-print_final_stats=1", "-max_len=4096", "-timeout=60"])
            .arg(format!("-artifact_prefix={}/", builds.display()))
            .arg(&corpus)
            .arg(&seeds))?;
    }
    Ok(())
}

/// Every file of the crate's `src/bin` is a target.
fn targets() -> Result<Vec<String>> {
    let sources = fs::read_dir(root().join("crates/fuzz/src/bin"))?;
    let paths = sources.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let mut names: Vec<_> =
        paths.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}
