//! `cargo xtask bench agent`: frame events through the unix socket, beside the agent that Sentinel came with.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    background::Ended,
    demo::build_release,
    run::{Result, cargo, command, run, target},
    setup,
};

const PEER: &str = "sentinel-agent-websocket-inspector";
const PEER_VERSION: &str = "0.1.0";

pub(crate) fn bench() -> Result {
    setup::for_build()?;
    build_release()?;
    run(cargo().args(["build", "--release", "--package", "wsi-loadtest"]))?;
    let folder = target().join("bench-agent");
    fs::create_dir_all(&folder)?;
    let peer_socket = folder.join("peer.sock");
    let peer = Ended(command(install_peer()?).arg("--socket").arg(&peer_socket).spawn()?);
    let (config, socket) = (folder.join("agent.kdl"), folder.join("agent.sock"));
    write_configuration(&config, &socket)?;
    let mut inspector = command(target().join("release/websocket-inspector"));
    let inspector = Ended(inspector.arg("run").arg("-c").arg(&config).spawn()?);
    wait_for_socket(&peer_socket)?;
    wait_for_socket(&socket)?;
    let named = |name: &str, socket: &Path, version: u8, agent: &Ended| {
        format!("{name},{},{version},{}", socket.display(), agent.0.id())
    };
    run(command(target().join("release/loadtest")).args([
        "agents",
        "--agent",
        &named("other v1", &peer_socket, 1, &peer),
        &named("inspector v1", &socket, 1, &inspector),
        &named("inspector v2", &socket, 2, &inspector),
    ]))
}

/// Everything on: reassembly, UTF-8, rates, rule sets on raw and unescaped text, and a schema.
fn write_configuration(config: &Path, socket: &Path) -> Result {
    let schema = config.with_file_name("schema.json");
    fs::write(&schema, "{\"type\":\"string\",\"maxLength\":1000000}")?;
    let (socket, schema) = (socket.display(), schema.display());
    let text = format!(
        r#"agent "guard" {{
    type "websocket_inspector"
    transport "unix_socket" {{ path "{socket}" }}
    timeout-ms 1000
    validation {{ schema-type "json"; schema-path "{schema}" }}
    rate-limit {{ messages-per-second 1000000; burst 1000000; bytes-per-second "16GiB" }}
    content-filter {{ rules "xss" "sqli" "command-injection"; max-message-size "1MiB" }}
}}
"#
    );
    fs::write(config, text)?;
    Ok(())
}

fn install_peer() -> Result<PathBuf> {
    let root = target().join("peers");
    let binary = root.join("bin/sentinel-ws-agent");
    if !binary.exists() {
        run(cargo().args(["install", PEER, "--version", PEER_VERSION, "--locked", "--root"]).arg(&root))?;
    }
    Ok(binary)
}

fn wait_for_socket(socket: &Path) -> Result {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        if UnixStream::connect(socket).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(format!("nobody listens at {} after 20 s", socket.display()).into())
}
