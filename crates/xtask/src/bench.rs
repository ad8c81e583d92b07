//! `cargo xtask bench`: the figures of the README.

use clap::ValueEnum;

use crate::{
    demo::build_release,
    run::{Result, cargo, command, run, target},
    setup,
};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum What {
    /// CPU time per round trip beside HAProxy, in the same run
    Relay,
    /// Cost per message of each stage of the pipeline
    Stages,
    /// Memory and CPU time of 9,000 idle connections
    Idle,
}

pub(crate) fn bench(what: What) -> Result {
    setup::for_bench()?;
    match what {
        What::Stages => run(cargo().args(["bench", "--package", "wsi-benches"])),
        What::Relay => compare("relay"),
        What::Idle => compare("idle"),
    }
}

fn compare(_what: &str) -> Result {
    build_release()?;
    run(cargo().args(["build", "--release", "--package", "wsi-loadtest"]))?;
    run(command(target().join("release/loadtest"))
        .arg("compare")
        .arg("--inspector")
        .arg(target().join("release/websocket-inspector")))
}
