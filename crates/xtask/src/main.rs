//! The project's own commands: `cargo xtask demo`, `cargo xtask test` and what they are made of.

mod background;
mod bench;
mod bench_agent;
mod conformance;
mod demo;
mod fuzz;
mod interop;
mod run;
mod setup;
mod sim;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the inspector, start it before an echo server, and show what becomes of good and bad messages
    Demo {
        /// End after the messages instead of staying up
        #[arg(long)]
        once: bool,
    },
    /// Run every test: Rust, fuzz targets for 10 seconds each, real clients against real servers, and conformance
    Test,
    /// Install the system packages that a build needs
    Setup,
    /// Fuzz each target for some minutes
    Fuzz {
        #[arg(long, default_value_t = 1)]
        minutes: u64,
        /// Only this target
        #[arg(long)]
        target: Option<String>,
    },
    /// Play connections in virtual time, from a seed; without one, from a seed that was not tried before
    Sim {
        #[arg(long)]
        seed: Option<u64>,
        #[arg(long, default_value_t = 1)]
        count: u64,
    },
    /// Run the Autobahn test suite through the inspector, towards clients and towards servers, and compare with what is expected
    Conformance(conformance::Options),
    /// Run a real Zentinel with the configurations of config/sentinel, and compare what happens with what is expected
    Interop(interop::Options),
    /// Measure: `relay` beside HAProxy, `stages` of the pipeline, `validators` beside their libraries,
    /// `idle` connections, `compression`, an `agent` beside another
    Bench {
        #[arg(value_enum, default_value_t = bench::What::Relay)]
        what: bench::What,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo { once } => demo::demo(once),
        Command::Test => test::test(),
        Command::Setup => setup::for_tests(),
        Command::Fuzz { minutes, target } => fuzz::fuzz(minutes * 60, target.as_deref()),
        Command::Sim { seed, count } => sim::sim(seed, count),
        Command::Conformance(options) => conformance::conformance(&options),
        Command::Interop(options) => interop::interop(&options),
        Command::Bench { what } => bench::bench(what),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
