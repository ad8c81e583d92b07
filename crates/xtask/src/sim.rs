//! `cargo xtask sim`: connections in virtual time (`crates/sim`).

use crate::run::{Result, cargo, run};

/// Plays `count` seeds, from `seed` or from a fresh one; a failure prints the seed that plays it again.
pub(crate) fn sim(seed: Option<u64>, count: u64) -> Result {
    let mut sim = cargo();
    sim.args(["run", "--quiet", "--package", "wsi-sim", "--", "--count", &count.to_string()]);
    if let Some(seed) = seed {
        sim.args(["--seed", &seed.to_string()]);
    }
    run(&mut sim)
}
