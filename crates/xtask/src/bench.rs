//! `cargo xtask bench`: the figures of the README.

use std::fs;

use clap::ValueEnum;

use crate::{
    background::{Ended, free_address, wait_for},
    bench_agent,
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
    /// Cost per message of each validator beside the libraries under it, called plainly, and of the whole inspection
    Validators,
    /// Memory and CPU time of 9,000 idle connections
    Idle,
    /// CPU time and memory with permessage-deflate terminated, beside it stripped
    Compression,
    /// Frame events through the agent's unix socket, beside the agent that Sentinel came with
    Agent,
}

pub(crate) fn bench(what: What) -> Result {
    match what {
        What::Stages => {
            setup::for_build()?;
            run(cargo().args(["bench", "--package", "wsi-benches", "--bench", "pipeline"]))
        }
        What::Validators => {
            setup::for_build()?;
            run(cargo().args(["bench", "--package", "wsi-benches", "--bench", "validators"]))
        }
        What::Relay => {
            setup::for_bench()?;
            build()?;
            let inspector = target().join("release/websocket-inspector");
            run(loadtest().arg("compare").arg("--inspector").arg(inspector))
        }
        What::Compression => {
            setup::for_build()?;
            build()?;
            let inspector = target().join("release/websocket-inspector");
            run(loadtest().arg("compression").arg("--inspector").arg(inspector))
        }
        What::Agent => bench_agent::bench(),
        What::Idle => {
            setup::for_build()?;
            build()?;
            idle()
        }
    }
}

fn build() -> Result {
    build_release()?;
    run(cargo().args(["build", "--release", "--package", "wsi-loadtest"]))
}

fn loadtest() -> std::process::Command {
    command(target().join("release/loadtest"))
}

/// Holds 9,000 connections open through one process; both of its sockets of each are idle.
fn idle() -> Result {
    let (front, backend) = (free_address()?, free_address()?);
    let config = target().join("bench-idle.kdl");
    fs::write(
        &config,
        format!(
            r#"runtime {{ shards 1 }}
listener "edge" {{ bind "{front}"; route "/*" upstream="echo" agent="guard" }}
upstream "echo" {{ server "{backend}" }}
agent "guard" {{
    type "websocket_inspector"
    events "ws_close"
    rate-limit {{ messages-per-second 100; burst 200; bytes-per-second "1MiB" }}
    content-filter {{ block-patterns "/exec\\(/"; max-message-size 65536 }}
}}
"#
        ),
    )?;
    let _echo = Ended(loadtest().args(["echo", "--bind", &backend.to_string()]).spawn()?);
    let mut inspector = command(target().join("release/websocket-inspector"));
    let inspector = Ended(inspector.arg("run").arg("-c").arg(&config).spawn()?);
    wait_for(backend)?;
    wait_for(front)?;
    let pid = inspector.0.id().to_string();
    run(loadtest()
        .args(["idle", "--connections", "9000", "--hold-s", "20", "--pid", &pid])
        .args(["--url", &format!("ws://{front}/")]))
}
