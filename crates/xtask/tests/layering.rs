//! The layers: a dependency that is not listed here is a failure. The reasons are in crates/README.md.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Every crate, and the crates of this workspace that it may use.
const ALLOWED: [(&str, &[&str]); 16] = [
    ("wsi-ws", &[]),
    ("wsi-ratelimit", &[]),
    ("wsi-scan", &[]),
    ("wsi-schema", &[]),
    ("wsi-policy", &["wsi-ws"]),
    ("wsi-inspect", &["wsi-ws", "wsi-policy", "wsi-ratelimit", "wsi-scan", "wsi-schema"]),
    ("wsi-config", &["wsi-policy"]),
    ("wsi-agent", &["wsi-inspect", "wsi-policy", "wsi-ws"]),
    ("wsi-telemetry", &["wsi-inspect", "wsi-policy"]),
    ("wsi-dataplane", &["wsi-inspect", "wsi-agent", "wsi-telemetry", "wsi-policy", "wsi-ratelimit"]),
    ("websocket-inspector", &["wsi-dataplane", "wsi-config", "wsi-telemetry", "wsi-inspect"]),
    ("wsi-benches", BELOW_DATAPLANE),
    ("wsi-loadtest", BELOW_DATAPLANE),
    ("wsi-fuzz", BELOW_DATAPLANE),
    ("wsi-sim", BELOW_DATAPLANE),
    ("xtask", &[]),
];

const BELOW_DATAPLANE: &[&str] = &[
    "wsi-ws",
    "wsi-ratelimit",
    "wsi-scan",
    "wsi-schema",
    "wsi-policy",
    "wsi-inspect",
    "wsi-agent",
    "wsi-config",
    "wsi-telemetry",
];

/// Foreign crates that carry a layer's knowledge, and the only crates that may name them.
const WARDENS: [(&str, &[&str]); 7] = [
    ("glommio", &["wsi-dataplane"]),
    ("io-uring", &["wsi-dataplane"]),
    ("hyperscan", &["wsi-scan"]),
    ("jsonschema", &["wsi-schema"]),
    ("sonic-rs", &["wsi-schema", "wsi-benches"]),
    ("kdl", &["wsi-config"]),
    ("tokio", &["websocket-inspector"]),
];

#[test]
fn only_allowed_edges() {
    let allowed: BTreeMap<_, _> = ALLOWED.into_iter().collect();
    let mut faults = Vec::new();
    for (name, uses) in dependencies() {
        let Some(may_use) = allowed.get(name.as_str()) else {
            faults.push(format!(
                "{name} is not in the list of layers: add it, and say in crates/README.md why it exists"
            ));
            continue;
        };
        for used in uses {
            let is_internal = allowed.contains_key(used.as_str());
            if is_internal && !may_use.contains(&used.as_str()) {
                faults.push(format!("{name} may not use {used}"));
            }
            let wardens = WARDENS.iter().find(|(foreign, _)| *foreign == used);
            if wardens.is_some_and(|(_, wardens)| !wardens.contains(&name.as_str())) {
                faults.push(format!("{name} may not name {used}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// No configuration may bring an HTTP client into a process that has no business on the network.
#[test]
fn schemas_are_not_fetched() {
    let metadata = MetadataCommand::new().exec().unwrap();
    let clients = ["reqwest", "ureq", "hyper-rustls", "native-tls"];
    let found: Vec<_> =
        metadata.packages.iter().filter(|package| clients.contains(&package.name.as_str())).collect();
    assert!(found.is_empty(), "{found:?}");
}

/// Packages of the workspace and of the fuzz crate beside it, with what they use outside of tests.
fn dependencies() -> Vec<(String, Vec<String>)> {
    let top = MetadataCommand::new().no_deps().exec().unwrap();
    let fuzz = MetadataCommand::new().manifest_path("../fuzz/Cargo.toml").no_deps().exec().unwrap();
    top.packages
        .into_iter()
        .chain(fuzz.packages)
        .map(|package| {
            let uses = package.dependencies.into_iter().filter(|each| each.kind == DependencyKind::Normal);
            (package.name.to_string(), uses.map(|each| each.name).collect())
        })
        .collect()
}
