//! `cargo xtask demo`.

use crate::{
    run::{Result, cargo, command, run, target},
    setup,
};

/// Builds what a user would run, and runs its demonstration.
pub(crate) fn demo(once: bool) -> Result {
    setup::for_build()?;
    build_release()?;
    let mut demo = command(target().join("release/websocket-inspector"));
    demo.arg("demo");
    if once {
        demo.arg("--once");
    }
    run(&mut demo)
}

pub(crate) fn build_release() -> Result {
    run(cargo().args(["build", "--release", "--package", "websocket-inspector"]))
}
