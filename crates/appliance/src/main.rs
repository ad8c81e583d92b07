//! `websocket-inspector`: an inline inspector of WebSocket traffic.

mod admin;
mod bootstrap;
mod check;
mod cli;
mod demo;
mod doctor;
mod memory;
mod plan;
mod reload;
mod replay;
mod report;
mod selftest;
mod signals;
mod sockets;
mod tls;
mod top;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{AuditCommand, Cli, Command};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run { config } => bootstrap::run(&config),
        Command::Audit(AuditCommand::Verify { files }) => verify::verify(&files),
        Command::Check { config } => check::check(&config),
        Command::Demo { once } => demo::demo(once),
        Command::Doctor { config } => doctor::doctor(config.as_deref()),
        Command::Selftest(options) => selftest::selftest(&options),
        Command::Top(options) => top::top(&options),
        Command::Replay(options) => Ok(replay::replay(&options)),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
