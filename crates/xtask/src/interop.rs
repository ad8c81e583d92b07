//! `cargo xtask interop`: a real Zentinel with the configurations of `config/sentinel`. On demand only: building it takes long.

mod proxy;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::{
    demo::build_release,
    run::{Result, command, root, run, target},
    setup, test,
};

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A `zentinel` that is there already; without it one is built, which takes 20 minutes, once
    #[arg(long)]
    proxy: Option<PathBuf>,
    /// Only this
    #[arg(long, value_enum)]
    only: Option<Deployment>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Deployment {
    /// The proxy asks the inspector about every frame, over a unix socket
    Agent,
    /// The inspector is the proxy's upstream
    Inline,
    /// How long upgrades fail when the agent is restarted; only by this name
    Restart,
}

impl Deployment {
    fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Inline => "inline",
            Self::Restart => "restart",
        }
    }
}

pub(crate) fn interop(options: &Options) -> Result {
    setup::for_interop(options.proxy.is_none())?;
    let proxy = match &options.proxy {
        Some(path) => path.canonicalize().map_err(|error| format!("--proxy {}: {error}", path.display()))?,
        None => proxy::build()?,
    };
    build_release()?;
    let python = test::python()?;
    let deployments = options.only.map_or(vec![Deployment::Inline, Deployment::Agent], |only| vec![only]);
    run(command(python)
        .arg(root().join("crates/xtask/interop/drive.py"))
        .arg("--folder")
        .arg(target().join("interop/run"))
        .args(deployments.into_iter().map(Deployment::name))
        .env("PYTHONPATH", root().join("crates/appliance/tests/e2e"))
        .env("WSI_BINARY", target().join("release/websocket-inspector"))
        .env("ZENTINEL", proxy))
}
